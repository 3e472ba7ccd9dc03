"""Whether a binding can be carried out here: each check, refused and not."""

from __future__ import annotations

import uuid
from dataclasses import replace

import msgspec
import pytest

from unit.capabilities.asking import NOOP, OVS, host
from vifd import errors
from vifd.capabilities import names
from vifd.capabilities.binding import check
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.neighbours import Neighbours
from vifd.model import FixedIp, Subnet
from vifd.plugin import Health, Probe, Uplink
from vifd.testing.attachments import attachment, flat, ipv4, mac, port_id, vlan

ONE = attachment(1)
SUBNET, HERE, THERE = (str(uuid.UUID(int=n)) for n in (7, 8, 9))


def found(wanted, *, probe=None, advert=OVS, inventory=None, neighbours=(), strict=False):
    known = probe or Probe(Health.READY)
    return check(
        wanted, advert, known, inventory or Inventory(), Neighbours(neighbours),
        plugin="ovs", strict=strict,
    )  # fmt: skip


def physnets(**uplinks: Uplink) -> Probe:
    return Probe(Health.READY, physical_networks=uplinks)


def tunnels(**uplinks: Uplink) -> Probe:
    return Probe(Health.READY, tunnels=uplinks)


def codes(refusals):
    return [type(error) for error in refusals]


# --- the way out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("segment", [vlan(5), flat()])
def test_physical_network(segment):
    wanted = attachment(1, segment=segment)
    assert not found(wanted, probe=physnets(physnet1=Uplink("br-ex", up=True, mtu=1500)))
    (error,) = found(wanted, probe=physnets(physnet2=Uplink("br-ex")))
    assert isinstance(error, errors.PhysnetUnmapped)
    assert error.facts["wanted"] == "physnet1"
    assert error.facts["have"] == ["physnet2"]
    assert (error.port, error.stage) == (wanted.id, "segment")


def test_a_plugin_that_does_not_tell_is_not_refused():
    assert not found(attachment(1, segment=vlan(5)))
    assert not found(attachment(1, segment={"network_type": "vxlan", "segmentation_id": 5}))


@pytest.mark.parametrize(("up", "refused"), [(True, False), (None, False), (False, True)])
def test_uplink_down(up, refused):
    uplink = Uplink("br-ex", up=up, problem="eth1 has no carrier")
    refusals = found(attachment(1, segment=vlan(5)), probe=physnets(physnet1=uplink))
    assert codes(refusals) == ([errors.PhysnetDown] if refused else [])
    if refused:
        assert "eth1 has no carrier" in refusals[0].message
        assert refusals[0].retryable


@pytest.mark.parametrize(
    ("mtu", "limit", "refused"), [(1500, 1500, False), (1501, 1500, True), (9000, None, False)]
)
def test_mtu(mtu, limit, refused):
    wanted = attachment(1, segment=vlan(5), mtu=mtu)
    refusals = found(wanted, probe=physnets(physnet1=Uplink("eth1", up=True, mtu=limit)))
    assert codes(refusals) == ([errors.MtuTooLarge] if refused else [])
    if refused:
        assert refusals[0].facts == {"wanted": mtu, "have": limit, "bottleneck": "eth1"}


def test_the_bottleneck_is_the_link_where_there_is_one():
    wanted = attachment(1, segment=vlan(5), mtu=9000)
    for devices, named in ((("eth1",), "eth1"), (("eth1", "eth2"), "br-ex"), ((), "br-ex")):
        uplink = Uplink("br-ex", up=True, mtu=1500, devices=devices)
        (error,) = found(wanted, probe=physnets(physnet1=uplink))
        assert error.facts["bottleneck"] == named


def test_a_local_network_has_no_uplink():
    assert not found(attachment(1, mtu=9000), probe=physnets(physnet1=Uplink("eth1", mtu=1500)))


def test_tunnel():
    wanted = attachment(1, segment={"network_type": "vxlan", "segmentation_id": 5}, mtu=1450)
    assert not found(wanted, probe=tunnels(vxlan=Uplink("eth1", mtu=1450)))
    (error,) = found(wanted, probe=tunnels(geneve=Uplink("eth1")))
    assert isinstance(error, errors.SegmentTypeUnsupported)
    assert "endpoint" in error.message
    assert codes(found(wanted, inventory=host(**{names.tunnel("vxlan"): None}))) == [
        errors.SegmentTypeUnsupported
    ]
    assert codes(found(wanted, probe=tunnels(vxlan=Uplink("eth1", mtu=1400)))) == [
        errors.MtuTooLarge
    ]
    assert codes(found(wanted, probe=tunnels(vxlan=Uplink("eth1", up=False)))) == [
        errors.PhysnetDown
    ]


# --- addresses ------------------------------------------------------------------------------------


def routed(bound: str | None, of_subnet: str | None):
    segment = {"network_type": "local", **({"id": bound} if bound else {})}
    wanted = attachment(1, segment=segment)
    return msgspec.structs.replace(
        wanted,
        fixed_ips=[FixedIp("10.0.0.5", SUBNET)],
        subnets=[Subnet(SUBNET, "10.0.0.0/24", segment_id=of_subnet)],
    )


