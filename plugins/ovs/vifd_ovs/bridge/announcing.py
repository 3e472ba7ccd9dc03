"""Announcements: bridges that learn are told where a MAC is now.

The physical bridge and the ports of others forward by what they learned. A port that changes hands
stands behind another of their ports from then on, and until it speaks they would send its frames to
where it was. So somebody speaks for it, as QEMU does for a guest that has migrated: with a reverse
ARP request (RFC 903), which says nothing but a MAC.
"""

from __future__ import annotations

import logging

from vifd.drivers import OpenFlow
from vifd.errors import VifError
from vifd.openflow import action as act
from vifd_ovs.bridge.flows import Network, to_uplink
from vifd_ovs.bridge.ports import SwitchPort

LOG = logging.getLogger(__name__)

_BROADCAST = bytes.fromhex("ffffffffffff")
_RARP = bytes.fromhex("8035")
#: Ethernet and IPv4, with addresses of 6 and 4 bytes: "who is this?"
_REQUEST = bytes.fromhex("0001 0800 06 04 0003")
_NO_ADDRESS = bytes(4)
#: Bytes of the shortest frame, without its checksum.
_SHORTEST = 60


def announcement(mac: str) -> bytes:
    """The frame by which a MAC is announced."""
    source = bytes.fromhex(mac.replace(":", ""))
    body = _REQUEST + (source + _NO_ADDRESS) * 2
    return (_BROADCAST + source + _RARP + body).ljust(_SHORTEST, b"\0")


def announce(openflow: OpenFlow, bridge: str, port: SwitchPort, uplink: int) -> None:
    """Tell the segment behind a patch port of ours that a port is behind it now.

    :param uplink: the ofport of the patch port
    """
    network = Network(port.tag, port.segment, uplink)
    _send(openflow, bridge, port, to_uplink(network))


def announce_back(openflow: OpenFlow, bridge: str, port: SwitchPort) -> None:
    """Tell everybody on a bridge that the port stands on it as any other does."""
    _send(openflow, bridge, port, act.normal())


def _send(openflow: OpenFlow, bridge: str, port: SwitchPort, actions: bytes) -> None:
    """Best effort: what is not told is learned from the port's next frame."""
    try:
        openflow.packet_out(bridge, announcement(port.mac), in_port=port.ofport, actions=actions)
    except VifError as error:
        LOG.warning(
            "bridge %s: %s could not be announced: %s. Next: others learn where it is from the "
            "guest's next frame. port=%s", bridge, port.mac, error.message, port.id
        )  # fmt: skip
