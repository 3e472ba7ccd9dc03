"""The QoS policy of a port as meters and flows on a bridge."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from unit.ovs.test_switch import BRIDGE, Scene, names
from unit.ovs.world import World
from unit.ovs.world import port as in_world
from vifd.errors import VifError
from vifd.model.evidence import Evidence
from vifd.openflow import metered
from vifd.openflow.meters import Meter
from vifd.testing.attachments import attachment, ipv4, mac
from vifd_ovs.bridge import shaping
from vifd_ovs.bridge.evidence import FlowReader
from vifd_ovs.bridge.ports import Gate, switch_port
from vifd_ovs.bridge.shaping import Kind
from vifd_ovs.bridge.wantedmeters import limits

UP = {"type": "bandwidth_limit", "max_kbps": 1000}
DOWN = {**UP, "direction": "ingress"}
PACKETS_UP = {"type": "packet_rate_limit", "max_kpps": 1}
PACKETS_DOWN = {**PACKETS_UP, "direction": "ingress"}
MARK = {"type": "dscp_marking", "dscp_mark": 46}
ALL = [UP, DOWN, PACKETS_UP, PACKETS_DOWN, MARK]
SUBSETS = [[*c] for n in range(6) for c in itertools.combinations(ALL, n)]


def port(number, *rules, opened=True, **more):
    made = attachment(number, qos_policy={"rules": list(rules)}, **more)
    return switch_port(made, names(number), opened=opened)


@pytest.fixture
def scene():
    return Scene()


def meters(scene):
    return scene.machine.openflow.meters(BRIDGE)


def modifications(scene):
    return [c for c in scene.injector.writes if c.startswith("openflow.")]


def facts(scene, *ports):
    reader = FlowReader(scene.switch, {p.id: p for p in ports})
    found: list[Evidence] = [e for p in ports for e in reader.evidence(p)]
    return {e.fact: e for e in found}


# --- what frames meet ---


def meters_met(journey):
    met = (metered.named(visit.flow.instructions) for visit in journey.path if visit.flow)
    return [number for number in met if number is not None]


@pytest.mark.parametrize("rules", SUBSETS, ids=lambda rules: f"{len(rules)}rules")
@pytest.mark.parametrize("secured", [True, False])
def test_frames_meet_each_limit_once_and_arrive(rules, secured):
    one = in_world(attachment(1, qos_policy={"rules": rules}, port_security_enabled=secured))
    two = in_world(attachment(2, port_security_enabled=secured))
    world = World([one, two])
    made = {kind: meter.id for kind, meter in shaping.meters(one.ofport, one.shape).items()}
    text = "dl_src={},dl_dst={},nw_src={},nw_dst={},nw_tos=1,udp_src=5,udp_dst=6"

    there = world.journey(one, "udp," + text.format(mac(1), mac(2), ipv4(1), ipv4(2)))
    assert [s.port for s in there.sent] == [two.ofport]
    sent = [made[k] for k in (Kind.SENT_PACKETS, Kind.SENT_BANDWIDTH) if k in made]
    assert meters_met(there) == sent
    assert there.sent[0].packet.get("ip_dscp", 0) == (46 if MARK in rules else 0)

    back = world.journey(two, "udp," + text.format(mac(2), mac(1), ipv4(2), ipv4(1)))
    assert [s.port for s in back.sent] == [one.ofport]
    assert meters_met(back) == [
        made[k] for k in (Kind.GIVEN_PACKETS, Kind.GIVEN_BANDWIDTH) if k in made
    ]
    assert back.sent[0].packet.get("ip_dscp", 0) == 0


@pytest.mark.parametrize("groups", [None, []])
def test_a_flood_meets_the_limits_of_each_in_a_copy(groups):
    limited = [in_world(attachment(n, qos_policy={"rules": [DOWN]}, security_groups=groups))
               for n in (2, 3)]  # fmt: skip
    one, last = in_world(attachment(1)), in_world(attachment(4))
    world = World([one, *limited, last])
    text = (
        f"arp,dl_src={mac(1)},dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_sha={mac(1)},arp_spa={ipv4(1)}"
    )
    journey = world.journey(one, text)
    assert {s.port for s in journey.sent} == {p.ofport for p in (*limited, last)}
    assert meters_met(journey) == [shaping.number(Kind.GIVEN_BANDWIDTH, p.ofport) for p in limited]
    flood = next(f for f in world.flows if f.table == 160 and f.priority == 50)
    assert str(flood).count("clone(output(port=CONTROLLER,max_len=64)") == 2


def test_dscp_marks_both_versions_and_nothing_else():
    one, two = in_world(attachment(1, qos_policy={"rules": [MARK]})), in_world(attachment(2))
    world = World([one, two])
    six = (f"udp6,dl_src={mac(1)},dl_dst={mac(2)},ipv6_src=fd00::1,ipv6_dst=fd00::2,"
           "udp_src=5,udp_dst=6")  # fmt: skip
    arp = f"arp,dl_src={mac(1)},dl_dst={mac(2)},arp_op=1,arp_sha={mac(1)},arp_spa={ipv4(1)}"
    assert world.journey(one, six).sent[0].packet["ip_dscp"] == 46
    assert "ip_dscp" not in world.journey(one, arp).sent[0].packet


# --- the switch object ---


def test_meters_are_there_before_the_port_opens_and_go_with_it(scene):
    scene.put(port(1, *ALL, opened=False))
    assert set(meters(scene)) == {shaping.number(k, 5001) for k in shaping.NAMES}
    assert all(shaping.ours(number) for number in meters(scene))
    scene.put(port(1, *ALL))
    assert scene.is_as_wanted()
    scene.switch.apply({port(1).id: None})
    assert meters(scene) == {}
    assert len(scene.flows) > 0


def test_the_same_again_and_a_restart_change_nothing(scene):
    scene.put(port(1, *ALL), port(2))
    scene.entries = {}
    scene.injector.arm()
    scene.switch.apply({port(1).id: port(1, *ALL)}, reread=[port(1).id])
    scene.restart()
    scene.switch.apply({p.id: p for p in (port(1, *ALL), port(2))})
    assert modifications(scene) == []


def test_a_rate_changes_in_place(scene):
    scene.put(port(1, UP, DOWN))
    before = scene.flows
    scene.injector.arm()
    scene.switch.apply({port(1).id: port(1, {**UP, "max_kbps": 9000}, DOWN)})
    assert modifications(scene) == ["openflow.set_meters"]
    assert scene.flows == before
    assert meters(scene)[shaping.number(Kind.SENT_BANDWIDTH, 5001)].rate == 9000


@pytest.mark.parametrize("before", SUBSETS[::5], ids=len)
@pytest.mark.parametrize("after", SUBSETS[::7], ids=len)
def test_any_policy_after_any_other(scene, before, after):
    scene.put(port(1, *before), port(2, *after))
    scene.put(port(1, *after))
    assert scene.is_as_wanted()
    assert set(meters(scene)) == {*limits([port(1, *after), port(2, *after)])}
    assert not scene.switch.prove([port(1, *after), port(2, *after)])


def test_a_port_without_limits_asks_for_no_meters(scene):
    scene.put(port(1))
    scene.injector.arm()
    scene.put(port(2))
    scene.switch.apply({port(2).id: port(2)}, reread=[port(2).id])
    assert not scene.switch.prove([port(2)])
    facts(scene, port(2))
    assert [c for c in scene.injector.calls if "meters" in c] == []


def test_a_switch_that_restarts_has_them_before_its_flows(scene):
    scene.put(port(1, *ALL), port(2, UP))
    wanted = meters(scene)
    scene.machine.restart_switch()
    scene.injector.arm()
    assert scene.switch.sync()
    order = modifications(scene)
    assert order.index("openflow.set_meters") < order.index("openflow.apply")
    assert meters(scene) == wanted
    assert scene.is_as_wanted()


def test_what_is_left_of_a_meter_that_nobody_has_goes(scene):
    scene.put(port(1, UP))
    left, foreign = (
        Meter(shaping.number(Kind.GIVEN_PACKETS, 77), 5, 5, packets=True),
        Meter(9, 5, 5),
    )
    scene.machine.openflow.set_meters(BRIDGE, [left, foreign])
    scene.restart()
    scene.put(port(1, UP))
    assert set(meters(scene)) == {shaping.number(Kind.SENT_BANDWIDTH, 5001), 9}


# --- drift ---


def test_a_meter_that_was_changed_is_found_and_mended(scene):
    one = port(1, UP)
    scene.put(one)
    number = shaping.number(Kind.SENT_BANDWIDTH, 5001)
    assert facts(scene, one)["qos.bandwidth_limit.egress"].ok
    scene.machine.openflow.set_meters(BRIDGE, [Meter(number, 999_999, 5)])
    found = facts(scene, one)["qos.bandwidth_limit.egress"]
    assert (found.ok, found.repairable) == (False, True)
    assert (found.have, found.wanted) == (
        "999999 kbit/s, burst 5 kbit", "1000 kbit/s, burst 800 kbit",
    )  # fmt: skip
    assert one.id in scene.switch.prove([one])
    scene.put(one, reread=[one.id])
    assert facts(scene, one)["qos.bandwidth_limit.egress"].ok
    assert not scene.switch.prove([one])


def test_a_meter_that_was_removed_closes_the_port_until_it_is_mended(scene):
    one = port(1, DOWN, MARK)
    scene.put(one)
    scene.machine.openflow.set_meters(
        BRIDGE, delete=[shaping.number(Kind.GIVEN_BANDWIDTH, 5001)]
    )  # fmt: skip
    found = facts(scene, one)
    assert not found["qos.bandwidth_limit.ingress"].ok
    assert not found["flows.port"].ok
    assert found["qos.dscp_marking.egress"].ok
    scene.put(one, reread=[one.id])
    assert all(e.ok for e in facts(scene, one).values())


def test_a_mark_that_is_gone_is_told(scene):
    one = port(1, MARK)
    scene.put(one)
    flows = [f for f in scene.machine.openflow.flows(BRIDGE) if f.table == 102]
    scene.machine.openflow.apply(BRIDGE, delete=flows)
    assert facts(scene, one)["qos.dscp_marking.egress"].have == []


# --- faults ---


@pytest.mark.parametrize("after", [False, True])
def test_a_fault_at_any_call_is_made_good_by_the_next(scene, after):
    for number in range(20):
        scene.put(port(1, UP, PACKETS_UP), port(2))
        scene.injector.arm(number, after=after)
        failed = False
        try:
            scene.switch.apply({port(1).id: port(1, DOWN, MARK)})
        except (VifError, RuntimeError):
            failed = True
        scene.injector.arm()
        scene.switch.apply({port(1).id: port(1, DOWN, MARK)})
        assert set(meters(scene)) == {shaping.number(Kind.GIVEN_BANDWIDTH, 5001)}, number
        assert scene.is_as_wanted(), number
        if not failed:
            return
    pytest.fail("too many calls")


def test_the_gate_of_a_port_that_leaves_and_of_one_that_is_guarded(scene):
    one = port(1, *ALL)
    scene.put(one)
    scene.switch.apply({one.id: switch_port(attachment(1), names(1), opened=True)})
    assert meters(scene) == {}
    for gate in Gate:
        shaped = replace(one, gate=gate)
        scene.switch.apply({one.id: shaped})
        assert bool(meters(scene)) == (gate is not Gate.GUARDED)
        assert scene.is_as_wanted()
