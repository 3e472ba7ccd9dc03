"""The switch itself says that rules have their effect: of one packet that passes and one that does
not, each way; and a rule whose flow is there without it is found."""

from __future__ import annotations

from typing import Any

import pytest

from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.table import GROUP, HAS
from vifd.model import Evidence
from vifd.openflow import action as act
from vifd.openflow.flow import Flow, flow
from vifd.testing.attachments import attachment, flat

EVERY = {"trace.ingress_allowed", "trace.ingress_refused", "trace.egress_allowed",
         "trace.egress_refused"}  # fmt: skip
WEB = {"direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80}
DNS = {"direction": "egress", "protocol": "udp", "port_range_min": 53, "port_range_max": 53}


@pytest.fixture(params=["fakes", "switch"])
def rig(request):
    """On Open vSwitch alone: the kernel's bridge has nobody who could be asked."""
    if request.param == "fakes":
        with FakeRig() as rig:
            yield rig
        return
    ovs, wire = request.getfixturevalue("ovs"), request.getfixturevalue("wire")
    with RealRig(ovs, wire) as rig:
        yield rig


def facts(rig: Rig) -> dict[str, Evidence]:
    """Those about rules."""
    (report,) = rig.ledger.check(rig.names["port"]).values()
    found = {e.fact: e for e in report.evidence if e.fact.startswith(("trace.in", "trace.eg"))}
    assert found.keys() <= EVERY
    return found


def begin(rig: Rig, *rules: dict[str, Any], **said: Any) -> None:
    rig.say(GROUP, *rules, **said)
    rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]))


def above(rig: Rig, match: dict[str, Any], table: int) -> Flow:
    """A flow of somebody else, above all of ours."""
    found = flow(table, 65000, 0xBAD, **match)
    rig.ledger.drivers.openflow.apply("br-int", add=[found])
    return found


CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], set[str]]] = {
    "a rule each way": ([WEB, DNS], {}, EVERY),
    "the default group": (
        [{"direction": "egress"}, {"direction": "egress", "ethertype": "IPv6"},
         {"direction": "ingress", "remote_group_id": HAS},
         {"direction": "ingress", "remote_group_id": HAS, "ethertype": "IPv6"}], {},
        EVERY - {"trace.egress_refused"},
    ),
    "no rule": ([], {}, {"trace.ingress_refused", "trace.egress_refused"}),
    "without state": ([WEB, DNS], {"stateful": False}, EVERY),
    "IPv6": ([WEB | {"ethertype": "IPv6"}, DNS | {"ethertype": "IPv6"}], {}, EVERY),
    "SCTP, ICMP": ([WEB | {"protocol": "sctp"}, {"direction": "egress", "protocol": "icmp",
                                                 "port_range_min": 8}], {}, EVERY),
    "ICMPv6, another protocol": (
        [{"direction": "ingress", "ethertype": "IPv6", "protocol": "ipv6-icmp"},
         {"direction": "egress", "ethertype": "IPv6", "protocol": "50"}], {}, EVERY,
    ),
    "a member and a port": ([WEB | {"remote_group_id": HAS}, DNS], {}, EVERY),
    "a prefix": ([WEB | {"remote_ip_prefix": "10.7.0.0/16"},
                  DNS | {"remote_ip_prefix": "10.8.0.1/32"}], {}, EVERY),
    "a set that is missing": (
        [WEB | {"remote_group_id": "11111111-0000-4000-8000-00000000dead"}, DNS], {},
        EVERY - {"trace.ingress_allowed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_that_passes_and_one_that_does_not_each_way(rig, case):
    rules, said, wanted = CASES[case]
    rig.put("security-group", HAS, members=[{"ip_address": "10.0.0.9"}, {"ip_address": "fd00::9"}])
    begin(rig, *rules, **said)
    for _ in range(3):
        found = facts(rig)
        assert found.keys() == wanted
        assert all(e.ok for e in found.values()), found


def test_a_port_alone_in_a_network_without_a_way_out(rig):
    rig.say(GROUP, WEB, DNS)
    rig.plug(port=attachment(1, segment={"network_type": "local"}, security_groups=[GROUP]))
    found = facts(rig)
    assert found.keys() == EVERY
    assert all(e.ok for e in found.values()), found


@pytest.mark.parametrize(("table", "match", "fact"), [
    (182, {"eth_type": 0x0800, "reg2": 0}, "trace.ingress_allowed"),
    (180, {"reg5": 2}, "trace.ingress_allowed"),
    (172, {}, "trace.ingress_allowed"),
    (152, {}, "trace.egress_allowed"),
    (156, {}, "trace.egress_allowed"),
])  # fmt: skip
def test_a_rule_whose_flow_is_there_without_its_effect_is_found(rig, table, match, fact):
    begin(rig, WEB, DNS)
    above(rig, match, table)
    found = facts(rig)[fact]
    assert not found.ok
    assert "a flow that is not ours took it" in str(found.have)
    assert "TCP to port 80 from 192.0.2.1" in str(found.have) or "UDP" in str(found.have)


def test_what_is_let_through_against_the_rules_is_found(rig):
    begin(rig, WEB, DNS)
    passes = flow(174, 65000, 0xBAD, [act.output(rig.number("port"))], ct_state="+trk")
    rig.ledger.drivers.openflow.apply("br-int", add=[passes])
    assert not facts(rig)["trace.ingress_refused"].ok


def test_every_rule_has_its_turn_and_a_bad_one_is_not_left_before_it_is_well(rig):
    ports = (80, 81, 82, 83)
    begin(rig, *(WEB | {"port_range_min": p, "port_range_max": p} for p in ports))
    one = {"ct_state": "+trk-inv", "ct_nw_proto": 6, "ct_tp_dst": 82}
    bad = above(rig, {"eth_type": 0x0800, **one}, 182)
    seen = [facts(rig)["trace.ingress_allowed"] for _ in range(6)]
    assert [e.ok for e in seen].count(False) >= 2
    assert not seen[-1].ok
    assert "TCP to port 82" in str(seen[-1].have)
    rig.ledger.drivers.openflow.apply("br-int", delete=[bad])
    assert all(facts(rig)["trace.ingress_allowed"].ok for _ in range(4))


def test_what_it_asks_does_not_grow_with_rules_members_or_ports():
    with FakeRig() as rig:
        members = [{"ip_address": f"10.1.{n >> 8}.{n & 255}"} for n in range(2000)]
        rig.put("security-group", HAS, members=members)
        begin(rig, *(WEB | {"port_range_min": p, "port_range_max": p, "remote_group_id": HAS}
                     for p in range(1, 400)), DNS)  # fmt: skip
        (report,) = rig.ledger.check(rig.names["port"]).values()
        assert not report.findings
        assert len([e for e in report.evidence if e.source == "trace"]) == 3 + 4


def test_a_closed_port_is_not_asked_for_rules(rig):
    begin(rig, WEB, DNS)
    rig.ledger.deactivate(rig.names["port"])
    assert not facts(rig)
