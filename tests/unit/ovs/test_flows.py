"""Where frames go: output sets, exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.ovs.world import BRIDGE, PATCH, UPLINK, World, port
from vifd.errors import BackendError
from vifd.openflow import message
from vifd.openflow.field import CONTROLLER
from vifd.testing import packet
from vifd.testing.attachments import attachment, flat, ipv4, mac, vlan
from vifd_ovs.bridge import cookies, flows, tunnelflows
from vifd_ovs.bridge.flows import MULTICAST, OUTPUTS_PER_FLOW, QUESTION, Network, network_flows
from vifd_ovs.bridge.ports import Gate
from vifd_ovs.bridge.tables import DELIVER, NETWORK_REGISTER

STRANGER = "0e:00:00:00:00:99"
DOWN = {"type": "bandwidth_limit", "max_kbps": 1000, "direction": "ingress"}
QINQ = 0x88A8
BROADCAST = "ff:ff:ff:ff:ff:ff"


def frame(source: int, dst: str) -> str:
    return f"udp,dl_src={mac(source)},dl_dst={dst},nw_src={ipv4(source)},tp_src=1,tp_dst=2"


def numbers(*of: int) -> set[int]:
    return {1000 + n for n in of}


class TestLocalNetwork:
    def setup_method(self):
        self.ports = [port(attachment(n)) for n in (1, 2, 3)]
        self.ports += [port(attachment(4, network=2), tag=2), port(attachment(5), opened=False)]
        self.world = World(self.ports)
        self.one = self.ports[0]

    def test_unicast_goes_to_its_port_alone(self):
        assert self.world.reaches(self.one, frame(1, mac(2))) == numbers(2)

    def test_broadcast_goes_to_all_other_open_ports_of_the_network(self):
        assert self.world.reaches(self.one, frame(1, BROADCAST)) == numbers(2, 3)

    def test_multicast_too(self):
        assert self.world.reaches(self.one, frame(1, "01:00:5e:00:00:fb")) == numbers(2, 3)

    def test_unknown_unicast_goes_nowhere(self):
        assert self.world.reaches(self.one, frame(1, STRANGER)) == set()

    def test_not_to_another_network(self):
        assert self.world.reaches(self.one, frame(1, mac(4))) == set()

    def test_not_to_a_closed_port(self):
        assert self.world.reaches(self.one, frame(1, mac(5))) == set()

    def test_not_from_a_closed_port(self):
        closed = self.ports[4]
        for dst in (mac(1), BROADCAST):
            journey = self.world.journey(closed, frame(5, dst))
            assert not journey.sent
            assert [visit.table for visit in journey.path] == [0]

    def test_not_back_to_itself(self):
        assert self.world.reaches(self.one, frame(1, mac(1))) == set()

    def test_an_unknown_port_is_dropped_on_our_bridge(self):
        journey = self.world.journey(77, frame(1, mac(2)))
        assert not journey.sent
        last = journey.path[-1].flow
        assert last is not None
        assert last.cookie == cookies.BRIDGE


def test_a_foreign_bridge_keeps_its_own_default():
    world = World([port(attachment(1))], ours=False)
    assert world.journey(77, frame(1, mac(2))).path[-1].flow is None


def test_on_a_foreign_bridge_only_known_networks_come_in_by_our_patch():
    world = World([port(attachment(1, segment=vlan(101)))], ours=False)
    dropped = world.journey(UPLINK, frame(9, mac(1)) + ",dl_vlan=102")
    last = dropped.path[-1].flow
    assert not dropped.sent
    assert last is not None
    assert last.cookie == cookies.BRIDGE
    assert world.reaches(UPLINK, frame(9, mac(1)) + ",dl_vlan=101") == numbers(1)


def test_what_would_become_of_a_frame_can_be_asked():
    """Of one that no port brings: it is delivered in the network that is said."""
    world = World([port(attachment(1)), port(attachment(2, network=2), tag=2)])
    asked = {**packet.parse(frame(9, mac(2))), "in_port": CONTROLLER, "metadata": QUESTION}
    for network, found in ((1, set()), (2, numbers(2))):
        journey = world.pipeline.send(BRIDGE, {**asked, NETWORK_REGISTER: network})
        assert {sent.port for sent in journey.sent} == found


def test_tunnels_are_kept_from_networks_that_nobody_knows():
    assert {*tunnelflows.bridge_flows([5])} <= {*flows.bridge_flows(ours=True, tunnels=[5])}
    assert not {*tunnelflows.bridge_flows([5])} <= {*flows.bridge_flows(ours=True)}


def test_a_guarded_port_has_one_flow_and_passes_nothing():
    made = port(attachment(1), gate=Gate.GUARDED)
    assert [(f.table, f.actions, f.goto) for f in flows.port_flows(made)] == [(0, b"", None)]


def test_a_port_on_its_way_to_another_program_is_given_frames_and_sends_none_by_us():
    leaving = port(attachment(1), gate=Gate.LEAVING)
    assert {f.table for f in flows.port_flows(leaving)} == {DELIVER}
    other = port(attachment(2))
    world = World([leaving, other])
    assert world.reaches(other, frame(2, mac(1))) == numbers(1)


@pytest.mark.parametrize("secured", [True, False])
def test_tags_of_the_guest_are_carried_where_its_network_carries_them(secured):
    more = {"port_security_enabled": secured}
    plain, over = port(attachment(1, **more)), replace(port(attachment(2, **more)), over=QINQ)
    other = replace(port(attachment(3)), over=QINQ)
    world = World([plain, over, other])
    assert world.reaches(plain, frame(1, mac(3)) + ",dl_vlan=7") == set()
    assert world.reaches(over, frame(2, mac(3))) == numbers(3)
    tagged = world.journey(over, frame(2, mac(3)) + ",dl_vlan=7")
    assert {(sent.port, sent.vlan) for sent in tagged.sent} == {(1003, 7)}


def test_admin_state_down_closes():
    down = port(attachment(1, admin_state_up=False))
    assert down.gate is Gate.CLOSED


def test_ports_without_security_get_unknown_unicast():
    ports = [port(attachment(n, port_security_enabled=n != 3)) for n in (1, 2, 3)]
    world = World(ports)
    assert world.reaches(ports[0], frame(1, STRANGER)) == numbers(3)
    assert world.reaches(ports[2], frame(1, STRANGER)) == set()


class TestSharedMacs:
    VRRP = "00:00:5e:00:01:01"

    def ports(self, **of_three):
        pair = {"ip_address": "10.9.0.1", "mac_address": self.VRRP}
        fields: dict[str, Any] = {"allowed_address_pairs": [pair]}
        return [
            port(attachment(1)),
            port(attachment(2, **fields)),
            port(attachment(3, **fields), **of_three),
        ]

    def test_go_to_every_open_holder(self):
        ports = self.ports()
        assert World(ports).reaches(ports[0], frame(1, self.VRRP)) == numbers(2, 3)

    def test_but_not_to_a_closed_one(self):
        ports = self.ports(opened=False)
        assert World(ports).reaches(ports[0], frame(1, self.VRRP)) == numbers(2)

    def test_own_mac_that_another_port_may_use_too(self):
        pair = {"ip_address": "10.9.0.1", "mac_address": mac(2)}
        ports = [port(attachment(1)), port(attachment(2))]
        ports.append(port(attachment(3, allowed_address_pairs=[pair])))
        world = World(ports)
        assert world.reaches(ports[0], frame(1, mac(2))) == numbers(2, 3)
        assert not world.journey(ports[0], frame(1, mac(2))).ambiguous


class TestVlan:
    def setup_method(self):
        segment = vlan(101)
        self.ports = [port(attachment(n, segment=segment)) for n in (1, 2)]
        self.world = World(self.ports)

    def vlans(self, source, text):
        journey = self.world.journey(source, text)
        return {sent.port: sent.vlan for sent in journey.sent}

    def test_out(self):
        assert self.vlans(self.ports[0], frame(1, STRANGER)) == {UPLINK: 101}

    def test_local_traffic_stays_local(self):
        assert self.vlans(self.ports[0], frame(1, mac(2))) == {1002: None}

    def test_broadcast_is_tagged_for_the_uplink_only(self):
        assert self.vlans(self.ports[0], frame(1, BROADCAST)) == {1002: None, UPLINK: 101}

    def test_in(self):
        assert self.vlans(UPLINK, frame(9, mac(2)) + ",dl_vlan=101") == {1002: None}
        assert self.vlans(UPLINK, frame(9, BROADCAST) + ",dl_vlan=101") == {
            1001: None,
            1002: None,
        }

    def test_in_by_another_vlan_or_none_is_dropped(self):
        for tag in (",dl_vlan=102", ",dl_vlan=1", ",dl_vlan=0", ""):
            assert self.vlans(UPLINK, frame(9, mac(2)) + tag) == {}, tag

    def test_unknown_from_the_uplink_is_not_sent_back(self):
        assert self.vlans(UPLINK, frame(9, STRANGER) + ",dl_vlan=101") == {}


class TestFlat:
    def setup_method(self):
        self.world = World([port(attachment(n, segment=flat())) for n in (1, 2)])
        self.one = self.world.ports[attachment(1).id]

    def test_out_and_in_without_a_tag(self):
        journey = self.world.journey(self.one, frame(1, STRANGER))
        assert [(s.port, s.vlan) for s in journey.sent] == [(UPLINK, None)]
        assert self.world.reaches(UPLINK, frame(9, mac(2))) == numbers(2)

    def test_tagged_frames_of_the_uplink_are_dropped(self):
        assert self.world.reaches(UPLINK, frame(9, mac(2)) + ",dl_vlan=101") == set()


def test_several_networks_share_an_uplink():
    ports = [
        port(attachment(1, segment=vlan(101)), tag=1),
        port(attachment(2, network=2, segment=vlan(102)), tag=2),
        port(attachment(3, network=3, segment=flat()), tag=3),
    ]
    world = World(ports)
    for number, tag in ((1, ",dl_vlan=101"), (2, ",dl_vlan=102"), (3, "")):
        assert world.reaches(UPLINK, frame(9, BROADCAST) + tag) == numbers(number)


def test_a_network_without_open_ports_has_no_flows():
    closed = port(attachment(1, segment=vlan(101)), opened=False)
    world = World([closed])
    assert world.target.network(1) == []
    assert world.reaches(UPLINK, frame(9, BROADCAST) + ",dl_vlan=101") == set()


class TestManyMembers:
    def test_a_few_thousand_fit(self):
        ports = self.members(OUTPUTS_PER_FLOW + 5)
        made = network_flows(Network(1, ports[0].segment, UPLINK), ports)
        assert {f.table for f in made if f.table >= 160} == {160, 161}
        assert max(len(message.flow_mod(1, f)) for f in made) < 0x10000

    def test_a_chain_of_flows_reaches_each_once(self, monkeypatch):
        monkeypatch.setattr(flows, "OUTPUTS_PER_FLOW", 10)
        ports = self.members(35)
        world = World(ports)
        out = world.journey(ports[0], frame(1, BROADCAST)).sent
        assert sorted(sent.port for sent in out) == sorted([UPLINK, *(p.ofport for p in ports[1:])])
        assert {sent.vlan for sent in out if sent.port != UPLINK} == {None}
        assert {sent.vlan for sent in out if sent.port == UPLINK} == {101}

    def test_too_many_are_refused_in_words(self, monkeypatch):
        monkeypatch.setattr(flows, "MOST_MEMBERS", 9)
        with pytest.raises(BackendError, match="10 open ports on one network, 9 is the most"):
            World(self.members(10))
        assert World(self.members(9)).flows

    def test_those_that_are_asked_count_for_more(self, monkeypatch):
        monkeypatch.setattr(flows, "MOST_MEMBERS", 12)
        slow: dict[str, Any] = {"qos_policy": {"rules": [DOWN]}}
        _, *others = self.members(7)
        asked = port(attachment(1, segment=vlan(101), **slow))
        assert World([asked, *others]).flows
        words = "8 open ports.*12 is the most, and each of 1 with .* limits counts 6-fold"
        with pytest.raises(BackendError, match=words):
            World([asked, *self.members(8)[1:]])

    def test_no_message_is_too_long_for_those_that_are_asked(self, monkeypatch):
        """What asks takes more room than an output."""
        monkeypatch.setattr(flows, "OUTPUTS_PER_FLOW", 10)
        slow: dict[str, Any] = {"qos_policy": {"rules": [DOWN]}}
        ports = [port(attachment(n, segment=vlan(101), **slow)) for n in range(1, 9)]
        ports += [port(attachment(n, segment=vlan(101))) for n in range(9, 15)]
        made = network_flows(Network(1, ports[0].segment, UPLINK), ports)
        flooding = [f for f in made if f.priority == MULTICAST]
        tail = len(flows.to_uplink(Network(1, ports[0].segment, UPLINK)))
        *full, last = [len(f.actions) for f in sorted(flooding, key=lambda f: f.table)]
        # six outputs of 16 bytes and one that asks, of 64; then two, two, two; one with the wire
        assert (full, last) == ([160, 128, 128, 128], 64 + tail)

    @staticmethod
    def members(count):
        return [port(attachment(n, segment=vlan(101))) for n in range(1, count + 1)]

    def test_one_flow_while_they_fit_in_one(self):
        ports = [port(attachment(n)) for n in range(1, 11)]
        made = network_flows(Network(1, ports[0].segment), ports)
        assert {f.table for f in made} == {160}


def test_every_flow_bears_its_owners_cookie():
    ports = [port(attachment(n, segment=vlan(101))) for n in (1, 2)]
    world = World(ports)
    owners = {cookies.port(7, p.ofport) for p in ports} | {cookies.network(1), cookies.BRIDGE}
    assert {f.cookie for f in world.flows} == owners
    assert len({f.key for f in world.flows}) == len(world.flows)
    assert PATCH in world.target.uplinks
