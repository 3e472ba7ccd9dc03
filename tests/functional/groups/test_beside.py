"""Two ports with groups on one host: both their rules hold, and an answer is one only if it was
asked for by who gets it."""

from __future__ import annotations

from typing import Any

import pytest

from functional.groups import packets as p
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.table import GROUP, PEER, PORT, WIRE
from functional.groups.test_changes import ALL_OUT, IN, OTHER
from vifd.testing import crafted as c
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat

ALL_IN = [{**IN, "ethertype": "IPv4"}, {**IN, "ethertype": "IPv6"}]


def plug(rig: Rig) -> None:
    rig.plug(
        port=attachment(1, segment=flat(), security_groups=[GROUP]),
        peer=attachment(2, segment=flat(), security_groups=[OTHER]),
    )


#: Where a connection begins: a server's port, and one that clients are given.
LOW, HIGH = 700, 40700


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("name", "sport"),
    [("udp:53", LOW), ("udp:53", HIGH), ("tcp:80", HIGH), ("tcp:40080", LOW), ("icmp:8/0", LOW),
     ("proto:47", LOW)],
)  # fmt: skip
def test_who_began_is_answered_and_nobody_else(rig, version, name, sport):
    rig.say(GROUP, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    plug(rig)
    asked = p.first(name, PORT, PEER, version, sport)
    assert not rig.arrives("peer", p.answer(name, PEER, PORT, version, sport), "port")
    assert rig.arrives("port", asked, "peer")
    assert rig.arrives("peer", p.answer(name, PEER, PORT, version, sport), "port")
    number = int(name.partition(":")[2].partition("/")[0])
    again = (
        asked if not name.startswith("tcp") else p.tcp(PORT, PEER, version, sport, number, p.ACK)
    )
    assert rig.arrives("port", again, "peer")
    if name != "proto:47":  # which has no ports: it is the same connection
        assert not rig.arrives("peer", p.first(name, PEER, PORT, version, sport + 1), "port")
    if name.startswith(("udp", "tcp")):
        error = p.unreachable(asked, PEER, PORT, version)
        assert rig.arrives("peer", error, "port")
    rig.say(OTHER, *ALL_OUT)
    assert not rig.arrives("port", again, "peer")
    assert not rig.arrives("peer", p.answer(name, PEER, PORT, version, sport), "port")


@pytest.mark.parametrize("sport", [LOW, HIGH])
def test_an_answer_that_a_forger_asked_for_is_none(rig, sport):
    """The wire asks the peer as the port: that the port asked, its own zone must know."""
    rig.say(GROUP, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    plug(rig)
    forged = p.first("udp:53", PORT, PEER, 4, sport)
    assert rig.arrives("wire", forged, "peer")
    assert not rig.arrives("peer", p.answer("udp:53", PEER, PORT, 4, sport), "port")


def test_an_answer_goes_to_who_asked_and_to_no_other_port(rig):
    """The peer gives a third port for an answer what it may tell the port that asked."""
    rig.say(GROUP, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    rig.plug(
        port=attachment(1, segment=flat(), security_groups=[GROUP]),
        peer=attachment(2, segment=flat(), security_groups=[OTHER]),
        third=attachment(3, segment=flat(), security_groups=[GROUP]),
    )
    assert rig.arrives("port", p.first("udp:53", PORT, PEER, 4, 715), "peer")
    told = p.answer("udp:53", PEER, PORT, 4, 715)
    assert rig.arrives("peer", told, "port")
    third = rig.ledger.records[rig.names["third"]].attachment.mac
    assert not rig.arrives("peer", f.mac_bytes(third) + told[6:], "third")
    assert rig.arrives("peer", told, "port")


def test_what_was_refused_is_no_connection(rig):
    """Both use the same port for both ends; what one began and the other refused does not make an
    answer of what the other begins."""
    rig.say(GROUP, *ALL_OUT, *ALL_IN)
    rig.say(OTHER, *ALL_OUT)
    plug(rig)

    def ike(src: p.Station, dst: p.Station) -> bytes:
        return f.udp(src.mac, dst.mac, src.ip4, dst.ip4, b"ike", sport=500, dport=500)

    assert not rig.arrives("port", ike(PORT, PEER), "peer")
    assert rig.arrives("peer", ike(PEER, PORT), "port")
    assert rig.arrives("port", ike(PORT, PEER), "peer")


def test_rules_without_state_at_the_receiver_and_with_state_at_the_sender(rig):
    rig.say(GROUP, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, *ALL_IN, stateful=False)
    plug(rig)
    assert rig.arrives("port", p.first("udp:53", PORT, PEER, 4, 720), "peer")
    assert rig.arrives("peer", p.answer("udp:53", PEER, PORT, 4, 720), "port")
    assert not rig.arrives("peer", p.first("udp:53", PEER, PORT, 4, 721), "port")


def test_an_address_that_both_may_have_is_followed_by_each_port_itself(rig):
    pair: dict[str, Any] = {
        "allowed_address_pairs": [{"ip_address": WIRE.ip4, "mac_address": PEER.mac}]
    }
    rig.say(GROUP, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    rig.plug(
        port=attachment(1, segment=flat(), security_groups=[GROUP], **pair),
        peer=attachment(2, segment=flat(), security_groups=[OTHER]),
    )
    assert rig.arrives("port", p.first("udp:53", PORT, PEER, 4, 730), "peer")
    assert rig.arrives("peer", p.answer("udp:53", PEER, PORT, 4, 730), "port")
    assert rig.arrives("port", p.first("udp:53", PORT, PEER, 4, 730), "peer")


@pytest.mark.parametrize("version", [4, 6])
def test_an_answer_in_fragments_is_put_together(ovs, version):
    """All of them go the same way, though the first alone shows its ports."""
    cut = c.fragments4 if version == 4 else c.fragments6
    with RealRig(ovs, None) as rig:
        rig.sets.group(GROUP, *ALL_OUT)
        rig.sets.group(OTHER, *ALL_OUT, *ALL_IN)
        here = {"network_type": "local"}
        rig.plug(port=attachment(1, segment=here, security_groups=[GROUP]),
                 peer=attachment(2, segment=here, security_groups=[OTHER]))  # fmt: skip
        assert rig.arrives("port", p.first("udp:53", PORT, PEER, version, HIGH), "peer")
        told = f.udp(PEER.mac, PORT.mac, PEER.ip(version), PORT.ip(version), bytes(3000), sport=53,
                     dport=HIGH)  # fmt: skip
        *first, last = cut(told, 1304)
        for piece in first:
            rig.throw("peer", piece)
        assert rig.arrives("peer", last, "port")


def test_an_error_about_a_connection_of_others_is_none(rig):
    """The port may ask the peer, and tells it of a connection that it has elsewhere. (On a bridge
    of the kernel both are in one zone.)"""
    rig.say(GROUP, *ALL_OUT, *ALL_IN)
    rig.say(OTHER, *ALL_OUT, {**IN, "protocol": "udp"})
    plug(rig)
    elsewhere = p.first("udp:53", PORT, WIRE, 4, 750)
    assert rig.arrives("port", elsewhere, "wire")
    back = p.answer("udp:53", WIRE, PORT, 4, 750)
    assert rig.arrives("wire", back, "port")
    if isinstance(rig, (FakeRig, RealRig)):
        assert not rig.arrives("port", p.unreachable(back, PORT, PEER, 4), "peer")
    asked = p.first("udp:53", PORT, PEER, 4, 751)
    assert rig.arrives("port", asked, "peer")
    answered = p.answer("udp:53", PEER, PORT, 4, 751)
    assert rig.arrives("peer", answered, "port")
    assert rig.arrives("port", p.unreachable(answered, PORT, PEER, 4), "peer")
