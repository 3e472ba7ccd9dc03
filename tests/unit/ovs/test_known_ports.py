"""The ports of a bridge as its switch knows them: of the ledger, and what passed through it."""

from __future__ import annotations

import pytest

from unit.ovs.test_switch import entry, port
from vifd.plugin import Entry
from vifd_ovs.bridge.knownports import KnownPorts
from vifd_ovs.bridge.ports import SwitchPort


class Ledger:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.asked = 0

    def __call__(self) -> dict[str, Entry]:
        self.asked += 1
        return self.entries


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def known(ledger: Ledger) -> KnownPorts:
    made = KnownPorts(ledger, "br-int")
    made.load()
    return made


def put(known: KnownPorts, *ports: SwitchPort) -> None:
    known.remember({p.id: p for p in ports})


def test_the_ledger_is_asked_once(ledger: Ledger, known: KnownPorts) -> None:
    one = entry(1)
    ledger.entries[one.attachment.id] = one
    known.load()
    assert (ledger.asked, dict(known.now)) == (1, {})


def test_ports_of_the_ledger_are_known_if_they_are_of_this_bridge(ledger: Ledger) -> None:
    there, elsewhere, unmade = entry(1), entry(2, bridge="br-other"), entry(3, plugged=False)
    ledger.entries = {e.attachment.id: e for e in (there, elsewhere, unmade)}
    known = KnownPorts(ledger, "br-int")
    known.load()
    assert dict(known.now) == {port(1).id: port(1)}


def test_what_was_foreseen_is_what_comes(known: KnownPorts) -> None:
    put(known, port(2))
    coming = known.foresee({port(1).id: port(1)})
    assert dict(known.now) == {port(2).id: port(2)}
    put(known, port(1))
    assert known.now is coming


def test_what_was_foreseen_holds_for_that_change_alone(known: KnownPorts) -> None:
    known.foresee({port(1).id: port(1)})
    put(known, port(1, opened=False))
    assert dict(known.now) == {port(1).id: port(1, opened=False)}


def test_what_was_foreseen_holds_while_nothing_else_changed(known: KnownPorts) -> None:
    known.foresee({port(1).id: port(1)})
    put(known, port(2))
    put(known, port(1))
    assert known.now.keys() == {port(1).id, port(2).id}


def test_what_came_is_foreseen_no_more(known: KnownPorts) -> None:
    coming = known.foresee({port(1).id: port(1)})
    put(known, port(1))
    put(known, port(1))
    known.remember({port(1).id: None})
    assert dict(known.now) == {}
    put(known, port(1))
    assert (known.now == coming, known.now is coming) == (True, False)


def test_whose_a_cookie_is(known: KnownPorts) -> None:
    assert known.bearing(port(1).cookie) is None
    put(known, port(1))
    assert known.bearing(port(1).cookie) == port(1)
    known.remember({port(1).id: None})
    assert known.bearing(port(1).cookie) is None


def test_what_is_lost_is_known_here_and_not_to_the_ledger(
    ledger: Ledger, known: KnownPorts
) -> None:
    put(known, port(1), port(2), port(3))
    ledger.entries = {port(2).id: entry(2)}
    assert known.lost({port(1).cookie, port(2).cookie}) == [port(1).id]
