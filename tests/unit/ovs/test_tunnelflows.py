"""Where frames go in networks with tunnels: output sets with the endpoints, exactly."""

from __future__ import annotations

import pytest

from unit.ovs.world import BRIDGE, World, port
from vifd.model.sets import Endpoint, Forwarding, Reachable
from vifd.openflow.field import BY_NAME, parse
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.pipeline import Pipeline, Sent
from vifd_ovs.bridge.overlay import Kind
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.tables import ANSWER, SOLICITED, TUNNELS
from vifd_ovs.bridge.target import Target, by_cookie, difference
from vifd_ovs.bridge.tunnelflows import ENDPOINTS_PER_FLOW

VXLAN = {"network_type": "vxlan", "segmentation_id": 101}
OUT4, OUT6 = 801, 802
OWN = ("172.31.0.1", "fd31::1")
BROADCAST = "ff:ff:ff:ff:ff:ff"
A, B, C6 = "172.31.0.2", "172.31.0.3", "fd31::4"
Place = tuple[int, str]


def number(field: str, text: str) -> int:
    return parse(BY_NAME[field], text)[0]


def behind(address: str, *ports: int) -> Endpoint:
    reachable = tuple(Reachable(mac_address=mac(n), ip_addresses=(ipv4(n), ipv6(n))) for n in ports)
    return Endpoint(address=address, ports=reachable)


class Tunnels(World):
    """The ports of one host, and who is elsewhere."""

    def __init__(self, *ports, endpoints=(), exits=((4, OUT4), (6, OUT6)), advertises=True):
        super().__init__(ports)
        network = ports[0].network if ports else ""
        self.target = Target(
            Roster(self.ports), True, {}, {}, {Kind("vxlan", v): n for v, n in exits}, OWN,
            {network: Forwarding(id=network, endpoints=tuple(endpoints))}, advertises=advertises,
        )  # fmt: skip
        self.flows = list(self.target.all())
        self.pipeline = Pipeline({BRIDGE: self.flows})

    def goes(self, source, text) -> set[object]:
        """Where a packet goes: ports of this host by number, endpoints by address."""
        return {self._place(sent) for sent in self.journey(source, text).sent}

    @staticmethod
    def _place(sent: Sent) -> object:
        if sent.port not in (OUT4, OUT6):
            return sent.port
        assert sent.packet["tun_id"] == 101
        name = "tun_dst" if sent.port == OUT4 else "tun_ipv6_dst"
        addresses = {number(name, a): a for a in (A, B, C6) if (":" in a) == (sent.port == OUT6)}
        return addresses[sent.packet[name]]

    def from_tunnel(self, out: int, text: str, vni: int = 101) -> set[object]:
        journey = self.pipeline.send(BRIDGE, {**packet_of(text), "in_port": out, "tun_id": vni})
        return {self._place(sent) for sent in journey.sent}


def packet_of(text: str) -> dict[str, int]:
    from vifd.testing import packet

    return dict(packet.parse(text))


def local(n: int, **more):
    return port(attachment(n, segment=VXLAN, **more))


def udp(source: int, dst: str) -> str:
    return f"udp,dl_src={mac(source)},dl_dst={dst},nw_src={ipv4(source)},tp_src=1,tp_dst=2"


def arp(source: int, target: str, sender: str | None = None) -> str:
    return (
        f"arp,dl_src={mac(source)},dl_dst={BROADCAST},arp_op=1,arp_sha={mac(source)},"
        f"arp_spa={sender or ipv4(source)},arp_tpa={target}"
    )


def solicitation(source: int, target: str, sender: str | None = None) -> str:
    return (
        f"icmp6,dl_src={mac(source)},dl_dst=33:33:ff:00:00:{target[-2:].strip(':'):0>2},"
        f"ipv6_src={sender or ipv6(source)},ipv6_dst=ff02::1:ff00:1,icmpv6_type=135,"
        f"nd_target={target}"
    )


def test_a_known_mac_goes_to_its_endpoint_alone():
    world = Tunnels(local(1), local(2), endpoints=[behind(A, 5), behind(B, 6), behind(C6, 7)])
    one = world.ports[attachment(1).id]
    assert world.goes(one, udp(1, mac(5))) == {A}
    assert world.goes(one, udp(1, mac(6))) == {B}
    assert world.goes(one, udp(1, mac(7))) == {C6}
    assert world.goes(one, udp(1, mac(2))) == {1002}


