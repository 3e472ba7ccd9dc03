"""A connection that two ports with groups of one host both let begin: one lookup of a packet is
enough for it, in the zone of one of them, and for no other."""

from __future__ import annotations

import pytest

from functional.groups import packets as p
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.table import GROUP, PEER, PORT, sets
from functional.groups.test_beside import ALL_IN, HIGH, LOW, plug
from functional.groups.test_changes import ALL_OUT, OTHER, udp_in
from functional.groups.test_table import assert_no_difference
from vifd.testing import flowkey
from vifd.testing.attachments import attachment, flat
from vifd.testing.guests import PacketGuest, TapGuest
from vifd.testing.sandbox import PrivateOvs

WHO = {"port": PORT, "peer": PEER}
#: Whichever of two ports began, the zone that is asked is now that one's and now the other's.
BOTH_WAYS = [("port", "peer"), ("peer", "port")]


def both_let_all_begin(rig: Rig) -> None:
    rig.say(GROUP, *ALL_OUT, *ALL_IN)
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    plug(rig)


def _the_whole_table(rig: Rig) -> None:
    """Beside a port whose own group lets everything pass all comes out as beside one without."""
    sets(rig.put)
    both_let_all_begin(rig)
    assert_no_difference(rig, others=["peer"])
    assert not rig.ledger.findings()


def test_no_difference_on_fakes() -> None:
    with FakeRig() as rig:
        _the_whole_table(rig)


def test_no_difference_through_the_switch(ovs: PrivateOvs, wire: PacketGuest) -> None:
    with RealRig(ovs, wire) as rig:
        _the_whole_table(rig)


@pytest.mark.parametrize(("one", "two"), BOTH_WAYS)
@pytest.mark.parametrize(
    ("name", "sport"), [("udp:53", LOW), ("udp:53", HIGH), ("udp:40080", LOW), ("udp:40080", HIGH),
                        ("proto:47", LOW)],
)  # fmt: skip
def test_a_packet_is_looked_up_once(one: str, two: str, name: str, sport: int) -> None:
    """A lookup more is a pass more of the switch's datapath, which every packet pays."""
    with FakeRig() as rig:
        both_let_all_begin(rig)
        openflow = rig.machine.openflow

        def lookups(sender: str, frame: bytes) -> int:
            packet = {**flowkey.parse(frame), "in_port": rig.number(sender)}
            journey = openflow.pipeline().send("br-int", packet, openflow.connections)
            assert journey.sent
            return sum("ct(" in str(step) and "table=" in str(step) for _, step in journey.log)

        asked = p.first(name, WHO[one], WHO[two], 4, sport)
        told = p.answer(name, WHO[two], WHO[one], 4, sport)
        assert lookups(one, asked) == lookups(one, asked) == 2
        assert [lookups(two, told), lookups(one, asked), lookups(two, told)] == [1, 1, 1]
        if not name.startswith("proto"):
            assert lookups(one, p.unreachable(told, WHO[one], WHO[two], 4)) == 1
            assert lookups(two, p.unreachable(asked, WHO[two], WHO[one], 4)) == 1


def _either_zone_is_enough(rig: Rig) -> None:
    """What the zone knows that is not asked ends when it hears no more of a connection: whatever
    goes on between the two does so without it, errors about it too."""
    both_let_all_begin(rig)
    for (one, two), sport in zip(BOTH_WAYS, (LOW, LOW + 1), strict=True):
        asked = p.first("udp:53", WHO[one], WHO[two], 4, sport)
        told = p.answer("udp:53", WHO[two], WHO[one], 4, sport)
        assert rig.arrives(one, asked, two)
        assert rig.arrives(two, told, one)
        a, b = rig.number(one), rig.number(two)
        lowest = (a ^ b) & -(a ^ b)
        forgets = b if a & lowest else a
        rig.ledger.drivers.openflow.flush_zones("br-int", [forgets])
        # no rule lets either begin what goes on
        rig.say(GROUP, *ALL_OUT)
        rig.say(OTHER, *ALL_OUT)
        rig.say(OTHER if one == "port" else GROUP, *ALL_OUT, *ALL_IN)
        assert rig.arrives(two, told, one)
        assert rig.arrives(one, asked, two)
        assert rig.arrives(one, p.unreachable(told, WHO[one], WHO[two], 4), two)
        assert rig.arrives(two, p.unreachable(asked, WHO[two], WHO[one], 4), one)
        rig.say(GROUP, *ALL_OUT, *ALL_IN)
        rig.say(OTHER, *ALL_OUT, *ALL_IN)


def test_either_zone_is_enough_on_fakes() -> None:
    with FakeRig() as rig:
        _either_zone_is_enough(rig)


def test_either_zone_is_enough_on_a_switch(ovs: PrivateOvs, wire: PacketGuest) -> None:
    with RealRig(ovs, wire) as rig:
        _either_zone_is_enough(rig)


@pytest.mark.parametrize("sport", [LOW, HIGH])
def test_what_a_forger_began_both_did_not(ovs: PrivateOvs, wire: PacketGuest, sport: int) -> None:
    for rig in (FakeRig(), RealRig(ovs, wire)):
        with rig:
            _a_forger_begins(rig, sport)


def _a_forger_begins(rig: Rig, sport: int) -> None:
    """The wire asks the peer as the port. What the peer answers is let in by a rule of the port's,
    as long as there is one: that the port asked is not said of it."""
    rig.say(GROUP, *ALL_OUT, udp_in(sport, ethertype="IPv4"))
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    plug(rig)
    assert rig.arrives("wire", p.first("udp:53", PORT, PEER, 4, sport), "peer")
    told = p.answer("udp:53", PEER, PORT, 4, sport)
    assert rig.arrives("peer", told, "port")
    assert rig.arrives("peer", told, "port")
    rig.say(GROUP, *ALL_OUT)
    assert not rig.arrives("peer", told, "port")


@pytest.mark.parametrize(("one", "two"), BOTH_WAYS)
def test_a_port_that_comes_with_the_same_number_and_addresses_asked_nothing(
    rig: Rig, one: str, two: str
) -> None:
    """What the one before it asked is still known where it was asked."""
    rig.say(GROUP, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, *ALL_IN)
    groups = {one: GROUP, two: OTHER}
    ports = {
        name: attachment(1 + (name == "peer"), segment=flat(), security_groups=[groups[name]])
        for name in WHO
    }
    rig.plug(**ports)
    told = p.answer("udp:53", WHO[two], WHO[one], 4, LOW)
    assert rig.arrives(one, p.first("udp:53", WHO[one], WHO[two], 4, LOW), two)
    assert rig.arrives(two, told, one)
    number = _number(rig, one)
    _leaves(rig, one)
    rig.plug(**{one: ports[one]})
    assert _number(rig, one) == number
    assert not rig.arrives(two, told, one)


def _number(rig: Rig, name: str) -> object:
    return rig.ledger.records[rig.names[name]].names.details.get("ofport")


def _leaves(rig: Rig, name: str) -> None:
    guests: dict[str, object] = getattr(rig, "guests", {})
    guest = guests.pop(name, None)
    if isinstance(guest, TapGuest):
        guest.close()
    assert not rig.ledger.unplug(rig.names[name])
