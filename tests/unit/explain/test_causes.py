"""Findings, and the step that is named first: the cause, not what follows from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit.docs import document
from unit.explain.conftest import PLUGINS
from vifd.explain import Subject, explain
from vifd.explain.causes import Causes, said
from vifd.explain.explanation import Name, State
from vifd.model import Evidence, Phase, PortRecord, Report, Wiring, decode
from vifd.plugin.meanings import Meaning
from vifd_ovs.bridge.flows import ADMIT
from vifd_ovs.bridge.phrases import foreign_above

FOREIGN = "a flow that is not ours took it: br-int table 0: udp, priority 5000, cookie 0xbad"
#: What stands below ours, and shows because ours are gone.
UNSPOKEN = "OpenFlow of bridge br-int: it does not speak OpenFlow 1.4 (versions on offer: 0x1)"
BELOW = "a flow that is not ours took it: br-int table 0: priority 0"

_SOURCES = {
    "device": "netlink", "ovsdb": "ovsdb", "switch": "ovsdb", "patch": "ovsdb", "tunnel": "ovsdb",
    "uplink": "ovsdb", "flows": "openflow", "trace": "trace", "nft": "nft", "bridge": "netlink",
    "vhost": "ovsdb", "guest": "proc", "socket": "stat",
}  # fmt: skip


def finding(fact: str, have: object = "x", wanted: object = "y") -> Evidence:
    source = _SOURCES.get(fact.partition(".")[0], "")
    return Evidence(fact, have, wanted, ok=False, source=source)


def gone(*facts: str) -> list[Evidence]:
    return [finding(fact, "missing", "present") for fact in facts]


def record(**changes: object) -> PortRecord:
    values: dict = {
        "doc": decode(document(1)), "plugin": "ovs", "vif_type": "ovs", "phase": Phase.LIVE,
        "open": True, "applied": True,
        "wiring": Wiring("ovs", "ovs", "tap1", {"bridge": "br-int", "ofport": 4096}),
    }  # fmt: skip
    return PortRecord(**{**values, **changes})


#: Whose facts begin so; the rest are of every port on a switch.
_OF_PLUGIN = {"nft": "linuxbridge", "bridge": "linuxbridge", "vhost": "vhostuser",
              "socket": "vhostuser", "guest": "vhostuser"}  # fmt: skip
_TABLES = {name: Causes(plugin.meanings()) for name, plugin in PLUGINS.items()}


def plugin_of(*facts: str) -> str:
    """The plugin that has such facts."""
    kinds = (_OF_PLUGIN.get(fact.partition(".")[0]) for fact in facts)
    return next(filter(None, kinds), "ovs")


def subject(findings: list[Evidence], **changes: object) -> Subject:
    report = Report(findings, at=99.0, passing=True)
    plugin = plugin_of(*(f.fact for f in findings))
    values: dict[str, Any] = {
        "record": record(plugin=plugin),
        "now": 100.0,
        "report": report,
        "asked": True,
    }
    return Subject(**{**values, **changes})


TABLE = {
    # one finding alone
    "tap deleted": (gone("device"), "device"),
    "tap made anew": ([finding("device.ifindex", 7, 5)], "device"),
    "link down": ([finding("device.up", False, True)], "device"),
    "a group that is not here": (
        [finding("security_groups", "waits for security group x"), finding("trace.arp")], "filter",
    ),
    "mtu": ([finding("device.mtu", 1300, 1450)], "device"),
    "ipv6": ([finding("device.ipv6", True, False)], "device"),
    "port removed": (gone("ovsdb.port"), "port"),
    "tag": ([finding("ovsdb.tag", 77, 1)], "port"),
    "flow deleted": ([finding("flows.port")], "flows"),
    "network's flow deleted": ([finding("flows.network")], "flows"),
    "another OpenFlow": ([finding("flows", UNSPOKEN, "readable")], "switch"),
    "switch dead": ([finding("flows", "connection refused", "readable")], "switch"),
    "database dead": ([finding("ovsdb.connected", False, True)], "switch"),
    "bridge deleted": (gone("switch.bridge"), "switch"),
    "patch port missing": ([finding("patch", "port int-1 is missing")], "uplink"),
    "unmapped": ([finding("uplink.mapping", [], "physnet1")], "uplink"),
    "no uplink left": (
        [finding("uplink.port", "none", ["nic0"]), finding("uplink.leaving", "lost on bridge b"),
         finding("uplink.carrier", "none", "up")], "uplink"),
    "uplink in another VLAN": (
        [finding("uplink.leaving", "lost on bridge b"), finding("uplink.vlan", "x")], "uplink"),
    "foreign flows": ([finding("flows.foreign", ["x"], []), finding("trace.arp", FOREIGN)],
                      "flows"),
    "trunks": ([finding("ovsdb.vlans", "trunks 3", "as the tag says")], "port"),
    "uplink without carrier": ([finding("uplink.carrier", "no port is up", "up")], "uplink"),
    "foreign flow": ([finding("trace.dhcp", FOREIGN)], "flows"),
    "trace ends elsewhere": ([finding("trace.dhcp", "it ended in table 120")], "trace"),
    "chain gone": ([finding("nft.rules", ["missing"], ["a"])], "filter"),
    "table flushed": (gone("nft.prerouting", "nft.input"), "filter"),
    "not a bridge port": ([finding("bridge.port", None, 4)], "port"),
    "linux bridge gone": ([finding("bridge", "missing", "as wanted")], "switch"),
    "private memory": ([finding("guest.memory", "private", "shared")], "guest"),
    "socket deleted under its guest": (
        [Evidence("socket", "missing", "a socket", ok=False, source="stat", repairable=False),
         finding("guest.device", "lost")], "device"),
    "no buffers": ([finding("vhost.buffers")], "port"),
    "a fact of a plugin of others": ([Evidence("x.y", 1, 2, ok=False, source="sysfs")], "port"),
    # with what follows from it, in the order in which a report has them
    "tap deleted, seen by the switch": (
        [*gone("device"), finding("ovsdb.ofport", -1, 4096), finding("ovsdb.error", "no device"),
         finding("trace.dhcp", "no trace")], "device"),
    "tap made anew, seen by the switch": (
        [finding("device.ifindex", 7, 5), finding("device.alias", "", "vifd:1"),
         finding("ovsdb.ifindex", 5, 7), finding("ovsdb.ofport", -1, 4096)], "device"),
    "link down, seen by the switch": (
        [finding("device.up", False, True), finding("ovsdb.admin_state", "down", "up")], "device"),
    "switch dead, its rows old": (
        [finding("ovsdb.ofport", -1, 4096), finding("flows", "refused", "readable")], "switch"),
    "database and switch dead": (
        [finding("ovsdb.connected", False, True), finding("flows", "refused", "readable")],
        "switch"),
    "bridge deleted with everything on it": (
        [*gone("switch.bridge", "ovsdb.port"), finding("patch", "port int-1 is missing"),
         finding("flows", "no such bridge", "readable")], "switch"),
    "patch port missing, and the flows for it": (
        [finding("patch", "port int-1 is missing"), finding("flows.bridge"),
         finding("flows.network")], "uplink"),
    "tunnel port missing, and the flows for it": (
        [finding("tunnel.port", "port vxlan4-1 is missing"), finding("flows.network")], "uplink"),
    "no address for tunnels": (
        [finding("tunnel.local_ip"), finding("tunnel.route"), finding("tunnel.leaving")],
        "uplink"),
    "unmapped, and the flows for it": (
        [finding("uplink.mapping", [], "physnet1"), finding("flows.network")], "uplink"),
    "physical bridge deleted": (
        [*gone("uplink.bridge"), finding("flows.network")], "uplink"),
    "port removed, traces fail": (
        [*gone("ovsdb.port"), finding("trace.dhcp", "no trace: no such port")], "port"),
    "ours flushed, what is below shows": (
        [finding("flows.port"), finding("flows.network"), finding("trace.dhcp", BELOW)], "flows"),
    "own flow and patch port": (
        [finding("flows.port"), finding("patch", "gone"), finding("flows.network")], "flows"),
    "linux bridge deleted": (
        [finding("bridge", "missing", "as wanted"), finding("bridge.port", None, None)], "switch"),
    "tap deleted on a linux bridge": (
        [*gone("device"), finding("bridge.forwarding", None, "tap1")], "device"),
    "chain gone with what leads to it": (
        [finding("nft.from", False, True), finding("nft.rules", ["missing"], ["a"])], "filter"),
    "tap deleted under a guest": (
        [*gone("device"), finding("guest.device", "g runs")], "device"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_the_first_broken_step(case):
    findings, step = TABLE[case]
    found = explain(subject(findings))
    assert (found.healthy, found.broken) == (False, step), found.sentence
    assert found.sentence.startswith(f"{step}: ")
    assert found.hint
    assert found.action


@pytest.mark.parametrize("case", TABLE)
def test_the_order_of_findings_does_not_matter(case):
    findings, step = TABLE[case]
    assert explain(subject(findings[::-1])).broken == step


STEPS = {
    Name.NAMES: "wiring",
    Name.DEVICE: "device device.exists device.ifindex device.up device.mac device.mtu device.alias "
    "device.ipv6 device.master device.others device.limits device.multi_queue "
    "socket socket.mode socket.exists",
    Name.SWITCH: "ovsdb.connected switch.bridge switch.fail_mode bridge flows bridge.up "
    "bridge.snooping switch.mirrors switch.spanning_tree switch.flow_limits",
    Name.PORT: "ovsdb.port ovsdb.bridge ovsdb.ofport ovsdb.ofport_request ovsdb.error ovsdb.tag "
    "ovsdb.vlans ovsdb.openflow ovsdb.limits ovsdb.spanning_tree "
    "ovsdb.external_ids ovsdb.admin_state ovsdb.link_state ovsdb.ifindex ovsdb.iface_id "
    "ovsdb.iface-id bridge.port bridge.flood bridge.learning bridge.forwarding vhost.type "
    "bridge.stops bridge.isolated bridge.broadcasts ovsdb.type ovsdb.document "
    "vhost.socket vhost.pmd_rxq vhost.buffers vhost.mtu",
    Name.FLOWS: "flows.port flows.network flows.bridge flows.foreign flows.frames",
    Name.FILTER: "nft nft.others nft.rules nft.targets nft.prerouting nft.input nft.postrouting "
    "nft.ports nft.open nft.from nft.secured",
    Name.UPLINK: "patch uplink uplink.mapping uplink.bridge uplink.carrier uplink.mtu uplink.port "
    "uplink.openflow uplink.vlan uplink.limits uplink.blocked "
    "uplink.mirrors uplink.protected uplink.snooping uplink.flooded uplink.leaving "
    "uplink.arriving uplink.arriving_unicast",
    Name.TRACE: "trace.dhcp trace.arp trace.spoofed trace.neighbor_solicitation trace.connection "
    "trace.neighbour trace.ingress_allowed trace.ingress_refused trace.egress_allowed "
    "trace.egress_refused",
    Name.GUEST: "guest guest.name guest.device guest.memory guest.holder "
    "device.carrier bridge.forwards "
    "vhost.link_state",
}


@pytest.mark.parametrize(
    ("fact", "step"), [(fact, step) for step, facts in STEPS.items() for fact in facts.split()]
)
def test_the_step_of_a_fact_that_is_as_wanted(fact, step):
    source = _SOURCES.get(fact.partition(".")[0], "")
    table = _TABLES[plugin_of(fact)]
    assert table.step_of(Evidence(fact, have="x", source=source)) is step


def test_what_follows_says_so():
    findings, _ = TABLE["patch port missing, and the flows for it"]
    steps = {s.name: s for s in explain(subject(findings)).steps}
    assert steps[Name.FLOWS].state is State.BROKEN
    assert steps[Name.FLOWS].because is Name.UPLINK
    assert steps[Name.UPLINK].because is None


def test_the_sentence_of_a_chain_tells_that_it_is_gone():
    findings, _ = TABLE["chain gone with what leads to it"]
    assert "chain tap1 of table vifd is gone" in explain(subject(findings)).sentence


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_row_is_reached(plugin):
    """A row that stands behind a wider one would never be used."""
    for row in _TABLES[plugin].rows:
        names = [f.replace("*", ".x" if not f.endswith(".*") else "x") for f in row.facts]
        haves = ("missing", FOREIGN, BELOW, UNSPOKEN, "other")
        found = [finding(n, h) for n in names for h in haves]
        found += [msgspec.structs.replace(f, repairable=False) for f in found]
        table = _TABLES[plugin]
        assert any(row in (table.of(f), table.also_of(f)) for f in found), row.facts


@pytest.mark.parametrize("plugin", PLUGINS)
def test_rows_stand_in_the_order_of_the_path(plugin):
    steps = list(Name)
    order = [steps.index(Name(row.step)) for row in _TABLES[plugin].rows]
    assert order == sorted(order)


_NAMES = {
    name: sorted({f.replace("*", "x") for r in table.rows for f in (*r.facts, *r.explains)})
    for name, table in _TABLES.items()
}
_HAVES = st.sampled_from(
    ["missing", FOREIGN, BELOW, "other", False, ["missing"], [], 7, None, {"a": [1]}]
)


@st.composite
def _reports(draw: st.DrawFn) -> tuple[str, list[Evidence]]:
    plugin = draw(st.sampled_from(sorted(PLUGINS)))
    one = st.builds(finding, st.sampled_from(_NAMES[plugin]), _HAVES)
    return plugin, draw(st.lists(one, min_size=1, max_size=12))


@given(_reports())
@settings(suppress_health_check=list(HealthCheck))
def test_something_is_always_first(report):
    plugin, findings = report
    table = _TABLES[plugin]
    leading = table.roots(findings)
    assert leading
    assert [table.rank(f) for f in leading] == sorted(table.rank(f) for f in leading)
    found = explain(subject(findings, record=record(plugin=plugin)))
    assert found.broken is not None
    order = [s.name for s in found.steps]
    before = found.steps[: order.index(found.broken)]
    assert all(s.because is not None for s in before if s.state is State.BROKEN)


@pytest.mark.parametrize(("priority", "above"), [(ADMIT - 1, False), (ADMIT, False),
                                                 (ADMIT + 1, True)])  # fmt: skip
def test_what_comes_before_our_flows_is_told_by_the_priority_that_they_have(priority, above):
    met = f"a flow that is not ours took it: br-int table 0: priority {priority}"
    assert foreign_above(finding("trace.arp", met)) is above


def test_a_sentence_that_raises_costs_itself_alone(caplog):
    row = Meaning("port", ("ovsdb.tag",), lambda f, _: f.have["no"], "")
    found = finding("ovsdb.tag", 3, 4)
    assert said(row, found, subject([found])) == "ovsdb.tag is 3, wanted 4"
    assert "plugin ovs has no sentence for ovsdb.tag" in caplog.text


@pytest.mark.parametrize("fact", ["ovsdb.ofport", "ovsdb.tag", "ovsdb.bridge"])
def test_what_is_wrong_with_a_port_comes_before_the_link_that_it_takes_down(fact):
    """A vhost-user port that is made anew: both are read, and one is the cause."""
    roots = _TABLES["vhostuser"].roots([finding("vhost.link_state", "down", "up"), finding(fact)])
    assert roots[0].fact == fact
