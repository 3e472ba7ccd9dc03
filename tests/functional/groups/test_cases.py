"""What Neutron's own functional tests ask of a firewall and of ARP protection, judged by traffic.

The cases are those of ``agent/test_firewall.py`` and ``agent/test_ovs_flows.py`` of Neutron 29; the
former runs with iptables alone there. Source ports are no part of the API's rules. That a port of
``network:*`` is not protected is the translation's (``tests/unit/neutron``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from functional.groups import packets as p
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.rig_bridge import BridgeRig, FakeBridgeRig, RealBridgeRig
from functional.groups.table import GROUP, HAS, PEER, PORT
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat
from vifd.testing.guests import PacketGuest
from vifd.testing.sandbox import PrivateOvs

IN, OUT = {"direction": "ingress"}, {"direction": "egress"}
EVERYTHING = [{**way, "ethertype": f"IPv{version}"} for way in (IN, OUT) for version in (4, 6)]
#: Whose address the port claims though it is none of its own.
CLAIMED4, CLAIMED6 = "10.9.0.7", "fd09::7"
FORGED = "02:00:00:00:0b:ad"
_ports: Iterator[int] = iter(range(3000, 60000))


@dataclass(frozen=True)
class Case:
    """A case with its values."""

    play: Callable[..., None]
    values: dict[str, Any]

    def __str__(self) -> str:
        return "-".join([self.play.__name__, *map(str, self.values.values())])


CASES: list[Case] = []


def case(**values: tuple[Any, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A case for each combination of values."""

    def taken(play: Callable[..., None]) -> Callable[..., None]:
        for chosen in itertools.product(*values.values()):
            CASES.append(Case(play, dict(zip(values, chosen, strict=True))))
        return play

    return taken


def begin(rig: Rig) -> Rig:
    """The port under test in a group without rules, and a peer that nothing filters."""
    if not rig.names:
        rig.sets.group(GROUP)  # there is no switch yet that could be waited for
    plug(rig)
    rig.say(GROUP)
    rig.forget()
    return rig


def play_all(rig: Rig) -> list[str]:
    """The cases that came out otherwise than they should."""
    wrong = []
    for one in CASES:
        try:
            one.play(begin(rig), **one.values)
        except AssertionError as error:
            wrong.append(f"{one}: {error}")
    return wrong


def plug(rig: Rig, **port: Any) -> None:
    segment = flat() if isinstance(rig, BridgeRig) else {"network_type": "local"}
    said = {"security_groups": [GROUP], **port}
    rig.plug(
        port=attachment(1, segment=segment, **said),
        peer=attachment(2, segment=segment, port_security_enabled=False),
    )


def rule(way: dict[str, str], version: int, **more: Any) -> dict[str, Any]:
    return {**way, "ethertype": f"IPv{version}", **more}


def ports(low: int, high: int) -> dict[str, int]:
    return {"port_range_min": low, "port_range_max": high}


def gets(rig: Rig, name: str, version: int = 4) -> bool:
    """Whether the port gets the first packet of a connection of the peer."""
    return rig.arrives("peer", p.first(name, PEER, PORT, version, next(_ports)), "port")


def sends(rig: Rig, name: str, version: int = 4) -> bool:
    """Whether the peer gets one of the port."""
    return rig.arrives("port", p.first(name, PORT, PEER, version, next(_ports)), "peer")


def claims(rig: Rig, frame: bytes) -> bool:
    """Whether what the port says of itself arrives."""
    return rig.arrives("port", frame, "peer")


# --- the firewall ---------------------------------------------------------------------------------


@case(version=(4, 6))
def ingress_icmp(host, version):
    named = {4: "icmp", 6: "ipv6-icmp"}[version]
    assert not gets(host, "icmp:8/0", version)
    host.say(GROUP, rule(IN, version, protocol=named))
    assert gets(host, "icmp:8/0", version)
    assert not gets(host, "tcp:80", version)


@case(version=(4, 6), protocol=("tcp", "udp"), way=(IN, OUT))
def one_port_and_the_next_is_closed(host, version, protocol, way):
    passes = gets if way is IN else sends
    assert not passes(host, f"{protocol}:3333", version)
    host.say(GROUP, rule(way, version, protocol=protocol, **ports(3333, 3333)))
    assert passes(host, f"{protocol}:3333", version)
    assert not passes(host, f"{protocol}:3334", version)


