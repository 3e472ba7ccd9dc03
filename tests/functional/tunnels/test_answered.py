"""ARP and neighbour discovery of guests on bridges of the kernel, answered on their own devices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from functional.tunnels.bridgehost import BridgeHost
from functional.tunnels.hosts import Fabric, behind
from functional.tunnels.traffic import asks, segment, unicast
from vifd.drivers.nft.objects import ANSWERED
from vifd.model import Attachment
from vifd.plugin import ANSWERS
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import TapGuest, assert_only, assert_reaches, equal_to
from vifd.testing.wait import PATIENCE

pytestmark = pytest.mark.needs("kernel:vxlan", "program:ip")
_NOBODY = "00:00:00:00:00:00"


def port(number: int, **said: Any) -> Attachment:
    return attachment(number, segment=segment(), mtu=1400, **said)


def mac_to(frame: bytes, target: str) -> bytes:
    """A frame to one host alone."""
    return f.mac_bytes(target) + frame[6:]


def solicits(source: int, target: int) -> bytes:
    return f.neighbour_solicitation(mac(source), ipv6(source), ipv6(target))


def arp_answer(asker: int, holder: int) -> bytes:
    return f.arp_reply(mac(holder), ipv4(holder), mac(asker), ipv4(asker))


def advertised(asker: int, holder: int) -> bytes:
    """Solicited and overriding, no router (RFC 4861, 4.4)."""
    rest = b"\x60\0\0\0" + f.ip_bytes(ipv6(holder)) + b"\x02\x01" + f.mac_bytes(mac(holder))
    return f.icmpv6(mac(holder), mac(asker), ipv6(holder), ipv6(asker), 136, rest)


def answered(guest: TapGuest, asker: int, holder: int) -> None:
    """Both questions get their answer, byte for byte."""
    for question, answer in ((asks(asker, holder), arp_answer(asker, holder)),
                             (solicits(asker, holder), advertised(asker, holder))):  # fmt: skip
        guest.send(question)
        guest.recv(predicate=equal_to(answer))


@contextlib.contextmanager
def pair(version: int = 4) -> Iterator[tuple[BridgeHost, BridgeHost]]:
    """Two hosts, of which the first answers."""
    with Fabric() as fabric:
        here = fabric.enter_context(BridgeHost(fabric, 1, version, arp_responder=True))
        there = fabric.enter_context(BridgeHost(fabric, 2, version))
        there.know(behind(1, 1, version=version))
        yield here, there


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_known_is_answered_and_nothing_of_it_leaves(leaks, version):
    with pair(version) as (here, there):
        here.know(behind(2, 2, version=version))
        (one,), (two,) = here.guests(port(1)), there.guests(port(2))
        answered(one, 1, 2)
        questions = [asks(1, 2), solicits(1, 2)]
        assert_only(two, forbidden=[(one, q) for q in questions], allowed=(one, unicast(1, 2)))
        assert not here.scene.findings()
        assert not here.ledger.unplug()
        assert here.scene.nft.list_answers(ANSWERED) == ([], [])


def test_what_must_reach_all_does(leaks):
    """What is not known, probes, announcements, and questions to one host alone."""
    with pair() as (here, there):
        here.know(behind(2, 2))
        (one,), (two,) = here.guests(port(1)), there.guests(port(2))
        unknown = f.neighbour_solicitation(mac(1), ipv6(1), ipv6(55))
        for frame in (
            asks(1, 55), unknown,
            f.arp(1, mac(1), "0.0.0.0", _NOBODY, ipv4(2)),
            f.arp_request(mac(1), ipv4(1), ipv4(1)),
            f.arp_reply(mac(1), ipv4(1), f.BROADCAST, ipv4(1)),
            f.neighbour_solicitation(mac(1), "::", ipv6(1)),
            f.neighbour_advertisement(mac(1), ipv6(1), ipv6(1)),
            mac_to(asks(1, 2), mac(2)),
        ):  # fmt: skip
            assert_reaches(one, two, frame)
        answered(one, 1, 2)


def test_what_a_guest_asks_behind_a_tag_of_its_own_is_for_others(leaks):
    """Its own VLANs on a network that carries them: another network's addresses."""

    def carrying(number: int) -> Attachment:
        made = port(number)
        network = msgspec.structs.replace(made.network, vlan_transparent=True)
        return msgspec.structs.replace(made, network=network)

    with pair() as (here, there):
        here.know(behind(2, 2))
        (one,), (two,) = here.guests(carrying(1)), there.guests(carrying(2))
        answered(one, 1, 2)
        for question in (asks(1, 2), solicits(1, 2)):
            assert_reaches(one, two, question[:12] + b"\x81\0\0\5" + question[12:])


