"""What passes over the device of a trunk's parent, by frames on a real switch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import pytest

from functional.scene import Scene
from functional.trunks.documents import parent, sub_port
from support import oracle
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac, port_id
from vifd.testing.guests import Guest, Predicate, assert_only, assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import PATIENCE


@pytest.fixture
def host(ovs: PrivateOvs) -> Iterator[Scene]:
    with Scene(ovs) as scene:
        yield scene


def hello(one: int, two: int, vlan: int | None = None, *, six: bool = False) -> bytes:
    ip = ipv6 if six else ipv4
    return f.udp(mac(one), mac(two), ip(one), ip(two), vlan=vlan)


def tagged(frame: bytes, vlan: int) -> Predicate:
    """That frame with the tag of a VLAN."""
    return lambda found: f.vlan_of(found) == vlan and f.untagged(found) == frame


def same(frame: bytes) -> Predicate:
    return lambda found: found == frame


def plainly(frame: bytes) -> Predicate:
    """That frame, in whatever VLAN."""
    return lambda found: f.untagged(found) == frame


def assert_each_hears(trunk: Guest, vlans: Mapping[int, int | None]) -> None:
    """Of ports over one device, each hears every other one.

    :param vlans: by the number of the port, the tag of its frames
    """
    for one, two in itertools.permutations(vlans, 2):
        trunk.send(hello(one, two, vlans[one]))
        found = trunk.recv(predicate=plainly(hello(one, two)))
        assert f.vlan_of(found) == vlans[two]


@pytest.mark.parametrize("six", [False, True])
def test_each_vlan_is_a_port_on_its_network(host: Scene, six: bool) -> None:
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 7), sub_port(3, 8))
    trunk = host.guest(port_id(1))
    plain, seven, eight = host.guests(
        attachment(4), attachment(5, network=7), attachment(6, network=8)
    )
    for number, vlan, peer, theirs in ((1, None, plain, 4), (2, 101, seven, 5), (3, 102, eight, 6)):
        sent = hello(number, theirs, vlan, six=six)
        assert_reaches(trunk, peer, sent, expect=same(hello(number, theirs, six=six)))
        answer = hello(theirs, number, six=six)
        expected = same(answer) if vlan is None else tagged(answer, vlan)
        assert_reaches(peer, trunk, answer, expect=expected)
    assert not host.findings()


def test_a_sub_port_is_held_to_its_own_addresses(host: Scene) -> None:
    """Also to those of the parent and of another sub-port it may not pretend."""
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 7), sub_port(3, 7))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(attachment(5, network=7))
    lies = [f.udp(mac(n), mac(5), ipv4(n), ipv4(5), vlan=101) for n in (1, 3, 9)]
    lies.append(f.udp(mac(2), mac(5), ipv4(9), ipv4(5), vlan=101))
    lies.append(f.arp_request(mac(2), ipv4(9), ipv4(5))[:12] + b"\x81\0\0\x65"
                + f.arp_request(mac(2), ipv4(9), ipv4(5))[12:])  # fmt: skip
    assert_only(peer, forbidden=[(trunk, lie) for lie in lies],
                allowed=(trunk, hello(2, 5, 101)), expect=same(hello(2, 5)))  # fmt: skip
    assert host.counted(port_id(2)) >= len(lies)


def test_a_tag_that_no_sub_port_has_is_dropped(host: Scene) -> None:
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 1))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(attachment(5))
    # 102 is that of a sub-port whose document is not here
    stray = [hello(n, 5, v) for n in (1, 2) for v in (102, 103, 4094)]
    assert_only(peer, forbidden=[(trunk, frame) for frame in stray],
                allowed=(trunk, hello(1, 5)))  # fmt: skip
    assert_reaches(trunk, peer, hello(2, 5, 101), expect=same(hello(2, 5)))


def test_a_broadcast_comes_to_every_port_of_the_network_but_its_sender(host: Scene) -> None:
    """Parent, sub-ports and a port beside them are on one network."""
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 1), sub_port(3, 1))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(attachment(5))

    def told(sender: int, vlan: int | None) -> set[int | None]:
        """The VLANs in which the trunk hears a broadcast."""
        sent = f.arp_request(mac(sender), ipv4(sender), "10.0.9.9")
        wire = sent if vlan is None else sent[:12] + b"\x81\0" + vlan.to_bytes(2, "big") + sent[12:]
        last = f.udp(mac(5), mac(1), ipv4(5), ipv4(1), str(sender).encode())
        trunk.send(wire)
        peer.recv(predicate=same(sent))
        peer.send(last)
        heard = trunk.collect(PATIENCE, same(last))[:-1]
        return {f.vlan_of(x) for x in heard if f.untagged(x) == sent}

    assert told(1, None) == {101, 102}
    assert told(2, 101) == {None, 102}
    assert told(3, 102) == {None, 101}
    sent = f.arp_request(mac(5), ipv4(5), "10.0.9.9")
    peer.send(sent)
    heard = [trunk.recv(predicate=lambda x: f.untagged(x) == sent) for _ in range(3)]
    assert {f.vlan_of(x) for x in heard} == {None, 101, 102}


def test_ports_of_one_trunk_reach_each_other(host: Scene) -> None:
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 1), sub_port(3, 1))
    trunk = host.guest(port_id(1))
    assert_each_hears(trunk, {1: None, 2: 101, 3: 102})


def test_whatever_becomes_of_the_parent_becomes_of_its_sub_ports(host: Scene) -> None:
    ids = host.plug(parent(1, (2, 101)), sub_port(2, 7))
    trunk = host.guest(ids[0])
    (peer,) = host.guests(attachment(5, network=7))
    assert_reaches(trunk, peer, hello(2, 5, 101), expect=same(hello(2, 5)))
    assert not host.ledger.deactivate(ids[0])
    assert host.findings(ids[1])["trunk.carried"] == f"port {ids[0]} is closed"
    assert not host.ledger.activate(ids[0])
    assert not host.findings()
    trunk.drain()
    assert_reaches(peer, trunk, hello(5, 2), expect=tagged(hello(5, 2), 101))
    trunk.close()
    number = host.number(ids[0])
    assert not host.ledger.unplug(ids[0])
    assert f"in_port={number}" not in host.ovs.ofctl("dump-flows", host.bridge)
    assert host.findings(ids[1])["trunk.parent"] == "no port of this host has it as a sub-port"
    # it comes back with it, and is opened by nobody
    host.plug(parent(1, (2, 102)))
    assert not host.findings()
    trunk = host.guest(ids[0])
    assert_reaches(trunk, peer, hello(2, 5, 102), expect=same(hello(2, 5)))


def test_sub_ports_exchange_their_vlans_in_one_step(host: Scene) -> None:
    ids = host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 7), sub_port(3, 8))
    host.plug(parent(1, (2, 102), (3, 101)))
    assert not host.findings()
    trunk = host.guest(ids[0])
    seven, eight = host.guests(attachment(5, network=7), attachment(6, network=8))
    assert_reaches(trunk, seven, hello(2, 5, 102), expect=same(hello(2, 5)))
    assert_reaches(trunk, eight, hello(3, 6, 101), expect=same(hello(3, 6)))
    host.plug(parent(1, (3, 101)))
    assert set(host.findings(ids[1])) == {"trunk.parent"}
    assert not host.findings(ids[0], ids[2])


def test_a_restart_of_the_daemon_sends_nothing(host: Scene) -> None:
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 7), sub_port(3, 1))
    before = oracle.flow_ages(host.ovs)
    again = host.ledger.restart()
    assert not again.carry_out([*again.records])
    assert not again.findings()
    after = oracle.flow_ages(host.ovs)
    assert after.keys() == before.keys()
    assert all(after[flow] >= before[flow] for flow in before)