@case(version=(4, 6), protocol=("tcp", "udp"), way=(IN, OUT))
def a_range_of_ports(host, version, protocol, way):
    passes = gets if way is IN else sends
    host.say(GROUP, rule(way, version, protocol=protocol, **ports(3300, 3399)))
    found = [passes(host, f"{protocol}:{n}", version) for n in (3299, 3300, 3399, 3400)]
    assert found == [False, True, True, False]


@case(
    version=(4, 6), way=(IN, OUT), what=(("icmp", "icmp:8/0"), ("tcp", "tcp:80"), ("udp", "udp:53"))
)
def from_and_to_one_address(host, version, way, what):
    named, name = what
    named = "ipv6-icmp" if (version, named) == (6, "icmp") else named
    passes = gets if way is IN else sends
    bits = 32 if version == 4 else 128
    other = {4: "10.0.0.77", 6: "fd00::77"}[version]
    host.say(GROUP, rule(way, version, protocol=named, remote_ip_prefix=f"{other}/{bits}"))
    assert not passes(host, name, version)
    mine = f"{PEER.ip(version)}/{bits}"
    host.say(GROUP, rule(way, version, protocol=named, remote_ip_prefix=mine))
    assert passes(host, name, version)


@case()
def dhcp_of_a_client_passes_and_of_a_server_does_not(host):
    assert claims(host, f.dhcp_discover(PORT.mac))
    host.say(GROUP, *EVERYTHING)
    offer = f.dhcp_offer(PORT.mac, PORT.ip4, PEER.mac, PEER.ip4)
    assert not claims(host, offer)
    plug(host, port_security_enabled=False)
    assert claims(host, offer)


@case()
def arp_is_allowed(host):
    assert claims(host, f.arp_request(PORT.mac, PORT.ip4, PEER.ip4))
    assert host.arrives("peer", f.arp_request(PEER.mac, PEER.ip4, PORT.ip4), "port")
    assert host.arrives("peer", f.arp_reply(PEER.mac, PEER.ip4, PORT.mac, PORT.ip4), "port")


@case(version=(4, 6), forged=("MAC address", "address"))
def a_forged_source(host, version, forged):
    host.say(GROUP, *EVERYTHING)
    liar = p.Station(FORGED, PORT.ip4, PORT.ip6)
    if forged == "address":
        liar = p.Station(PORT.mac, CLAIMED4, CLAIMED6)
    frame = p.first("udp:53", liar, PEER, version, next(_ports))
    assert sends(host, "udp:53", version)
    assert not claims(host, frame)
    plug(host, port_security_enabled=False)
    assert claims(host, frame)


@case(version=(4, 6))
def allowed_address_pairs(host, version):
    host.say(GROUP, *EVERYTHING)
    liar = p.Station(PORT.mac, CLAIMED4, CLAIMED6)
    plug(host, allowed_address_pairs=[{"ip_address": ip} for ip in (CLAIMED4, CLAIMED6)])
    assert claims(host, p.first("tcp:80", liar, PEER, version, next(_ports)))
    assert sends(host, "tcp:80", version)
    plug(host)
    assert not claims(host, p.first("tcp:80", liar, PEER, version, next(_ports)))


@case(version=(4, 6))
def port_security_is_turned_off(host, version):
    assert not gets(host, "tcp:80", version)
    assert not sends(host, "tcp:80", version)
    plug(host, port_security_enabled=False)
    assert gets(host, "tcp:80", version)
    assert sends(host, "tcp:80", version)
    plug(host)
    assert not gets(host, "tcp:80", version)


@case(version=(4, 6), name=("tcp:80", "udp:53", "icmp:8/0"))
def an_established_connection_is_cut(host, version, name):
    named = {"tcp": "tcp", "udp": "udp", "icmp": "icmp" if version == 4 else "ipv6-icmp"}
    allowed = rule(IN, version, protocol=named[name.partition(":")[0]])
    host.say(GROUP, allowed)
    sport = next(_ports)
    asks = p.first(name, PEER, PORT, version, sport)
    tells = p.answer(name, PORT, PEER, version, sport)
    assert host.arrives("peer", asks, "port")
    assert host.arrives("port", tells, "peer")
    if name.startswith("tcp"):
        asks = p.tcp(PEER, PORT, version, sport, 80, p.ACK)
        assert host.arrives("peer", asks, "port")
    host.say(GROUP)
    assert not host.arrives("peer", asks, "port")
    assert not host.arrives("port", tells, "peer")


