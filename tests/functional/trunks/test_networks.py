"""Sub-ports on networks that leave the host, held to groups and limits, changed under traffic."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from functional.scene import Scene
from functional.trunks.documents import parent, sub_port
from functional.tunnels.hosts import behind, joined
from functional.tunnels.traffic import asks, broadcast, segment, unicast
from vifd.model.sets import SetKind
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat, ipv4, ipv6, mac, port_id, vlan
from vifd.testing.guests import Guest, PacketGuest, Predicate, assert_only, assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.sets import MemorySets
from vifd.testing.wait import PATIENCE, until

TAG = 301
ACCEPT = {"direction": "ingress", "protocol": "udp", "ethertype": "IPv4"}
EGRESS = {"direction": "egress", "ethertype": "IPv6"}


@pytest.fixture
def host(ovs: PrivateOvs, wire: PacketGuest) -> Iterator[Scene]:
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        yield scene


def tagged(frame: bytes, tag: int | None = TAG) -> bytes:
    if tag is None:
        return frame
    return frame[:12] + b"\x81\0" + tag.to_bytes(2, "big") + frame[12:]


def equal(frame: bytes) -> Predicate:
    return lambda found: found == frame


def reaches(one: Guest, two: Guest, sent: bytes, received: bytes) -> None:
    assert_reaches(one, two, sent, expect=equal(received))


@pytest.mark.parametrize(("out", "on_wire"), [(vlan(101), 101), (flat(), None)])
def test_by_the_physical_network(
    host: Scene, wire: PacketGuest, out: dict[str, Any], on_wire: int | None
) -> None:
    """The VLAN on the parent's device is not that of the network, and may be the same."""
    for tag in (TAG, 101):
        host.plug(parent(1, (2, tag)), sub_port(2, 7, segment=out))
        with host.guest(port_id(1)) as trunk:
            for frame in (unicast(2, 9), f.arp_request(mac(2), ipv4(2), ipv4(9))):
                reaches(trunk, wire, tagged(frame, tag), tagged(frame, on_wire))
            six = f.udp(mac(9), mac(2), ipv6(9), ipv6(2))
            for frame in (unicast(9, 2), six, broadcast(9)):
                reaches(wire, trunk, tagged(frame, on_wire), tagged(frame, tag))
            assert not host.findings()


def test_the_vlan_is_inherited_from_the_network(host: Scene, wire: PacketGuest) -> None:
    host.plug(parent(1, (2, None)), sub_port(2, 7, segment=vlan(101)))
    trunk = host.guest(port_id(1))
    reaches(trunk, wire, tagged(unicast(2, 9), 101), tagged(unicast(2, 9), 101))
    reaches(wire, trunk, tagged(unicast(9, 2), 101), tagged(unicast(9, 2), 101))


@pytest.mark.parametrize("kind", ["vxlan", "gre", "geneve"])
def test_by_a_tunnel_and_answered_here(kind: str) -> None:
    def four(answer: bytes) -> bool:
        return answer[12:18] == b"\x81\0\x01\x2d\x08\x06" and answer[24:26] == b"\0\2"

    def six(answer: bytes) -> bool:
        return f.vlan_of(answer) == TAG and f.untagged(answer)[54:55] == b"\x88"

    with joined(1, 2) as (here, there):
        here.know(behind(2, 5))
        there.know(behind(1, 2))
        here.plug(
            parent(1, (2, TAG), segment=None, network=3), sub_port(2, 1, segment=segment(kind)),
            attachment(6, segment=segment(kind)),
        )  # fmt: skip
        trunk, beside = here.guest(port_id(1)), here.guest(port_id(6))
        (peer,) = there.guests(attachment(5, segment=segment(kind)))
        reaches(trunk, peer, tagged(unicast(2, 5)), unicast(2, 5))
        reaches(peer, trunk, unicast(5, 2), tagged(unicast(5, 2)))
        reaches(peer, trunk, broadcast(5), tagged(broadcast(5)))
        reaches(trunk, peer, tagged(broadcast(2)), broadcast(2))
        trunk.send(tagged(asks(2, 5)))
        assert f.mac_bytes(mac(5)) in trunk.recv(predicate=four)
        trunk.send(tagged(f.neighbour_solicitation(mac(2), ipv6(2), ipv6(5))))
        assert f.mac_bytes(mac(5)) in trunk.recv(predicate=six)
        # who is no sub-port is answered as ever
        beside.send(asks(6, 5))
        beside.recv(predicate=lambda x: x[12:14] == b"\x08\x06" and x[20:22] == b"\0\2")
        assert not here.findings()
        assert not there.findings()


