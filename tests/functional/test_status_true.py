"""A port that is wholly cut is not called ACTIVE: with repair off, while the disk is full, while
the uplink or its bridge is gone. What is read back decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional import breaking as b
from functional import mounts
from functional.breaking import DOCUMENT, FROZEN, PORT, Host, running, unplug
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

NIC = "nic0"


def status(host: Host) -> Any:
    return host.vifd.get(f"/v1/ports/{PORT}")["status"]


def has(host: Host, wanted: str, why: str) -> None:
    until(lambda: status(host) == wanted, f"{wanted}: {why}", told=lambda: status(host))


def plugged(host: Host) -> None:
    until(lambda: host.vifd.plug(DOCUMENT)[0] in (200, 201), "the port is there")
    has(host, "ACTIVE", "as it was made")


@pytest.fixture
def nic() -> Iterator[str]:
    with IPRoute() as netlink:
        netlink.link("add", ifname=NIC, kind="veth", peer="nic1")
        for name in (NIC, "nic1"):
            netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")
        yield NIC
        netlink.link("del", index=netlink.link_lookup(ifname=NIC)[0])


def test_with_repair_off(ovs: PrivateOvs, tmp_path: Path) -> None:
    with running(ovs, tmp_path / "v", FROZEN) as host:
        b.physical_bridge_restored(host)
        plugged(host)
        for breaks in (b.tap_deleted, b.port_removed, b.patch_removed, b.far_patch_removed,
                       b.link_down):  # fmt: skip
            breaks(host)
            has(host, "DOWN", f"after {breaks.__name__}")
            name = f"after {breaks.__name__}"
            answer = host.vifd.plug({**DOCUMENT, "port": {**DOCUMENT["port"], "name": name}})
            assert answer[0] == 200, answer
            has(host, "ACTIVE", f"once {breaks.__name__} was mended by a request")
        unplug(host)
        host.vifd.stop()


def test_while_the_uplink_is_gone(ovs: PrivateOvs, nic: str, tmp_path: Path) -> None:
    """Nothing of it is vifd's to mend; once it is back the port is ACTIVE by its events."""
    options = {**FROZEN, "engine": {**FROZEN["engine"], "repair": "true"}}
    with running(ovs, tmp_path / "v", options) as host:
        b.physical_bridge_restored(host)
        ovs.vsctl("add-port", "br-ex", nic)
        plugged(host)
        ovs.vsctl("del-port", "br-ex", nic)
        has(host, "DOWN", "the card is gone")
        ovs.vsctl("add-port", "br-ex", nic)
        has(host, "ACTIVE", "the card is back")
        b.physical_bridge_deleted(host)
        until(lambda: status(host) != "ACTIVE", "the bridge is gone")
        b.physical_bridge_restored(host)
        has(host, "ACTIVE", "the bridge is back")
        unplug(host)
        host.vifd.stop()


def test_while_the_disk_is_full(ovs: PrivateOvs, tmp_path: Path) -> None:
    """What cannot be written is not repaired; what was read is shown all the same."""
    options = {**FROZEN, "engine": {**FROZEN["engine"], "repair": "true"}}
    with (
        mounts.small(tmp_path / "v" / "state", 1024) as state,
        running(ovs, tmp_path / "v", options) as host,
    ):
        b.physical_bridge_restored(host)
        plugged(host)
        filler = mounts.fill(state)
        b.tap_deleted(host)
        has(host, "DOWN", "nothing can be written")
        filler.unlink()
        has(host, "ACTIVE", "there is room again")
        unplug(host)
        host.vifd.stop()
