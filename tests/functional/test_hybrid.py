"""Ports that nova plugged in the hybrid way, by os-vif's own plugin, are moved onto the switch
while their guests talk, nothing of it is left, and all of it is put back."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.movescene import (
    FAR,
    FAR_IP,
    FAR_MAC,
    Scene,
    cabled,
    flat,
    go_on,
    ip,
    make,
    move,
    talking,
)
from support import stockhybrid
from support.stream import Stream
from unit.docs import port_id
from vifd.testing import frames
from vifd.testing.guests import PacketGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("module:os_vif")

PORT, MAC = port_id(1), "fa:16:3e:00:00:01"
BRIDGE, INNER, OUTER, TAP = stockhybrid.names(PORT)


def tap(*, there: bool) -> None:
    """What libvirt does with a tap on a bridge when a guest starts; a tap that stays."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", TAP.encode(), 0x1002))
        fcntl.ioctl(fd, 0x400454CB, int(there))
    finally:
        os.close(fd)
    if there:
        ip("link", "set", TAP, "address", MAC.replace("fa:", "fe:"), "mtu", "1450", "up")
        ip("link", "set", TAP, "master", BRIDGE)


@pytest.fixture
def scene(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Scene]:
    """A host of a stock agent: its bridges, and a port that nova plugged."""
    with cabled(ovs):
        stockhybrid.stock_bridge(ovs)
        stockhybrid.plug(ovs, PORT, MAC)
        tap(there=True)
        ovs.wait_for_carrier(OUTER)
        try:
            with make(tmp_path / "v", ovs) as vifd:
                yield Scene(vifd, ovs)
                vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": [PORT]})
        finally:
            for name in (OUTER, BRIDGE):
                subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)
            if TAP in os.listdir("/sys/class/net"):
                tap(there=False)


def row(ovs: PrivateOvs, name: str) -> list[str]:
    columns = ("external_ids", "ofport", "ofport_request", "mtu_request", "type")
    found = [ovs.vsctl("get", "Interface", name, column).strip() for column in columns]
    return [*found, ovs.vsctl("get", "Port", name, "tag").strip()]


def devices() -> set[str]:
    return {name for name in (BRIDGE, INNER, OUTER, TAP) if name in os.listdir("/sys/class/net")}


def taken(scene: Scene, **more: Any) -> tuple[int, Any]:
    """The answer, once vifd has heard of the port."""
    answer: list[tuple[int, Any]] = []

    def known() -> bool:
        answer[:] = [move(scene.vifd, "ovs", document=flat(), **more)]
        return answer[0][1].get("code") != "E_ADOPT_ABSENT"

    until(known, "vifd has heard of the port")
    return answer[0]


def nothing_comes_back(*streams: Stream) -> None:
    """What is for everybody comes in by the stock agent's way and by vifd's, which nobody uses."""
    frame = frames.arp_request(FAR_MAC, FAR_IP, "10.0.0.201")
    with PacketGuest(FAR) as far:
        far.send(frame)
        go_on(*streams)
        assert [got for got in far.drain() if frames.mac_text(got[6:12]) == FAR_MAC] == []


def test_onto_the_switch_and_back_under_a_guest_that_talks(scene: Scene):
    ovs = scene.ovs
    before, addresses = row(ovs, OUTER), ip("-o", "link", "show", TAP)
    with talking(scene, lying=False) as (there, back):
        status, said = taken(scene, dry_run=True)
        assert (status, said["done"], said["device"]) == (200, False, TAP), said
        assert row(ovs, OUTER) == before
        status, moved = taken(scene)
        assert (status, moved.get("done"), moved.get("left")) == (200, True, ""), moved
        go_on(there, back)
        assert 0 < moved["gap_ms"] < 1000, moved
        port = scene.port
        assert (port["phase"], port["status"], port["device"]) == ("LIVE", "ACTIVE", TAP)
        assert port["findings"] == []
        assert devices() == {TAP}
        assert OUTER not in ovs.vsctl("list-ports", "br-int").split()
        told = scene.vifd.get(f"/v1/ports/{PORT}/explain")
        assert any("a next start by the same definition fails" in s["sentence"]
                   for s in told["steps"])  # fmt: skip
        status, answer = scene.vifd.call(
            "POST", f"/v1/ports/{PORT}/release?wait=gone&timeout=60", {}
        )
        assert status == 204, answer
        go_on(there, back)
        nothing_comes_back(there, back)
    print(f"gaps: {there.gap * 1000:.0f} ms there, {back.gap * 1000:.0f} ms back, {moved}")
    assert there.gap < 1.0
    assert back.gap < 1.0
    assert devices() == {BRIDGE, INNER, OUTER, TAP}
    assert ip("-o", "link", "show", TAP) == addresses
    now = row(ovs, OUTER)
    # the switch gives it a number of its own
    assert [now[0], *now[2:]] == [before[0], *before[2:]]
    assert TAP not in ovs.vsctl("list-ports", "br-int").split()
    dumped = ovs.ofctl("dump-flows", "br-int", "--no-stats")
    assert MAC not in dumped
    assert scene.vifd.get("/v1/ports")["ports"] == []
    assert scene.vifd.get("/v1/garbage")["orphans"] == []
