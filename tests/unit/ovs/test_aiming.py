"""What stands beside a bridge's ports."""

from __future__ import annotations

from vifd.drivers import PortSpec
from vifd.openflow.flow import flow
from vifd.plugin import Host
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.aiming import Aiming
from vifd_ovs.bridge.flows import GUARD
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.rulesets import Rulesets
from vifd_ovs.bridge.tables import CLASSIFY
from vifd_ovs.bridge.target import Target

#: Ways out by their marks.
WAYS = {"int-1": marks.PATCH, "vxlan-1": marks.TUNNEL}


def target(*, ours: bool) -> tuple[Target, dict[str, int]]:
    """Of a bridge whose ways out nobody uses, and the numbers of these."""
    machine = FakeMachine()
    if not ours:
        machine.add_bridge("br-int")
    else:
        machine.ovsdb.ensure_bridge(
            "br-int", datapath_type="netdev", fail_mode="secure", protocols=(),
            external_ids={marks.BRIDGE: "integration"},
        )  # fmt: skip
    machine.ovsdb.ensure_ports(
        "br-int", [PortSpec("of-others", type="patch"),
                   *(PortSpec(n, type="patch", external_ids={k: "x"}) for n, k in WAYS.items())],
    )  # fmt: skip
    rows = machine.ovsdb.wait_ports(list(WAYS), 1.0)
    host = Host(machine.drivers, dict)
    rules = Rulesets(host, lambda: False)
    aiming = Aiming(machine.ovsdb, "br-int", host.sets, rules, False)
    return aiming.target(Roster()), {name: rows[name].ofport or 0 for name in WAYS}


def test_what_comes_by_a_way_that_nobody_uses_is_dropped_on_a_bridge_of_others() -> None:
    """It would be flooded there: out again by another way."""
    found, numbers = target(ours=False)
    assert found.uplinks == numbers
    flows = list(found.all())
    for number in numbers.values():
        assert flow(CLASSIFY, GUARD, cookies.BRIDGE, in_port=number) in flows


def test_on_a_bridge_of_ours_what_is_unknown_is_dropped_anyhow() -> None:
    assert target(ours=True)[0].uplinks == {}
