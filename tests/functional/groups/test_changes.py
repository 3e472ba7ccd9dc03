"""What becomes of connections when rules, members and ports change; broadcasts, drift, restarts."""

from __future__ import annotations

from typing import Any

import pytest

from functional.groups.packets import answer
from functional.groups.packets import first as first_packet
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.table import GROUP, HAS, PEER, PORT, WIRE
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat

OTHER = "11111111-0000-4000-8000-000000000002"
IN, OUT = {"direction": "ingress"}, {"direction": "egress"}
ALL_OUT = [{**OUT, "ethertype": "IPv4"}, {**OUT, "ethertype": "IPv6"}]


def udp_in(port: int, **more: object) -> dict[str, object]:
    return {**IN, "protocol": "udp", "port_range_min": port, "port_range_max": port, **more}


def plug(rig: Rig, **peer: Any) -> None:
    rig.plug(
        port=attachment(1, segment=flat(), security_groups=[GROUP]),
        peer=attachment(2, segment=flat(), **peer),
    )


def talks(rig: Rig, name: str, sport: int, version: int = 4) -> tuple[bool, bool]:
    """Whether a packet of the peer arrives at the port, and whether the answer comes back."""
    there = rig.arrives("peer", first_packet(name, PEER, PORT, version, sport), "port")
    return there, rig.arrives("port", answer(name, PORT, PEER, version, sport), "peer")


@pytest.mark.parametrize("version", [4, 6])
def test_a_rule_that_goes_ends_what_only_it_allowed_both_ways(rig, version):
    ethertype = f"IPv{version}"
    one, two = udp_in(5001, ethertype=ethertype), udp_in(5002, ethertype=ethertype)
    rig.say(GROUP, one, two, {**IN, "protocol": "udp", "ethertype": ethertype,
                              "port_range_min": 5003, "port_range_max": 5010})  # fmt: skip
    plug(rig)
    ports = ("udp:5001", "udp:5002", "udp:5005")
    assert [talks(rig, name, 900 + n, version) for n, name in enumerate(ports)] == [
        (True, True)
    ] * 3
    rig.say(GROUP, two, udp_in(5005, ethertype=ethertype))
    found = [talks(rig, name, 900 + n, version) for n, name in enumerate(ports)]
    assert found == [(False, False), (True, True), (True, True)]
    rig.say(GROUP, one, two)
    assert talks(rig, "udp:5001", 900, version) == (True, True)


def test_a_member_that_goes_ends_what_only_it_allowed(rig):
    rule = {**IN, "protocol": "udp", "remote_group_id": HAS}
    rig.say(GROUP, rule)
    rig.put("security-group", HAS, members=[{"ip_address": PEER.ip4}, {"ip_address": WIRE.ip4}])
    plug(rig)

    def wired() -> bool:
        return rig.arrives("wire", first_packet("udp:53", WIRE, PORT, 4, 901), "port")

    assert (talks(rig, "udp:53", 900), wired()) == ((True, True), True)
    rig.put("security-group", HAS, members=[{"ip_address": WIRE.ip4}])
    assert (talks(rig, "udp:53", 900), wired()) == ((False, False), True)
    rig.put("security-group", HAS, members=[{"ip_address": "10.0.0.0/24"}])
    assert (talks(rig, "udp:53", 900), wired()) == ((True, True), True)


def test_ports_of_the_host_and_their_pairs_are_members(rig):
    rig.say(GROUP, {**IN, "remote_group_id": OTHER})
    rig.say(OTHER, *ALL_OUT)
    plug(rig, allowed_address_pairs=[{"ip_address": "10.9.0.0/24"}])
    assert not talks(rig, "udp:53", 900)[0]
    plug(rig, allowed_address_pairs=[{"ip_address": "10.9.0.0/24"}], security_groups=[OTHER])
    assert talks(rig, "udp:53", 901)[0]
    virtual = f.udp(PEER.mac, PORT.mac, "10.9.0.7", PORT.ip4, sport=902)
    assert rig.arrives("peer", virtual, "port")


def test_two_ports_of_one_host_pass_both_sets_of_rules(rig):
    rig.say(GROUP, udp_in(53), udp_in(54))
    rig.say(OTHER, {**OUT, "protocol": "udp", "port_range_min": 53, "port_range_max": 53})
    plug(rig, security_groups=[OTHER])
    assert [talks(rig, name, 900)[0] for name in ("udp:53", "udp:54", "tcp:53")] == [
        True, False, False,
    ]  # fmt: skip


def test_broadcast_and_multicast_are_held_to_the_receivers_rules(rig):
    rig.say(GROUP, udp_in(5353))
    plug(rig)
    group = f.multicast_mac("224.0.0.251")
    for dport, right in ((5353, True), (5354, False)):
        for dst, ip in ((f.BROADCAST, "255.255.255.255"), (group, "224.0.0.251")):
            frame = f.udp(PEER.mac, dst, PEER.ip4, ip, sport=5353, dport=dport)
            assert rig.arrives("peer", frame, "port") is right
            frame = f.udp(WIRE.mac, dst, WIRE.ip4, ip, sport=5353, dport=dport)
            assert rig.arrives("wire", frame, "port") is right