def test_its_groups_are_its_own(ovs: PrivateOvs, wire: PacketGuest) -> None:
    """The parent has none: what they refuse of the sub-port passes to the parent."""
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as host:
        sets = MemorySets()
        host.ledger.sets = sets
        host.ledger.__post_init__()
        group = port_id(0xABC)
        sets.put(SetKind.SECURITY_GROUP, group, rules=[ACCEPT, EGRESS])
        host.plug(parent(1, (2, TAG)), sub_port(2, 1, security_groups=[group]),
                  attachment(5))  # fmt: skip
        trunk, peer = host.guest(port_id(1)), host.guest(port_id(5))
        ping = f.ping(mac(5), mac(2), ipv4(5), ipv4(2))
        assert_only(trunk, forbidden=[(peer, ping)], allowed=(peer, unicast(5, 2)),
                    expect=equal(tagged(unicast(5, 2))))  # fmt: skip
        # what it asks is answered, whatever comes in unasked
        question, answer = (
            f.udp(mac(a), mac(b), ipv6(a), ipv6(b), sport=p, dport=q)
            for a, b, p, q in ((2, 5, 1000, 53), (5, 2, 53, 1000))
        )
        assert_only(trunk, forbidden=[(peer, answer)], allowed=(peer, unicast(5, 2)),
                    expect=equal(tagged(unicast(5, 2))))  # fmt: skip
        reaches(trunk, peer, tagged(question), question)
        reaches(peer, trunk, answer, tagged(answer))
        assert not host.findings()


def test_its_limits_and_marks_are_its_own(host: Scene) -> None:
    policy = {"rules": [
        {"type": "packet_rate_limit", "max_kpps": 1, "max_burst_kpps": 1, "direction": "egress"},
        {"type": "packet_rate_limit", "max_kpps": 1, "max_burst_kpps": 1, "direction": "ingress"},
        {"type": "bandwidth_limit", "max_kbps": 400, "max_burst_kbps": 100,
         "direction": "ingress"},
        {"type": "dscp_marking", "dscp_mark": 46},
    ]}  # fmt: skip
    host.plug(parent(1, (2, TAG), (3, 302)), sub_port(2, 7, qos_policy=policy), sub_port(3, 7))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(attachment(5, network=7))
    trunk.send(tagged(unicast(2, 5)))
    marked = peer.recv(predicate=lambda x: x[6:12] == f.mac_bytes(mac(2)))
    assert marked[15] >> 2 == 46
    reaches(trunk, peer, tagged(unicast(3, 5), 302), unicast(3, 5))
    reaches(peer, trunk, unicast(5, 2), tagged(unicast(5, 2)))
    facts = {e.fact: e for e in host.ledger.check(port_id(2))[port_id(2)].evidence}
    assert {"qos.packet_rate_limit.egress", "qos.bandwidth_limit.ingress"} <= facts.keys()
    assert not host.findings()
    # as fast as it goes: the sub-port gets what its limit lets pass, its sibling everything
    size, passed, began = 1200, 0, time.monotonic()
    for n in range(200):
        load = n.to_bytes(2, "big").ljust(size)
        peer.send(f.udp(mac(5), mac(2), ipv4(5), ipv4(2), load))
        sibling = f.udp(mac(5), mac(3), ipv4(5), ipv4(3), load)
        peer.send(sibling)
        heard = trunk.collect(PATIENCE, equal(tagged(sibling, 302)))
        passed += sum(f.vlan_of(x) == TAG for x in heard)
    most = 100_000 + 400_000 * (time.monotonic() - began)
    assert passed * size * 8 < most * 1.1 + 2 * size * 8


def test_sub_ports_come_and_go_under_traffic_of_the_others(host: Scene) -> None:
    """No frame of another sub-port, of the parent or of a port beside is lost."""
    host.plug(parent(1, (2, TAG)), sub_port(2, 7))
    trunk = host.guest(port_id(1))
    seven, plain = host.guests(attachment(5, network=7), attachment(6))
    passed, over = 0, threading.Event()
    failed: list[Exception] = []

    def talk() -> None:
        nonlocal passed
        try:
            while not over.is_set():
                number = passed.to_bytes(4, "big")
                one, two = ((2, 5), (1, 6))
                for (a, b), tag, guest in ((one, TAG, seven), (two, None, plain)):
                    frame = f.udp(mac(a), mac(b), ipv4(a), ipv4(b), number)
                    trunk.send(tagged(frame, tag))
                    guest.recv(predicate=equal(frame))
                passed += 1
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        for turn in range(6):
            others = [(10 + n, 400 + n) for n in range(turn)]
            host.plug(parent(1, (2, TAG), *others))
            host.plug(*(sub_port(n, 7 + n % 2) for n, _ in others))
            if others:
                host.plug(parent(1, (2, TAG), *others[1:]))
                assert not host.ledger.unplug(port_id(others[0][0]))
        until(lambda: passed > 0 or failed, "frames passed")
    finally:
        over.set()
        thread.join()
    assert not failed
