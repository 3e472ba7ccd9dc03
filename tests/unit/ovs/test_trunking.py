"""Sub-ports in the pipeline, as pure functions of the ports of a bridge."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from functional.trunks.documents import parent, sub_port
from vifd.capabilities.enforcement import unmet
from vifd.model import Attachment, Wiring
from vifd.model.trunks import is_sub_port
from vifd.plugin import Entry
from vifd.testing.attachments import attachment, flat, port_id, vlan
from vifd_ovs.bridge import subports
from vifd_ovs.bridge.flows import port_flows
from vifd_ovs.bridge.ports import Gate, SwitchPort, Via, switch_port
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.wiring import OvsWiring
from vifd_ovs.plugin import OvsPlugin


def port(wanted: Attachment, number: int, *, opened: bool = True, **names: Any) -> SwitchPort:
    names = {"sub_port": is_sub_port(wanted), **names}
    made = OvsWiring(bridge="br-int", ofport=number, tag=number % 7 + 1, generation=1, **names)
    return switch_port(wanted, made, opened=opened)


PARENT = port(parent(1, (2, 101), (3, None)), 11)
CHILD = port(sub_port(2, 7), 12)
HEIR = port(sub_port(3, 8, segment=vlan(55)), 13)
PLAIN = port(attachment(4), 14)
EVERYBODY = {p.id: p for p in (PARENT, CHILD, HEIR, PLAIN)}


def test_a_sub_port_is_reached_by_its_parent() -> None:
    roster = Roster(EVERYBODY)
    assert roster[CHILD.id].via == Via(PARENT.id, 11, 101)
    assert roster[HEIR.id].via == Via(PARENT.id, 11, 55)
    assert roster[CHILD.id].is_open


@pytest.mark.parametrize("seed", range(20))
def test_the_order_does_not_matter(seed: int) -> None:
    order = random.Random(seed).sample(sorted(EVERYBODY), len(EVERYBODY))
    roster = Roster()
    for port_id_ in order:
        roster = roster.changed({port_id_: EVERYBODY[port_id_]})
    assert dict(roster) == dict(Roster(EVERYBODY))
    for port_id_ in order:
        roster = roster.changed({port_id_: None})
    assert not roster
    assert not roster.networks


def test_without_a_parent_it_is_closed_and_comes_in_nowhere() -> None:
    roster = Roster(EVERYBODY).changed({PARENT.id: None})
    for child in (CHILD, HEIR):
        assert (roster[child.id].via, roster[child.id].gate) == (None, Gate.CLOSED)
        assert all(f.table != 0 for f in port_flows(roster[child.id]))
        assert roster.asked(child.id) == child


@pytest.mark.parametrize("opened", [False, True])
def test_a_closed_parent_closes_it_and_one_that_is_down_does_not(opened: bool) -> None:
    down = parent(1, (2, 101), admin_state_up=False)
    roster = Roster(EVERYBODY).changed({PARENT.id: port(down, 11, opened=opened)})
    assert roster[PARENT.id].gate is Gate.CLOSED
    assert roster[CHILD.id].gate is (Gate.OPEN if opened else Gate.CLOSED)
    assert roster[CHILD.id].via == Via(PARENT.id, 11, 101)


def test_of_two_parents_it_is_nobodys() -> None:
    roster = Roster(EVERYBODY).changed({port_id(5): port(parent(5, (2, 9)), 15)})
    assert roster[CHILD.id].via is None
    assert roster[HEIR.id].via is not None


def test_a_vlan_that_another_one_has_is_not_inherited() -> None:
    both = port(parent(1, (2, 55), (3, None)), 11)
    roster = Roster({**EVERYBODY, PARENT.id: both})
    assert roster[CHILD.id].via == Via(PARENT.id, 11, 55)
    assert roster[HEIR.id].via is None


def test_who_a_change_concerns_besides() -> None:
    roster = Roster(EVERYBODY)
    assert roster.concerned({PARENT.id: None}) == {CHILD.id, HEIR.id}
    assert roster.concerned({PARENT.id: None, CHILD.id: None}) == {HEIR.id}
    assert roster.concerned({PLAIN.id: None}) == set()
    without = port(parent(1), 11)
    assert roster.concerned({PARENT.id: without}) == {CHILD.id, HEIR.id}


def test_a_parents_own_flows_are_those_of_any_port() -> None:
    for opened in (False, True):
        plain = port(attachment(1), 11, opened=opened)
        assert port_flows(plain) == port_flows(port(parent(1, (2, 5)), 11, opened=opened))


@pytest.mark.parametrize("field", ["vlan_transparent", "qinq"])
def test_a_guests_own_tags_are_refused_with_the_reason_where_they_are_not_carried(
    field: str,
) -> None:
    wanted = attachment(1, segment=flat())
    wanted = msgspec.structs.replace(
        wanted, required={"features": [field]},
        network=msgspec.structs.replace(wanted.network, **{field: True}),
    )  # fmt: skip
    (refusal,) = unmet(wanted, OvsPlugin.describe(), plugin="ovs")
    assert refusal.facts["feature"] == field
    assert "a guest's tag would be a VLAN of the physical network" in refusal.facts["note"]


@pytest.mark.parametrize("first", ["parent", "sub-port"])
def test_relatives_on_another_bridge_are_refused_whoever_came_first(first: str) -> None:
    one, two = parent(1, (2, 5)), sub_port(2, 7)
    here, comes = (one, two) if first == "parent" else (two, one)
    names = OvsWiring(bridge="br-other", ofport=1, tag=1, generation=1, sub_port=here is two)
    ledger = {here.id: Entry(here, Wiring("vhostuser", "vhostuser", "x", names.details()), True)}
    (lacking,) = subports.needs(comes, ledger, "ovs", "br-int")
    assert not lacking.met
    assert lacking.error is not None
    assert lacking.error.code == "E_TRUNK_CONFLICT"
    assert f"port {here.id} of plugin vhostuser, is on bridge br-other" in lacking.error.message
    assert not [*subports.needs(comes, ledger, "ovs", "br-other")]
    assert not [*subports.needs(attachment(3), ledger, "ovs", "br-int")]