def test_it_follows_the_forwarding(leaks):
    with pair() as (here, there):
        (one,), (two,) = here.guests(port(1)), there.guests(port(2))
        here.know(behind(2))
        assert_reaches(one, two, asks(1, 2))
        assert here.know(behind(2, 2, 3)) == {port(1).id}
        answered(one, 1, 2)
        answered(one, 1, 3)
        # another host says the address as well: nobody knows who is right
        here.know(behind(2, 2, 3), behind(3, 3))
        answered(one, 1, 3)
        here.know(behind(2, 2))
        answered(one, 1, 2)
        assert_reaches(one, two, asks(1, 3))
        assert not here.scene.findings()
        here.sets.all.clear()
        here.scene.heal()
        assert here.scene.nft.list_answers(ANSWERED) == ([], [])
        assert not here.scene.findings()


def test_who_may_claim_an_address_here_is_not_answered_for(leaks):
    """Its own address would be told to be in use; a port without port security may announce any."""
    with pair() as (here, there):
        here.know(behind(2, 2, 3, 4))
        free = port(5, port_security_enabled=False)
        pairs = [{"ip_address": ipv4(3)}, {"ip_address": ipv6(3)}]
        one, _, open_ = here.guests(port(1), port(4, allowed_address_pairs=pairs), free)
        (two,) = there.guests(port(2))
        answered(one, 1, 2)
        for holder in (3, 4):
            assert_reaches(one, two, asks(1, holder))
            assert_reaches(one, two, solicits(1, holder))
        assert_reaches(open_, two, asks(5, 2))
        assert not here.ledger.unplug(port(4).id)
        answered(one, 1, 3)
        answered(one, 1, 4)
        assert not here.scene.findings()


def test_a_closed_port_is_told_nothing(leaks):
    with pair() as (here, _):
        here.know(behind(2, 2, 3))
        (one,) = here.guests(port(1))
        answered(one, 1, 2)
        assert not here.ledger.deactivate(port(1).id)
        one.drain()
        one.send(asks(1, 2))
        assert not here.ledger.activate(port(1).id)
        here.scene.forwards(one.name)
        one.send(asks(1, 3))
        heard = one.collect(PATIENCE, equal_to(arp_answer(1, 3)))
        assert arp_answer(1, 2) not in heard


def test_drift_is_found_and_mended(leaks):
    with pair() as (here, _):
        here.know(behind(2, 2))
        (one,) = here.guests(port(1))
        nft = here.scene.nft
        for harm, finding in (
            (lambda: nft.ask(ANSWERED, {one.name: None}), "nft.asks"),
            (lambda: nft.answer(ANSWERED, "vxlan-101", {ipv4(2): mac(9)}), "nft.answers"),
            (lambda: nft.answer(ANSWERED, "vxlan-101", None), "nft.asks"),
        ):  # fmt: skip
            harm()
            assert set(here.scene.findings()) == {finding}
            here.scene.heal()
            assert not here.scene.findings()
            answered(one, 1, 2)


def test_what_no_port_stands_for_goes_with_other_garbage(leaks):
    with pair() as (here, _):
        here.know(behind(2, 2))
        (one,) = here.guests(port(1))
        nft = here.scene.nft
        nft.answer(ANSWERED, "vxlan-7", {ipv4(2): mac(2)})
        nft.ask(ANSWERED, {"lo": "vxlan-7"})
        here.ledger.plugin.discard([])
        assert nft.list_answers(ANSWERED) == ([one.name], ["vxlan-101"])


def test_the_report_says_who_answers(leaks):
    with pair() as (here, there):
        features = here.ledger.plugin.probe().unenforced, there.ledger.plugin.probe().unenforced
        assert ANSWERS not in features[0]
        assert "arp_responder is off" in features[1][ANSWERS]