def test_what_is_for_all_or_unknown_goes_to_every_endpoint():
    world = Tunnels(local(1), local(2), endpoints=[behind(A, 5), behind(B), behind(C6)])
    one = world.ports[attachment(1).id]
    assert world.goes(one, udp(1, BROADCAST)) == {1002, A, B, C6}
    assert world.goes(one, udp(1, "01:00:5e:00:00:fb")) == {1002, A, B, C6}
    assert world.goes(one, udp(1, "0e:00:00:00:00:99")) == {A, B, C6}


def test_a_frame_from_a_tunnel_never_goes_to_a_tunnel():
    shared = [{"ip_address": ipv4(9), "mac_address": mac(9)}]
    ports = [local(1), local(2, port_security_enabled=False)]
    ports.append(local(3, allowed_address_pairs=shared))
    world = Tunnels(*ports, endpoints=[behind(A, 5, 9), behind(C6, 7)])
    for out in (OUT4, OUT6):
        assert world.from_tunnel(out, udp(5, mac(1))) == {1001}
        assert world.from_tunnel(out, udp(5, BROADCAST)) == {1001, 1002, 1003}
        assert world.from_tunnel(out, udp(5, "0e:00:00:00:00:99")) == {1002}
        assert world.from_tunnel(out, udp(5, mac(7))) == {1002}
        assert world.from_tunnel(out, udp(5, mac(9))) == {1003}
        assert world.from_tunnel(out, arp(5, ipv4(7))) == {1001, 1002, 1003}


def test_only_networks_with_ports_here_come_in():
    world = Tunnels(local(1), endpoints=[behind(A, 5)])
    assert world.from_tunnel(OUT4, udp(5, BROADCAST), vni=102) == set()
    assert world.from_tunnel(OUT4, "vlan_tci=0x1007,dl_dst=" + BROADCAST) == set()
    closed = Tunnels(port(attachment(1, segment=VXLAN), opened=False), endpoints=[behind(A, 5)])
    assert closed.from_tunnel(OUT4, udp(5, BROADCAST)) == set()


def test_a_shared_mac_goes_to_its_holders_and_its_endpoint():
    pair = [{"ip_address": ipv4(9), "mac_address": mac(9)}]
    one, two = local(1), local(2, allowed_address_pairs=pair)
    assert Tunnels(one, two, endpoints=[behind(A, 9), behind(B)]).goes(one, udp(1, mac(9))) == {
        1002, A,
    }  # fmt: skip
    assert Tunnels(one, two, endpoints=[behind(A), behind(B)]).goes(one, udp(1, mac(9))) == {
        1002, A, B,
    }  # fmt: skip


def test_a_local_port_is_local_whatever_the_forwarding_says():
    one, two = local(1), local(2)
    world = Tunnels(one, two, endpoints=[behind(A, 2)])
    assert world.goes(one, udp(1, mac(2))) == {1002}
    closed = port(attachment(2, segment=VXLAN), opened=False)
    assert Tunnels(one, closed, endpoints=[behind(A, 2)]).goes(one, udp(1, mac(2))) == {A}


def test_own_addresses_are_no_endpoints():
    one = local(1)
    world = Tunnels(one, endpoints=[behind(OWN[0], 8), behind(A)])
    assert world.goes(one, udp(1, BROADCAST)) == {A}
    assert world.goes(one, udp(1, mac(8))) == {A}


def test_endpoints_of_a_version_without_a_tunnel_are_left_out():
    one = local(1)
    world = Tunnels(one, endpoints=[behind(A), behind(C6, 7)], exits=[(4, OUT4)])
    assert world.goes(one, udp(1, BROADCAST)) == {A}


