"""What guest and switch agreed upon when the guest connected (virtio features), and what this
host's switch would not agree upon. Pure.

A guest keeps its features for as long as it runs: where the switch that it moves to does not offer
one of them, QEMU refuses to go on there, or the switch refuses the guest. What a switch offers is
said nowhere before a guest connects; known is what its settings switch off.

Source: virtio 1.2, 2.1 and 5.1.3; ``lib/netdev-dpdk.c`` of Open vSwitch (which features it has DPDK
not offer) and ``lib/vhost/socket.c`` of DPDK (``RTE_VHOST_USER_IOMMU_SUPPORT``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vifd.drivers import PortRow
from vifd.model import Evidence
from vifd.plugin.guest import features

#: By bit.
_NAMES = {
    0: "CSUM", 1: "GUEST_CSUM", 2: "CTRL_GUEST_OFFLOADS", 3: "MTU", 5: "MAC", 7: "GUEST_TSO4",
    8: "GUEST_TSO6", 9: "GUEST_ECN", 10: "GUEST_UFO", 11: "HOST_TSO4", 12: "HOST_TSO6",
    13: "HOST_ECN", 14: "HOST_UFO", 15: "MRG_RXBUF", 16: "STATUS", 17: "CTRL_VQ", 18: "CTRL_RX",
    19: "CTRL_VLAN", 21: "GUEST_ANNOUNCE", 22: "MQ", 23: "CTRL_MAC_ADDR", 27: "ANY_LAYOUT",
    28: "INDIRECT_DESC", 29: "EVENT_IDX", 32: "VERSION_1", 33: "ACCESS_PLATFORM",
    34: "RING_PACKED", 35: "IN_ORDER", 36: "ORDER_PLATFORM", 54: "GUEST_USO4", 55: "GUEST_USO6",
    56: "HOST_USO", 57: "HASH_REPORT", 60: "RSS", 63: "SPEED_DUPLEX",
}  # fmt: skip
#: Those of the connection between QEMU and the switch, of which a guest knows nothing: frames are
#: logged while it moves (VHOST_F_LOG_ALL), and the two have further messages.
_OF_THE_WAY = 1 << 26 | 1 << 30
_TSO, _IOMMU = "userspace-tso-enable", "vhost-iommu-support"
#: From this version on, checksums are left to the switch whatever its settings are.
_CHECKSUMS = (3, 2)


def agreed(row: PortRow) -> list[str] | None:
    """The features of the guest of a port; ``None`` where the switch says none."""
    text = row.status.get("features", "")
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        return None
    bits = int(text, 16) & ~_OF_THE_WAY
    return [_NAMES.get(n, f"bit {n}") for n in range(bits.bit_length()) if bits >> n & 1]


def withheld(root: Mapping[str, Any]) -> dict[str, str]:
    """Features that a switch with these facts does not offer, and why.

    :param root: see :meth:`vifd.drivers.Ovsdb.facts`
    """
    return dict(_withheld(root.get("other_config") or {}, str(root.get("ovs_version") or "")))


def _withheld(config: Mapping[str, str], version: str) -> Iterator[tuple[str, str]]:
    if config.get(_IOMMU) != "true":
        yield "ACCESS_PLATFORM", f"other_config:{_IOMMU} is not true"
    if config.get(_TSO) != "true":
        names = ["HOST_TSO4", "HOST_TSO6"]
        if (number := _number(version)) and number < _CHECKSUMS:
            names.append("CSUM")
        yield from ((name, f"other_config:{_TSO} is not true") for name in names)


def _number(version: str) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def evidence(row: PortRow, root: Mapping[str, Any]) -> Iterator[Evidence]:
    """Both as facts of a port: what its guest has, and what no guest can have here."""
    have = agreed(row)
    if have is not None:
        yield Evidence(features.AGREED, have, source="ovsdb")
    yield Evidence(features.WITHHELD, withheld(root), source="ovsdb")