def test_without_state_each_way_has_its_rule(rig):
    rig.say(GROUP, udp_in(53), stateful=False)
    plug(rig)
    assert talks(rig, "udp:53", 900) == (True, False)
    back = {**OUT, "protocol": "udp", "port_range_min": 900, "port_range_max": 900}
    rig.say(GROUP, udp_in(53), back, stateful=False)
    assert talks(rig, "udp:53", 900) == (True, True)
    rig.say(GROUP, udp_in(53), stateful=True)
    assert talks(rig, "udp:53", 901) == (True, True)


def test_what_every_guest_needs_passes_with_an_empty_group(rig):
    rig.say(GROUP)
    plug(rig)
    assert rig.arrives("port", f.dhcp_discover(PORT.mac), "peer")
    offer = f.dhcp_offer(WIRE.mac, WIRE.ip4, PORT.mac, PORT.ip4)
    assert rig.arrives("wire", offer, "port")
    router = f.router_advertisement(WIRE.mac, f.link_local(WIRE.mac))
    assert rig.arrives("wire", router, "port")
    own, target = f.link_local(PEER.mac), PORT.ip6
    assert rig.arrives("peer", f.neighbour_solicitation(PEER.mac, own, target), "port")
    asked = f.neighbour_solicitation(PORT.mac, f.link_local(PORT.mac), PEER.ip6)
    assert rig.arrives("port", asked, "peer")
    assert not talks(rig, "udp:53", 900)[0]


def test_a_set_that_is_missing_closes_its_direction(rig):
    rig.say(GROUP, {**IN, "remote_group_id": HAS}, {**IN, "protocol": "udp"}, *ALL_OUT)
    plug(rig)
    assert rig.arrives("port", first_packet("udp:53", PORT, PEER, 4, 901), "peer")
    assert not talks(rig, "udp:53", 900)[0]
    rig.put("security-group", HAS)
    assert talks(rig, "udp:53", 902)[0]


def test_a_port_that_is_unplugged_leaves_no_connection(rig):
    rig.say(GROUP, udp_in(53))
    plug(rig)
    assert talks(rig, "udp:53", 900) == (True, True)
    connections = rig.connections("port")
    assert connections()
    assert not rig.ledger.unplug(rig.names["port"])
    assert not connections()


def test_drift_of_a_rule_is_found_and_mended(rig):
    rig.say(GROUP, udp_in(53), udp_in(54))
    plug(rig)
    assert not rig.ledger.findings()
    rig.damage()
    # whether a trace meets it as well depends on whose turn it is
    assert set(rig.ledger.findings()) - {"trace.ingress_allowed"} == {rig.finding}
    assert not rig.ledger.carry_out([rig.names["port"]])
    assert not rig.ledger.findings()
    assert [talks(rig, name, 900)[0] for name in ("udp:53", "udp:54")] == [True, True]


def test_a_restart_changes_nothing_and_connections_live_on(rig):
    rig.say(GROUP, *(udp_in(port) for port in range(1000, 1300)))
    rig.say(OTHER, *ALL_OUT, {**IN, "remote_group_id": OTHER})
    more = {f"port{n}": attachment(n, segment=flat(), security_groups=[OTHER])
            for n in range(10, 30)}  # fmt: skip
    plug(rig)
    failed = rig.ledger.plug(*more.values())
    assert not failed
    rig.tell(*rig.sets.told(rig.ledger.records))
    assert talks(rig, "udp:1234", 900) == (True, True)
    before = rig.state()
    rig.restart()
    assert not rig.ledger.findings()
    assert not rig.ledger.carry_out([*rig.ledger.records])
    rig.tell(*rig.sets.told(rig.ledger.records))
    assert rig.state() == before
    assert rig.changes() == 0
    assert rig.arrives("port", answer("udp:1234", PORT, PEER, 4, 900), "peer")


def test_what_no_port_has_leaves_no_rule():
    with FakeRig() as rig:
        rig.say(GROUP, udp_in(53))
        plug(rig)
        assert not rig.ledger.unplug(rig.names["port"])
        assert not [x for x in rig.machine.openflow.flows("br-int") if x.table in (180, 182)]


def test_one_more_member_is_one_flow_and_more_ports_none():
    with FakeRig() as rig:
        rig.say(GROUP, {**IN, "remote_group_id": HAS, "protocol": "tcp"},
                {**IN, "remote_group_id": HAS, "protocol": "udp"}, udp_in(53))  # fmt: skip
        members = [{"ip_address": f"10.1.{n >> 8}.{n & 255}"} for n in range(1, 400)]
        rig.put("security-group", HAS, members=members[:-1])
        plug(rig)

        def count() -> int:
            return len(rig.machine.openflow.flows("br-int"))

        before = count()
        rig.put("security-group", HAS, members=members)
        assert count() == before + 1
        third = attachment(3, segment=flat(), security_groups=[GROUP])
        bare = attachment(4, segment=flat())
        assert not rig.ledger.plug(bare)
        without = count()
        assert not rig.ledger.plug(third)
        assert count() - without == without - before - 1 + 7
        assert not rig.ledger.findings()


def test_after_the_switch_restarted_everything_is_back(ovs, wire):
    with RealRig(ovs, wire) as rig:
        rig.say(GROUP, udp_in(53))
        plug(rig)
        assert talks(rig, "udp:53", 900) == (True, True)
        ovs.vswitchd.kill()
        ovs.vswitchd.start()
        rig.heal()
        assert talks(rig, "udp:53", 900) == (True, True)
        assert not talks(rig, "udp:54", 900)[0]
