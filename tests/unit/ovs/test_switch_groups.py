"""A bridge and the rules of security groups on it: when they are read, and when they are left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functional.groups.rig import FakeRig
from functional.groups.table import GROUP
from vifd.plugin.logged import LogDesk
from vifd.testing.attachments import attachment, flat
from vifd_ovs.bridge.switch import Switch

WEB = {"direction": "ingress", "protocol": "tcp", "port_range_min": 443, "port_range_max": 443}
SSH = {**WEB, "port_range_min": 22, "port_range_max": 22}
LOG = "44444444-0000-4000-8000-000000000001"


@pytest.fixture
def rig() -> Iterator[FakeRig]:
    with FakeRig() as made:
        made.say(GROUP, WEB)
        made.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]))
        yield made


def switch_of(rig: FakeRig) -> Switch:
    plugin: Any = rig.ledger.plugin
    (found,) = plugin._switches.values()
    return found


def reads(rig: FakeRig, monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The cookies that are asked for, each time, from now on."""
    asked: list[set[int]] = []
    openflow: Any = rig.ledger.drivers.openflow
    read = openflow.read

    def counted(bridge: str, cookies: Any) -> Any:
        asked.append(set(cookies))
        return read(bridge, cookies)

    monkeypatch.setattr(openflow, "read", counted)
    return asked


def test_rules_that_were_read_back_are_read_again_once_they_change(
    rig: FakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = switch_of(rig)
    switch.unlike([GROUP], anew=False)
    asked = reads(rig, monkeypatch)
    count, todo = switch.unlike([GROUP], anew=False)[GROUP]
    assert (count > 0, bool(todo), asked) == (True, False, [])
    assert switch.unlike([GROUP], anew=True)[GROUP][0] == count
    assert len(asked) == 1
    rig.say(GROUP, WEB, SSH)
    asked.clear()
    more, todo = switch.unlike([GROUP], anew=False)[GROUP]
    assert (more > count, bool(todo), len(asked)) == (True, False, 1)
    rig.reconnect()
    rig.ledger.drivers.openflow.drop_connection("br-int")  # type: ignore[attr-defined]
    asked.clear()
    switch.unlike([GROUP], anew=False)
    assert len(asked) == 1


def test_a_rule_that_is_gone_is_told_until_it_is_back(rig: FakeRig) -> None:
    switch = switch_of(rig)
    rig.damage()
    for _ in range(2):
        assert switch.unlike([GROUP], anew=True)[GROUP][1]
    # what was found is no proof
    assert switch.unlike([GROUP], anew=False)[GROUP][1]


def test_rules_of_a_port_are_nobodys_garbage(rig: FakeRig) -> None:
    switch = switch_of(rig)
    cookie = switch._rules.cookie(GROUP)
    before = rig.state()
    assert switch.sweep([cookie]) == {cookie}
    assert rig.state() == before


def test_what_is_known_of_a_port_goes_with_it(rig: FakeRig) -> None:
    switch, port_id = switch_of(rig), rig.names["port"]
    switch.proven([port_id])
    rules = switch._port_rules
    known = (rules.turns, rules.policies, rules.logged)
    assert all(port_id in one for one in known)
    rig.ledger.unplug(port_id)
    assert not any(port_id in one for one in known)


def test_a_port_is_made_anew_where_its_groups_come_to_something_else(rig: FakeRig) -> None:
    switch = switch_of(rig)
    (ports, rules), was = (switch._known.now, switch._port_rules), rig.state()
    everyone = [*ports.values()]
    assert rules.judged_anew(everyone) == []
    rig.say(GROUP, WEB, SSH)
    # it has another rule, and is the same group to the port
    assert rules.judged_anew(everyone) == []
    rules.policies.clear()
    assert rules.judged_anew(everyone) == everyone
    rig.say(GROUP, WEB, stateful=False)
    assert rules.judged_anew(everyone) == []
    assert rig.state() != was


def test_a_port_is_made_anew_where_something_else_of_it_is_logged() -> None:
    with FakeRig(logs=LogDesk(1000, 1000, lambda _: None)) as rig:
        rig.say(GROUP, WEB)
        rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]))
        switch = switch_of(rig)
        (ports, rules), was = (switch._known.now, switch._port_rules), rig.state()
        everyone = [*ports.values()]
        assert rules.logged_anew(everyone) == []
        rig.put("log", LOG, event="ALL")
        assert rules.logged_anew(everyone) == []
        assert rig.state() != was
        rules.logged.clear()
        assert rules.logged_anew(everyone) == everyone
        rig.put("log", LOG, enabled=False)
        assert rig.state() == was


def test_another_rule_has_its_turn_once_one_was_proven(rig: FakeRig) -> None:
    rig.say(GROUP, WEB, SSH)
    switch, port_id = switch_of(rig), rig.names["port"]
    port = switch._known.now[port_id]

    def tried() -> set[int | None]:
        return {probe.packet.dport for probe in switch.probes(port) if probe.passes}

    first = tried()
    assert tried() == first
    switch.proven([port_id])
    assert tried() != first
    switch.proven([port_id])
    assert tried() == first


def test_rules_that_came_with_another_call_are_not_sent_twice(rig: FakeRig) -> None:
    before = rig.changes()
    rig.say(GROUP, WEB)
    assert rig.changes() == before
    was = rig.state()
    rig.say(GROUP, WEB, SSH)
    assert rig.changes() > before
    assert rig.state() > was
    rig.say(GROUP, WEB)
    assert rig.state() == was
