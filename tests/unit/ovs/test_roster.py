"""The ports of a bridge: whatever changes, it is what a roster made anew would be, and a change
costs what it changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unit.ovs.world import PATCH, UPLINK, port
from vifd.testing.attachments import attachment
from vifd_ovs.bridge.flows import Network
from vifd_ovs.bridge.ports import Gate, SwitchPort
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.target import Target, by_cookie

PORTS = [
    port(attachment(number), tag=tag, gate=gate)
    for number in range(1, 5) for tag in (1, 2) for gate in Gate
]  # fmt: skip
changes = st.lists(
    st.tuples(st.sampled_from(PORTS), st.booleans()).map(
        lambda x: {x[0].id: x[0] if x[1] else None}
    )
)


def target(roster: Roster) -> Target:
    return Target(roster, True, {PATCH: UPLINK})


@given(changes)
def test_a_roster_that_changed_is_like_one_made_anew(
    steps: list[dict[str, SwitchPort | None]],
) -> None:
    roster, plain = Roster(), dict[str, SwitchPort]()
    for change in steps:
        before, flows = dict(roster), [str(f) for f in target(roster).all()]
        changed = roster.changed(change)
        assert dict(roster) == before, "who reads meanwhile reads what was true"
        assert [str(f) for f in target(roster).all()] == flows
        roster = changed
        plain |= {i: p for i, p in change.items() if p is not None}
        for gone in [i for i, p in change.items() if p is None]:
            plain.pop(gone, None)
        assert dict(roster) == plain
        anew = Roster(plain)
        assert roster.patches == anew.patches
        assert roster.port_tags == anew.port_tags
        assert roster.kinds == anew.kinds
        assert roster.networks.keys() == anew.networks.keys()
        assert set(target(roster).all()) == set(target(anew).all())


def test_a_port_that_receives_nothing_changes_no_flow_of_its_network() -> None:
    calls = []

    def make(ports: object) -> list[object]:
        calls.append(ports)
        return []

    network = Network(1, ("local", None, None))
    first, second = attachment(1), attachment(2)
    roster = Roster({first.id: port(first)})
    for gate in (Gate.GUARDED, Gate.CLOSED):
        roster = roster.changed({second.id: port(second, gate=gate)})
        roster.networks[1].flood.flows(network, make)  # type: ignore[arg-type]
    assert len(calls) == 1
    roster = roster.changed({second.id: port(second)})
    for _ in range(3):
        roster.networks[1].flood.flows(network, make)  # type: ignore[arg-type]
    assert len(calls) == 2
    roster.networks[1].flood.flows(Network(1, ("local", None, None), 7), make)  # type: ignore[arg-type]
    assert len(calls) == 3, "the way out is part of them"


def test_what_does_not_differ_is_no_change() -> None:
    one = attachment(1)
    roster = Roster({one.id: port(one)})
    assert roster.changed({one.id: port(one), "other": None}) is roster


@given(changes)
def test_flows_by_cookie_are_those_of_the_ports_networks_and_bridge(
    steps: list[dict[str, SwitchPort | None]],
) -> None:
    roster = Roster()
    for change in steps:
        roster = roster.changed(change)
        wanted = target(roster)
        assert wanted.entries(roster, roster.networks) == by_cookie(wanted.all())


def test_what_did_not_change_is_not_sorted_again() -> None:
    roster = Roster({PORTS[0].id: PORTS[0]})
    once = target(roster).network_entries(PORTS[0].tag)
    assert target(roster).network_entries(PORTS[0].tag) is once
    assert target(roster).bridge_entries() is target(Roster()).bridge_entries()