class TestAnswers:
    def setup_method(self):
        self.one = local(1)
        self.world = Tunnels(self.one, local(2), endpoints=[behind(A, 5), behind(B)])

    def test_arp_for_a_known_address_is_answered_here(self):
        (reply,) = self.world.journey(self.one, arp(1, ipv4(5))).sent
        assert reply.port == self.one.ofport
        wanted = {"arp_op": 2, "arp_sha": number("eth_src", mac(5)),
                  "arp_tha": number("eth_src", mac(1)), "eth_src": number("eth_src", mac(5)),
                  "eth_dst": number("eth_src", mac(1)), "arp_spa": number("arp_spa", ipv4(5)),
                  "arp_tpa": number("arp_spa", ipv4(1))}  # fmt: skip
        assert wanted.items() <= dict(reply.packet).items()

    def test_neighbour_discovery_too(self):
        (reply,) = self.world.journey(self.one, solicitation(1, ipv6(5))).sent
        assert reply.port == self.one.ofport
        wanted = {"icmpv6_type": 136, "nd_tll": number("eth_src", mac(5)),
                  "ipv6_dst": number("ipv6_src", ipv6(1)), "ipv6_src": number("ipv6_src", ipv6(5)),
                  "nd_options_type": 2, "nd_reserved": 0x60000000}  # fmt: skip
        assert wanted.items() <= dict(reply.packet).items()

    def test_without_that_who_has_the_address_is_asked(self):
        """On the kernel's datapath."""
        world = Tunnels(self.one, local(2), endpoints=[behind(A, 5)], advertises=False)
        assert world.goes(self.one, solicitation(1, ipv6(5))) == {1002, A}
        assert world.goes(self.one, arp(1, ipv4(5))) == {self.one.ofport}

    def test_what_is_not_known_is_asked_of_all(self):
        assert self.world.goes(self.one, arp(1, ipv4(6))) == {1002, A, B}
        assert self.world.goes(self.one, solicitation(1, ipv6(6))) == {1002, A, B}

    def test_address_detection_is_left_to_the_holder(self):
        assert self.world.goes(self.one, arp(1, ipv4(1), "0.0.0.0")) == {1002, A, B}
        assert self.world.goes(self.one, solicitation(1, ipv6(1), "::")) == {1002, A, B}

    def test_what_a_port_here_may_claim_is_not_answered(self):
        pair = [{"ip_address": "10.0.0.0/24"}]
        one = local(1, allowed_address_pairs=pair)
        world = Tunnels(one, local(2), endpoints=[behind(A, 5)])
        assert world.goes(one, arp(1, ipv4(5))) == {1002, A}

    def test_what_two_claim_is_not_answered(self):
        two = Endpoint(address=B, ports=(
            Reachable(mac_address=mac(6), ip_addresses=(ipv4(5),)),
        ))  # fmt: skip
        world = Tunnels(self.one, local(2), endpoints=[behind(A, 5), two])
        assert world.goes(self.one, arp(1, ipv4(5))) == {1002, A, B}

    def test_a_link_local_address_is_not_answered(self):
        router = Reachable(mac_address=mac(5), ip_addresses=("fe80::5",))
        world = Tunnels(self.one, local(2), endpoints=[Endpoint(address=A, ports=(router,))])
        assert world.goes(self.one, solicitation(1, "fe80::5")) == {1002, A}

    def test_an_announcement_is_for_everybody(self):
        free = local(3, port_security_enabled=False)
        world = Tunnels(self.one, free, endpoints=[behind(A, 5)])
        assert world.goes(free, arp(3, ipv4(5), ipv4(5))) == {1001, A}
        assert world.goes(free, arp(3, ipv4(5))) == {free.ofport}


def test_one_move_changes_one_flow():
    def made(first, second):
        world = Tunnels(local(1), endpoints=[behind(A, *first), behind(B, *second)])
        return by_cookie(world.flows)

    before, after = made(range(100, 400), range(400, 700)), made(range(101, 400), range(400, 701))
    assert {*before} == {*after}
    todo = difference(before, after, {*before})
    # the port that went: its frames and two answers; the one that came: the same
    assert (len(todo.add), len(todo.delete)) == (3, 3)
    moved = made(range(100, 399), range(399, 700))
    todo = difference(before, moved, {*before})
    assert (len(todo.add), len(todo.delete)) == (1, 0)


@pytest.mark.parametrize("count", [1, ENDPOINTS_PER_FLOW, ENDPOINTS_PER_FLOW + 1, 1990])
def test_many_endpoints_are_a_chain_of_flows(count):
    addresses = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(1, count + 1)]
    one = local(1)
    world = Tunnels(one, endpoints=[Endpoint(address=a) for a in addresses])
    sent = world.journey(one, udp(1, BROADCAST)).sent
    found = {s.packet["tun_dst"] for s in sent if s.port == OUT4}
    assert found == {number("tun_dst", a) for a in addresses}


def test_a_host_without_tunnels_has_the_flows_that_it_had():
    ports = [port(attachment(1)), port(attachment(2))]
    tables = {flow.table for flow in World(ports).flows}
    assert not tables & {ANSWER, SOLICITED, TUNNELS}
