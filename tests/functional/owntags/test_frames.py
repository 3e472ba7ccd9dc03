"""Tags that guests set themselves: carried as they were sent, beneath the network's own, on
networks that are transparent for VLANs, or a service provider's (QinQ)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functional.owntags.documents import (
    C_TAG,
    S_TAG,
    carrying,
    equal,
    hello,
    on,
    tagged,
)
from functional.scene import Scene
from functional.trunks.documents import parent, sub_port
from functional.tunnels.hosts import behind, joined
from functional.tunnels.traffic import asks, segment
from vifd.policy.owntags import QINQ, TRANSPARENT
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat, ipv4, ipv6, mac, port_id, vlan
from vifd.testing.guests import Guest, PacketGuest, assert_only, assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: A VLAN with a priority, a mere priority, and the highest one.
TAGS = (0xA005, 0x6000, 4094)


@pytest.fixture
def host(ovs: PrivateOvs) -> Iterator[Scene]:
    with Scene(ovs) as scene:
        yield scene


@pytest.fixture
def wired(ovs: PrivateOvs, wire: PacketGuest) -> Iterator[Scene]:
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        yield scene


def reaches(one: Guest, two: Guest, sent: bytes, received: bytes | None = None) -> None:
    assert_reaches(one, two, sent, expect=equal(received or sent))


@pytest.mark.parametrize("secured", [True, False])
def test_from_guest_to_guest_as_it_was_sent(host: Scene, secured: bool) -> None:
    one, two = host.guests(*(on(n, port_security_enabled=secured) for n in (1, 2)))
    for six in (False, True):
        reaches(one, two, hello(1, 2, six=six))
        for tag in TAGS:
            reaches(one, two, tagged(hello(1, 2, six=six), tag))
    for tag in TAGS:
        reaches(one, two, tagged(f.arp_request(mac(1), ipv4(1), ipv4(2)), tag))
        reaches(two, one, tagged(f.neighbour_solicitation(mac(2), ipv6(2), ipv6(1)), tag))
    assert not host.findings()


def test_beneath_a_tag_a_guest_is_held_to_its_addresses(host: Scene) -> None:
    one, two = host.guests(on(1), on(2))
    lies = [
        f.udp(mac(9), mac(2), ipv4(1), ipv4(2)), f.udp(mac(1), mac(2), ipv4(9), ipv4(2)),
        f.udp(mac(1), mac(2), ipv6(9), ipv6(2)), f.arp_request(mac(1), ipv4(9), ipv4(2)),
        f.neighbour_solicitation(mac(1), ipv6(9), ipv6(2)),
    ]  # fmt: skip
    # what is beneath two cannot be seen, be it the truth
    lies = [*(tagged(lie, tag) for lie in lies for tag in TAGS), tagged(hello(1, 2), 5, 6)]
    lies += [tagged(hello(1, 2), 5, 6, kind=S_TAG)]
    assert_only(two, forbidden=[(one, lie) for lie in lies], allowed=(one, tagged(hello(1, 2), 5)),
                expect=equal(tagged(hello(1, 2), 5)))  # fmt: skip
    until(lambda: host.counted(port_id(1)) >= len(lies), "each is counted")


def test_without_port_security_any_number_of_tags_passes(host: Scene) -> None:
    one, two = host.guests(*(on(n, port_security_enabled=False) for n in (1, 2)))
    for kind in (C_TAG, S_TAG):
        reaches(one, two, tagged(hello(1, 2), 5, 6, kind=kind))
        reaches(one, two, tagged(hello(1, 2), 5, 6, 7, kind=kind))


@pytest.mark.parametrize(("feature", "kind"), [(TRANSPARENT, C_TAG), (QINQ, S_TAG)])
def test_beneath_the_tag_of_the_network_on_the_wire(
    wired: Scene, wire: PacketGuest, feature: str, kind: int
) -> None:
    (one,) = wired.guests(on(1, feature, segment=vlan(101)))
    for tags in ((), (5,), (0xA005,), (101,)):
        for six in (False, True):
            out, back = hello(1, 9, six=six), hello(9, 1, six=six)
            reaches(one, wire, tagged(out, *tags), tagged(out, 101, *tags, kind=kind))
            reaches(wire, one, tagged(back, 101, *tags, kind=kind), tagged(back, *tags))
        asked = f.arp_request(mac(9), ipv4(9), ipv4(1))
        reaches(wire, one, tagged(asked, 101, *tags, kind=kind), tagged(asked, *tags))
    reaches(wire, one, tagged(hello(9, 1), 101, 5, 6, kind=kind), tagged(hello(9, 1), 5, 6))
    # another network of the same wire
    assert_only(one, forbidden=[(wire, tagged(hello(9, 1), *t, kind=kind))
                                for t in ((102,), (5,), (5, 101), (102, 5))],
                allowed=(wire, tagged(hello(9, 1), 101, 5, kind=kind)),
                expect=equal(tagged(hello(9, 1), 5)))  # fmt: skip
    assert not wired.findings()


def test_two_tags_of_a_guest_leave_beneath_a_third(wired: Scene, wire: PacketGuest) -> None:
    (one,) = wired.guests(on(1, segment=vlan(101), port_security_enabled=False))
    reaches(one, wire, tagged(hello(1, 9), 5, 6), tagged(hello(1, 9), 101, 5, 6))
    reaches(one, wire, tagged(hello(1, 9), 5, 6, 7), tagged(hello(1, 9), 101, 5, 6, 7))


def test_a_whole_frame_with_a_tag(wired: Scene, wire: PacketGuest) -> None:
    """The network leaves room for one tag by 4 bytes; the wire carries 1500."""
    one, two = wired.guests(*(on(n, segment=vlan(101), mtu=1496) for n in (1, 2)))
    whole = hello(1, 2, bytes(1496 - 28))
    reaches(one, two, tagged(whole, 5))
    out = hello(1, 9, bytes(1496 - 28))
    reaches(one, wire, tagged(out, 5), tagged(out, 101, 5))


@pytest.mark.parametrize("segment_", [flat(), None])
def test_where_tags_are_not_carried_they_are_dropped(
    wired: Scene, wire: PacketGuest, segment_: dict[str, object] | None
) -> None:
    """On a flat network a tag would be a VLAN of the physical network; local networks have no tag
    that could be the provider's."""
    feature = TRANSPARENT if segment_ else QINQ
    one, two = wired.guests(*(on(n, feature, segment=segment_) for n in (1, 2)))
    receivers: list[tuple[Guest, int]] = [(two, 2), *([(wire, 9)] if segment_ else [])]
    for to, number in receivers:
        sent = hello(1, number)
        assert_only(to, forbidden=[(one, tagged(sent, tag)) for tag in (5, 101)],
                    allowed=(one, sent), expect=equal(sent))  # fmt: skip