@pytest.mark.parametrize(
    ("bound", "of_subnet", "refused"),
    [(HERE, HERE, False), (HERE, THERE, True), (HERE, None, False), (None, THERE, False)],
)
def test_fixed_ip_of_another_segment(bound, of_subnet, refused):
    refusals = found(routed(bound, of_subnet))
    assert codes(refusals) == ([errors.WrongSegment] if refused else [])
    if refused:
        assert refusals[0].facts["address"] == "10.0.0.5"
        assert (refusals[0].facts["wanted"], refusals[0].facts["have"]) == (THERE, HERE)


def test_a_subnet_that_the_document_does_not_have_is_no_reason():
    wanted = msgspec.structs.replace(routed(HERE, THERE), subnets=[])
    assert not found(wanted)


@pytest.mark.parametrize(
    ("allocation", "ips", "refused"),
    [
        ("deferred", [], True),
        ("deferred", ["10.0.0.1"], False),
        ("immediate", [], False),
        (None, [], False),
    ],
)
def test_deferred_address(allocation, ips, refused):
    refusals = found(attachment(1, ips=ips, ip_allocation=allocation))
    assert codes(refusals) == ([errors.AddressesUnresolved] if refused else [])
    if refused:
        assert refusals[0].retryable
        assert refusals[0].retry_after


def test_a_port_without_addresses_needs_layer_2():
    wanted = attachment(1, ips=[], ip_allocation="none")
    assert not found(wanted)
    routing = replace(OVS, connectivity="l3")
    (error,) = found(wanted, advert=routing)
    assert isinstance(error, errors.L2Required)
    assert error.facts == {"plugin": "ovs", "have": "l3"}
    assert not found(ONE, advert=routing)


# --- neighbours -----------------------------------------------------------------------------------


def test_duplicate_mac():
    (error,) = found(ONE, neighbours=[attachment(2, mac_address=mac(1).upper())])
    assert isinstance(error, errors.DuplicateAddress)
    assert error.facts == {"kind": "MAC", "address": mac(1), "other": port_id(2)}


def test_duplicate_ip():
    (error,) = found(ONE, neighbours=[attachment(2, ips=[ipv4(1)])])
    assert error.facts == {"kind": "IP", "address": ipv4(1), "other": port_id(2)}
    six = attachment(1, ips=["fd00::a"])
    (error,) = found(six, neighbours=[attachment(2, ips=["FD00:0::000A"])])
    assert error.facts["address"] == "fd00::a"


def test_no_duplicates():
    others = [
        attachment(2),
        attachment(3, network=2, mac_address=mac(1), ips=[ipv4(1)]),
        attachment(4, allowed_address_pairs=[{"ip_address": ipv4(1)}]),
        ONE,
    ]
    assert not found(ONE, neighbours=others)


def test_the_index_follows_the_ports():
    index = Neighbours([attachment(2, ips=[ipv4(1)]), attachment(3, ips=[ipv4(1)])])
    assert [c[2] for c in index.clashes(ONE)] == [port_id(2)]
    index.drop(port_id(2))
    assert [c[2] for c in index.clashes(ONE)] == [port_id(3)]
    index.put(attachment(3))
    assert not list(index.clashes(ONE))
    index.drop(port_id(3))
    index.drop(port_id(3))
    assert len(index) == 0


def test_plain_attachments_will_do():
    refusals = check(
        ONE, OVS, Probe(Health.READY), Inventory(), [attachment(2, mac_address=mac(1))]
    )
    assert codes(refusals) == [errors.DuplicateAddress]


# --- features -------------------------------------------------------------------------------------


def test_what_nothing_enforces_is_refused_where_that_is_the_policy():
    wanted = attachment(1, security_groups=[SUBNET])
    assert not found(wanted)
    (error,) = found(wanted, strict=True)
    assert isinstance(error, errors.FeatureUnenforced)
    assert error.facts["feature"] == "security_groups"
    assert error.stage == "features"
    assert not found(ONE, strict=True)
    assert codes(found(ONE, advert=NOOP, strict=True)) == [errors.FeatureUnenforced] * 2


@pytest.mark.parametrize(
    ("features", "port", "refused"),
    [
        (["port_security"], {}, []),
        (["security_groups"], {}, ["security_groups"]),
        (["security_groups", "mtu"], {"security_groups": [SUBNET]}, ["security_groups"]),
        (["qos"], {"qos_policy": {"rules": [{"type": "dscp_marking", "dscp_mark": 8}]}}, ["qos"]),
        (["of_tomorrow"], {}, ["of_tomorrow"]),
        (["port_security"], {"port_security_enabled": False}, ["port_security"]),
    ],
)
def test_a_document_may_require_features(features, port, refused):
    wanted = msgspec.structs.replace(attachment(1, **port), required={"features": features})
    refusals = found(wanted)
    assert [error.facts["feature"] for error in refusals] == refused
    assert codes(refusals) == [errors.FeatureUnenforced] * len(refused)


def test_several_reasons_in_the_order_of_the_checks():
    wanted = attachment(
        1, segment=vlan(5), mtu=9000, ips=[], ip_allocation="deferred", security_groups=[SUBNET]
    )
    refusals = found(
        wanted,
        probe=physnets(physnet1=Uplink("eth1", up=False, mtu=1500)),
        neighbours=[attachment(2, mac_address=mac(1))],
        strict=True,
    )
    assert codes(refusals) == [
        errors.PhysnetDown, errors.MtuTooLarge, errors.AddressesUnresolved,
        errors.DuplicateAddress, errors.FeatureUnenforced,
    ]  # fmt: skip
