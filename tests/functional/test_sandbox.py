"""The sandbox itself: what the other functional tests stand on."""

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.testing import census, frames, netns, probes
from vifd.testing.guests import PacketGuest, TapGuest, assert_only, assert_reaches, equal_to, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import Expired, until

TUNSETIFF, TUNSETPERSIST, IFF_TAP_NO_PI = 0x400454CA, 0x400454CB, 0x1002
A, B, C = (f"fa:16:3e:00:00:0{n}" for n in (1, 2, 3))


def set_persistence(name: str, value: int) -> None:
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
        fcntl.ioctl(tun, TUNSETPERSIST, value)


@pytest.fixture
def taps() -> Iterator[list[str]]:
    names = ["tap1", "tap2", "tap3"]
    try:
        for name in names:
            set_persistence(name, 1)
            netns.link_up(name)
        yield names
    finally:
        for name in names:
            set_persistence(name, 0)


@pytest.fixture
def switch(ovs: PrivateOvs, taps: list[str]) -> PrivateOvs:
    """tap1 and tap2 in one VLAN, tap3 in another."""
    netdev = ("set", "bridge", "br0", "datapath_type=netdev")
    ovs.vsctl("add-br", "br0", "--", *netdev)
    for name, tag in zip(taps, (5, 5, 6), strict=True):
        ovs.vsctl("add-port", "br0", name, f"tag={tag}")
    return ovs


def test_the_run_is_not_in_the_namespace_of_its_parent() -> None:
    parent = os.stat(f"/proc/{os.getppid()}/ns/net")
    assert netns.netns_id() != parent.st_ino


def test_frames_pass_in_a_vlan_and_not_across(switch: PrivateOvs) -> None:
    with guests("tap1", "tap2", "tap3", ovs=switch) as (one, two, three):
        request = frames.arp_request(A, "10.0.0.1", "10.0.0.2")
        assert assert_reaches(one, two, request) == request
        switch.vsctl("add-port", "br0", "peer", "tag=6", "--", "set", "interface", "peer",
                     "type=internal")  # fmt: skip
        netns.link_up("peer")
        switch.wait_for_carrier("peer")
        with PacketGuest("peer") as peer:
            sentinel = frames.arp_request(C, "10.0.0.3", "10.0.0.9")
            assert assert_only(three, forbidden=[(one, request)], allowed=(peer, sentinel)) == 2


def test_the_proof_of_absence_can_fail(switch: PrivateOvs) -> None:
    with guests("tap1", "tap2", ovs=switch) as (one, two):
        forbidden = frames.arp_request(A, "10.0.0.1", "10.0.0.2")
        sentinel = frames.arp_request(A, "10.0.0.1", "10.0.0.9")
        with pytest.raises(AssertionError, match="a frame of tap1 reached tap2"):
            assert_only(two, forbidden=[(one, forbidden)], allowed=(one, sentinel))


def test_a_tag_is_seen_where_it_was_on_the_wire(switch: PrivateOvs, far: netns.Namespace) -> None:
    far.veth("cable0", "cable1")
    switch.vsctl("add-port", "br0", "cable0")
    switch.wait_for_carrier("cable0")
    request = frames.arp_request(A, "10.0.0.1", "10.0.0.2")
    with guests("tap1", "tap3", ovs=switch) as (one, three), far.run(PacketGuest, "cable1") as peer:
        same = equal_to(request)
        seen = assert_reaches(one, peer, request, expect=lambda got: same(frames.untagged(got)))
        assert frames.vlan_of(seen) == 5
        tagged = frames.udp(C, frames.BROADCAST, "10.0.0.3", "10.0.0.255", vlan=6)
        assert_reaches(peer, three, tagged, expect=equal_to(frames.untagged(tagged)))


def test_a_guest_opens_taps_and_never_makes_one() -> None:
    before = netns.links()
    with pytest.raises(FileNotFoundError):
        TapGuest("nosuch0")
    assert netns.links() == before


def test_a_killed_switch_leaves_its_ports_in_the_database(switch: PrivateOvs) -> None:
    first = switch.vswitchd.pid
    switch.vswitchd.kill()
    assert switch.pids == [switch.ovsdb.pid]
    switch.vswitchd.start()
    assert switch.vswitchd.pid not in (None, first)
    assert switch.vsctl("list-ports", "br0").split() == ["tap1", "tap2", "tap3"]


def test_the_database_survives_its_server(switch: PrivateOvs) -> None:
    switch.ovsdb.stop()
    switch.ovsdb.start()
    assert switch.bridges() == ["br0"]


def test_reset_removes_bridges_and_their_devices(switch: PrivateOvs) -> None:
    assert "br0" in netns.links()
    switch.reset()
    assert switch.bridges() == []
    assert "br0" not in netns.links()


def test_census_names_what_is_new(switch: PrivateOvs, tmp_path: Path) -> None:
    before = census.take(switch, [tmp_path])
    (tmp_path / "left").touch()
    switch.ofctl("add-flow", "br0", "cookie=7,table=3,actions=drop")
    switch.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev")
    kinds = [line.split(":")[0] for line in census.take(switch, [tmp_path]).beyond(before)]
    assert kinds == ["links", "files", "ports", "flows", "flows"]


def test_daemons_end_with_a_killed_run(tmp_path: Path) -> None:
    program = (
        "import os, sys; from vifd.testing.sandbox import PrivateOvs\n"
        "ovs = PrivateOvs(sys.argv[1]); ovs.start(); print(*ovs.pids, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    pids = done.stdout.split()
    assert len(pids) == 2, done.stderr
    until(lambda: not any(_runs(pid) for pid in pids), "both daemons have ended")


def _runs(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_namespace_is_another_network(far: netns.Namespace) -> None:
    far.veth("cable0", "cable1")
    assert "cable1" not in netns.links()
    assert set(far.run(netns.links)) == {"lo", "cable1"}
    assert far.command(["cat", "/proc/self/net/dev"]).stdout.count("cable1") == 1


def test_probes_give_a_reason_or_nothing() -> None:
    assert probes.lacking("netns") is None
    assert probes.lacking("kernel:veth") is None
    assert "no nosuchkind device" in (probes.lacking("kernel:nosuchkind") or "")
    assert probes.lacking("program:nosuch") == "nosuch is not installed"
    with pytest.raises(KeyError):
        probes.lacking("nosuch")


def test_waiting_says_what_was_waited_for() -> None:
    with pytest.raises(Expired, match="the cows come home"):
        until(lambda: False, "the cows come home", timeout=0.01)