@pytest.mark.parametrize("kind", ["vxlan", "gre", "geneve"])
def test_by_a_tunnel(kind: str) -> None:
    """What is asked in a VLAN of the guests' own is for its likes there: nobody answers here."""
    with joined(1, 2) as (here, there):
        here.know(behind(2, 5))
        there.know(behind(1, 2))
        (one,) = here.guests(on(2, segment=segment(kind)))
        (two,) = there.guests(on(5, segment=segment(kind)))
        for frame in (hello(2, 5), f.udp(mac(2), f.BROADCAST, ipv4(2), "255.255.255.255"),
                      asks(2, 5), f.neighbour_solicitation(mac(2), ipv6(2), ipv6(5))):  # fmt: skip
            reaches(one, two, tagged(frame, 0xA005))
        one.send(asks(2, 5))
        one.recv(predicate=lambda x: x[12:14] == b"\x08\x06" and x[20:22] == b"\0\2")
        assert not here.findings()


def test_of_a_sub_port_beneath_its_own(host: Scene) -> None:
    host.plug(parent(1, (2, 301)), carrying(sub_port(2, 7, port_security_enabled=False)))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(on(5, network=7))
    reaches(trunk, peer, tagged(hello(2, 5), 301, 6), tagged(hello(2, 5), 6))
    reaches(peer, trunk, tagged(hello(5, 2), 6), tagged(hello(5, 2), 301, 6))
    assert_only(peer, forbidden=[(trunk, tagged(hello(2, 5), 6))],
                allowed=(trunk, tagged(hello(2, 5), 301, 6)),
                expect=equal(tagged(hello(2, 5), 6)))  # fmt: skip
    assert not host.findings()


def test_a_network_becomes_transparent_and_ceases_to_be(host: Scene) -> None:
    """In place: of a guest that runs."""
    one, two = host.guests(on(1), on(2))
    reaches(one, two, tagged(hello(1, 2), 5))
    host.plug(attachment(1), attachment(2))
    assert_only(two, forbidden=[(one, tagged(hello(1, 2), 5))], allowed=(one, hello(1, 2)),
                expect=equal(hello(1, 2)))  # fmt: skip
    host.plug(on(1), on(2))
    reaches(one, two, tagged(hello(1, 2), 5))
