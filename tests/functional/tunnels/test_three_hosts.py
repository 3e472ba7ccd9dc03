"""Three hosts, by each tunnel type over each version of IP: floods reach the endpoints of their
network and nobody else; what is known is answered where it is asked; a port that moves loses no
frame on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from functional.tunnels.hosts import VifdHost, behind, joined, underlay_ip
from functional.tunnels.test_two_hosts import CASES
from functional.tunnels.traffic import asks, broadcast, segment, unicast
from vifd.model import Attachment
from vifd.model.sets import Endpoint
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.census import Census
from vifd.testing.guests import Predicate, assert_only, assert_reaches, equal_to
from vifd.testing.wait import until

MTU = 1400


@dataclass(frozen=True)
class Hosts:
    """The hosts, and what joins them."""

    all: Sequence[VifdHost]
    kind: str
    version: int

    def port(self, n: int, network: int = 1) -> Attachment:
        return attachment(n, network=network, segment=segment(self.kind, 100 + network), mtu=MTU)

    def behind(self, host: int, *ports: int) -> Endpoint:
        return behind(host, *ports, version=self.version)

    def outer_to(self, host: int, inner: bytes) -> Predicate:
        """Whether a packet of the underlay is for a host and holds a frame."""
        target = f.ip_bytes(underlay_ip(host, self.version))
        kind, at = (b"\x08\x00", 30) if self.version == 4 else (b"\x86\xdd", 38)

        def is_one(packet: bytes) -> bool:
            there = packet[at : at + len(target)]
            return packet[12:14] == kind and there == target and inner in packet

        return is_one


@pytest.fixture(params=CASES, ids=[f"{kind}-ipv{version}" for kind, version in CASES])
def hosts(request: pytest.FixtureRequest, leaks: Census) -> Iterator[Hosts]:
    kind, version = request.param
    with joined(1, 2, 3, version=version) as made:
        yield Hosts(made, kind, version)


def _beyond(sent: list[int], mark: int) -> bool:
    return len(sent) > mark


def test_a_flood_reaches_the_endpoints_of_its_network_alone(hosts):
    port, behind, outer_to = hosts.port, hosts.behind, hosts.outer_to
    one, two, three = hosts.all
    one.know(behind(2, 2))
    one.know(behind(3, 13), number=2)
    two.know(behind(1, 1))
    three.know(behind(1, 11), number=2)
    first, other = one.guests(port(1), port(11, 2))
    (second,) = two.guests(port(2))
    (third,) = three.guests(port(13, 2))
    assert_reaches(first, second, broadcast(1))
    assert_reaches(other, third, broadcast(11))
    for forbidden in (broadcast(1, b"net1"), asks(1, 99), unicast(1, 77, b"net1")):
        assert_only(
            one.wire, forbidden=[(first, forbidden)], allowed=(other, broadcast(11)),
            expect=outer_to(3, broadcast(11)),
            leaked=lambda sent, packet: outer_to(3, sent)(packet),
        )  # fmt: skip
    # and none comes back to who sent it, or goes on to a third
    two.know(behind(1, 1), behind(3, 3))
    assert_only(
        two.wire, forbidden=[(first, broadcast(1, b"once"))], allowed=(second, unicast(2, 1)),
        expect=outer_to(1, unicast(2, 1)),
        leaked=lambda sent, packet: outer_to(3, sent)(packet) or outer_to(1, sent)(packet),
    )  # fmt: skip


def test_what_is_known_is_answered_here_and_nothing_leaves(hosts):
    port, behind, outer_to = hosts.port, hosts.behind, hosts.outer_to
    one, two, _ = hosts.all
    one.know(behind(2, 2))
    (first,) = one.guests(port(1))
    (second,) = two.guests(port(2))
    two.know(behind(1, 1))
    first.send(asks(1, 2))
    first.recv(predicate=equal_to(f.arp_reply(mac(2), ipv4(2), mac(1), ipv4(1))))
    question = f.neighbour_solicitation(mac(1), ipv6(1), ipv6(2))
    first.send(question)
    answer = first.recv(
        predicate=lambda x: x[:14] == f.mac_bytes(mac(1)) + f.mac_bytes(mac(2)) + b"\x86\xdd"
    )
    # solicited and overriding, no router (RFC 4861, 4.4)
    rest = b"\x60\0\0\0" + f.ip_bytes(ipv6(2)) + b"\x02\x01" + f.mac_bytes(mac(2))
    assert answer == f.icmpv6(mac(2), mac(1), ipv6(2), ipv6(1), 136, rest)
    asked = [asks(1, 2), question]
    assert_only(
        one.wire, forbidden=[(first, q) for q in asked], allowed=(first, unicast(1, 2)),
        expect=outer_to(2, unicast(1, 2)), leaked=lambda sent, packet: sent in packet,
    )  # fmt: skip
    # what is not known is asked of the others
    assert_reaches(first, second, asks(1, 55))
    assert_reaches(first, second, f.neighbour_solicitation(mac(1), ipv6(1), ipv6(55)))
    # an address detection is left to the holder
    assert_reaches(first, second, f.arp(1, mac(1), "0.0.0.0", "00:00:00:00:00:00", ipv4(2)))


def test_a_port_that_moves_loses_no_frame(hosts):
    """2,000 frames a second for a port, whose host changes ten times meanwhile."""
    port, behind = hosts.port, hosts.behind
    one, two, three = hosts.all
    one.know(behind(2, 2), behind(3))
    (first,) = one.guests(port(1))
    (here,) = two.guests(port(2))
    (there,) = three.guests(port(2))
    assert_reaches(first, here, unicast(1, 2))
    one.know(behind(2), behind(3, 2))
    one.settle()
    assert_reaches(first, there, unicast(1, 2))
    sent: list[int] = []
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.0005):
            first.send(unicast(1, 2, b"%08d" % len(sent)))
            sent.append(len(sent))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for round_ in range(10):
            mark = len(sent) + 50
            until(partial(_beyond, sent, mark), "frames are sent")
            at = (behind(2, 2), behind(3)) if round_ % 2 == 0 else (behind(2), behind(3, 2))
            assert one.know(*at) == {attachment(1).id}
    finally:
        done.set()
        thread.join()
    one.settle()
    first.send(unicast(1, 2, b"the end"))
    arrived = there.collect(20.0, equal_to(unicast(1, 2, b"the end")))
    one.know(behind(2, 2), behind(3))
    one.settle()
    first.send(unicast(1, 2, b"the end"))
    arrived += here.collect(20.0, equal_to(unicast(1, 2, b"the end")))
    numbers = {int(x[42:50]) for x in arrived if x[42:50].isdigit()}
    lost = [n for n in sent if n not in numbers]
    assert not lost, f"{len(lost)} of {len(sent)} lost"
    assert len(sent) > 500
