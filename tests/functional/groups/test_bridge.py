"""What is the kernel's bridge alone: marks, zones, elements, and a kernel that follows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional.groups.packets import answer, first
from functional.groups.rig_bridge import BridgeRig, FakeBridgeRig, RealBridgeRig
from functional.groups.table import GROUP, HAS, PEER, PORT, WIRE
from functional.groups.test_changes import ALL_OUT, IN, udp_in
from vifd.drivers.nft.objects import TABLE, Change, Element
from vifd.model import Attachment
from vifd.testing.attachments import attachment, flat, mac, vlan
from vifd_linuxbridge import groupbase
from vifd_linuxbridge.testing import rules


@pytest.fixture
def rig(bridge_rig):
    return bridge_rig


def test_who_forges_an_address_of_a_port_opens_it_for_nobody(rig):
    rig.say(GROUP, *ALL_OUT)
    rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]),
             peer=attachment(2, segment=flat(), port_security_enabled=False))  # fmt: skip
    forged = first("udp:53", PORT, WIRE, 4, 900)
    assert rig.arrives("peer", forged, "wire")
    assert not rig.arrives("wire", answer("udp:53", WIRE, PORT, 4, 900), "port")
    assert rig.arrives("port", forged, "wire")
    assert rig.arrives("wire", answer("udp:53", WIRE, PORT, 4, 900), "port")


OWN, THERE = "192.0.2.1", "192.0.2.2"
#: By the number of their network.
TUNNELS = {2 << 96: 101, 3 << 96: 102}


@pytest.fixture(
    params=["fakes", pytest.param("bridge", marks=pytest.mark.needs("bridge_tracking"))]
)
def tunnelled(request: pytest.FixtureRequest) -> Iterator[BridgeRig]:
    """A host with an address that tunnels may end at."""
    if request.param == "fakes":
        with FakeBridgeRig(local_ip=OWN) as rig:
            rig.machine.links.place("eth0", kind="", mtu=1600, up=True, carrier=True)
            rig.machine.bridging.add_address("eth0", f"{OWN}/24")
            rig.ledger.plugin.probe()
            yield rig
        return
    cable = request.getfixturevalue("cable")
    with IPRoute() as netlink:
        netlink.link("add", ifname="underlay", kind="dummy")
        (index,) = netlink.link_lookup(ifname="underlay")
        netlink.addr("add", index=index, address=OWN, prefixlen=24)
        netlink.link("set", index=index, mtu=1600, state="up")
        try:
            with RealBridgeRig(cable, local_ip=OWN) as rig:
                yield rig
        finally:
            netlink.link("del", index=index)


def test_a_restart_with_many_ports_rules_and_tunnels_changes_nothing(tunnelled):
    rig = tunnelled
    rig.say(GROUP, *(udp_in(number) for number in range(1000, 1300)))
    rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]),
             peer=attachment(2, segment=flat(), port_security_enabled=False))  # fmt: skip
    assert not rig.ledger.plug(*(_one_of_many(n) for n in range(10, 109)))
    for number, vni in TUNNELS.items():
        behind = [{"mac_address": mac(vni + 100), "ip_addresses": ["10.0.0.199"]}]
        endpoints = [{"address": THERE, "ports": behind}]
        rig.put("forwarding", attachment(1, network=number).network.id, endpoints=endpoints)
    rig.tell(*rig.sets.told(rig.ledger.records))
    asked, told = first("udp:1234", PEER, PORT, 4, 900), answer("udp:1234", PORT, PEER, 4, 900)
    assert rig.arrives("peer", asked, "port")
    assert rig.arrives("port", told, "peer")
    before = rig.state(), _entries(rig)
    assert all(before[1].values())
    rig.restart()
    assert not rig.ledger.findings()
    assert not rig.ledger.carry_out([*rig.ledger.records])
    rig.tell(*rig.sets.told(rig.ledger.records))
    assert rig.changes() == 0
    assert (rig.state(), _entries(rig)) == before
    assert rig.arrives("port", told, "peer")


def _one_of_many(number: int) -> Attachment:
    """A third of the ports on the physical network, the others on one with tunnels each."""
    network = (1, *TUNNELS)[number % 3]
    vni = TUNNELS.get(network)
    said: dict[str, Any] = {"network": network, "security_groups": [GROUP]}
    if vni is None:
        return attachment(number, segment=flat(), **said)
    segment = {"network_type": "vxlan", "segmentation_id": vni}
    return attachment(number, segment=segment, mtu=1400, **said)


def _entries(rig: BridgeRig) -> dict[str, Any]:
    """What tunnels are known to lead to."""
    bridging: Any = rig.ledger.drivers.bridging
    return {f"vxlan-{vni}": set(bridging.tunnels(f"vxlan-{vni}")) for vni in TUNNELS.values()}


def test_one_more_member_is_one_element(rig):
    rig.say(GROUP, {**IN, "remote_group_id": HAS, "protocol": "tcp"},
            {**IN, "remote_group_id": HAS, "protocol": "udp"})  # fmt: skip
    members = [{"ip_address": f"10.1.{n >> 8}.{n & 255}"} for n in range(1, 400)]
    rig.put("security-group", HAS, members=members[:-1])
    rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]))
    before = rules(rig.ledger.drivers)
    rig.put("security-group", HAS, members=members)
    after = rules(rig.ledger.drivers)
    assert not before - after
    assert len(after - before) == 1
    rig.put("security-group", HAS, members=[*members, {"ip_address": "10.7.0.0/16"}])
    assert not rig.ledger.findings()


def test_a_member_that_another_hand_took_away_is_found_and_mended(rig):
    rig.say(GROUP, {**IN, "remote_group_id": HAS})
    rig.put("security-group", HAS, members=[{"ip_address": PEER.ip4}, {"ip_address": WIRE.ip4}])
    rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]),
             peer=attachment(2, segment=flat()))  # fmt: skip
    gone = Element(f"sg-{HAS}-4-32", PEER.ip4, address=True)
    rig.nft.apply(TABLE, Change(delete=[gone]))
    assert set(rig.ledger.findings()) == {"nft.groups"}
    assert not rig.ledger.carry_out([rig.names["port"]])
    assert not rig.ledger.findings()
    assert rig.arrives("peer", first("udp:53", PEER, PORT, 4, 900), "port")


def test_networks_have_zones_of_their_own_and_the_others_none():
    with FakeBridgeRig() as rig:
        rig.say(GROUP, udp_in(53))
        local = {"network_type": "local"}
        ports = [
            attachment(1, segment=flat(), security_groups=[GROUP]),
            attachment(2, network=7 << 96, segment=local, security_groups=[GROUP]),
            attachment(3, network=8 << 96, segment=local),
        ]
        assert not rig.ledger.plug(*ports)
        chains = rig.nft.list_chains(TABLE).values()
        told = [found for chain in chains if (found := groupbase.zones_of(chain)) is not None]
        zones = [number for _, by_vlan in told for number in by_vlan.values()]
        assert len(told) == 3
        assert len(zones) == len({*zones}) == 2
        assert not rig.ledger.findings()
        assert not rig.ledger.unplug()
        assert not rules(rig.ledger.drivers)


def test_vlans_of_one_bridge_have_zones_of_their_own():
    with FakeBridgeRig(vlan_aware=True) as rig:
        rig.say(GROUP, udp_in(53))
        for number in (1, 2):
            wanted = attachment(number, network=number, segment=vlan(100 + number),
                                security_groups=[GROUP])  # fmt: skip
            assert not rig.ledger.plug(wanted)
        (chain,) = (c for c in rig.nft.list_chains(TABLE).values() if groupbase.zones_of(c))
        _, zones = groupbase.zones_of(chain) or ("", {})
        assert set(zones) == {101, 102}
        assert len({*zones.values()}) == 2
        before = {*zones.items()}
        rig.restart()
        assert not rig.ledger.findings()
        assert rig.changes() == 0
        (chain,) = (c for c in rig.nft.list_chains(TABLE).values() if groupbase.zones_of(c))
        assert {*(groupbase.zones_of(chain) or ("", {}))[1].items()} == before


def test_where_the_kernel_follows_nothing_the_host_says_so_and_the_port_has_no_groups():
    with FakeBridgeRig() as rig:
        rig.machine.nft.no_tracking = "the kernel has no connection tracking on bridges"
        rig.restart()
        probe = rig.ledger.plugin.probe()
        assert "no connection tracking" in probe.unenforced["security_groups"]
        assert "no connection tracking" in probe.facts["connection_tracking"]
        rig.say(GROUP)
        rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]),
                 peer=attachment(2, segment=flat()))  # fmt: skip
        assert rig.arrives("peer", first("udp:53", PEER, PORT, 4, 900), "port")
        assert not [n for n in rig.nft.list_chains(TABLE) if n.startswith(("sg-", "zone-"))]
        assert not rig.ledger.findings()