@case(version=(4, 6))
def a_remote_group(host, version):
    member = {"ip_address": PEER.ip(version)}
    host.put("security-group", HAS)
    host.say(GROUP, rule(IN, version, remote_group_id=HAS))
    assert not gets(host, "icmp:8/0", version)
    host.put("security-group", HAS, members=[member])
    assert gets(host, "icmp:8/0", version)
    host.put("security-group", HAS)
    assert not gets(host, "icmp:8/0", version)


@case(version=(4, 6))
def what_is_related_and_what_is_tracked(host, version):
    host.say(GROUP, rule(OUT, version))
    sport = next(_ports)
    asks = p.first("udp:53", PORT, PEER, version, sport)
    assert not host.arrives("peer", p.answer("udp:53", PEER, PORT, version, sport), "port")
    assert host.arrives("port", asks, "peer")
    assert host.arrives("peer", p.answer("udp:53", PEER, PORT, version, sport), "port")
    assert host.arrives("peer", p.unreachable(asks, PEER, PORT, version), "port")
    stray = p.first("udp:54", PORT, PEER, version, sport)
    assert not host.arrives("peer", p.unreachable(stray, PEER, PORT, version), "port")


@case(version=(4, 6))
def nothing_blinks_while_rules_change(host, version):
    """``make hitless`` counts it under load; here a packet passes between any two changes."""
    named = {4: "icmp", 6: "ipv6-icmp"}[version]
    kept = rule(IN, version, protocol=named)
    for port in range(8000, 8012):
        host.say(GROUP, kept, rule(IN, version, protocol="tcp", **ports(port, port)))
        assert gets(host, "icmp:8/0", version)


# --- ARP and neighbour discovery ------------------------------------------------------------------


def _arps(ip: str, mac: str = PORT.mac) -> tuple[bytes, bytes]:
    """A request and a reply that say who has an address."""
    return (f.arp_request(mac, ip, PEER.ip4, src=PORT.mac),
            f.arp_reply(mac, ip, PEER.mac, PEER.ip4, src=PORT.mac))  # fmt: skip


@case()
def arp_of_its_own_and_of_others(host):
    assert all(claims(host, frame) for frame in _arps(PORT.ip4))
    assert not any(claims(host, frame) for frame in _arps(CLAIMED4))
    assert not any(claims(host, frame) for frame in _arps(PORT.ip4, FORGED))


@case()
def ipv6_goes_on_beside_arp_protection(host):
    host.say(GROUP, *EVERYTHING)
    assert sends(host, "icmp:8/0", 6)
    assert gets(host, "icmp:8/0", 6)


@case(pair=(CLAIMED4, "10.9.0.0/24", "0.0.0.0/0"))
def arp_of_an_allowed_pair(host, pair):
    plug(host, allowed_address_pairs=[{"ip_address": pair}])
    assert all(claims(host, frame) for frame in _arps(CLAIMED4))
    assert not any(claims(host, frame) for frame in _arps(CLAIMED4, FORGED))


def _advertised(ip: str) -> bytes:
    return f.neighbour_advertisement(PORT.mac, PORT.ip6, ip)


@case()
def an_advertisement_of_its_own_and_of_others(host):
    assert claims(host, _advertised(PORT.ip6))
    assert not claims(host, _advertised(CLAIMED6))
    plug(host, allowed_address_pairs=[{"ip_address": CLAIMED6}])
    assert claims(host, _advertised(CLAIMED6))


@case()
def a_port_without_security_claims_what_it_likes(host):
    plug(host, port_security_enabled=False)
    assert all(claims(host, frame) for frame in (*_arps(CLAIMED4), _advertised(CLAIMED6)))


# --- played --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("make", [FakeRig, FakeBridgeRig])
def test_on_fakes(make: type[FakeRig | FakeBridgeRig], case: Case) -> None:
    with make() as rig:
        case.play(begin(rig), **case.values)


def test_on_a_switch(ovs: PrivateOvs) -> None:
    with RealRig(ovs, None) as rig:
        assert not play_all(rig)


@pytest.mark.needs("bridge_tracking")
def test_on_the_kernels_bridge(cable: PacketGuest) -> None:
    with RealBridgeRig(cable) as rig:
        assert not play_all(rig)


def test_none_is_missing() -> None:
    assert len(CASES) >= 31 + 11
