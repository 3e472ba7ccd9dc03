"""Options, names and what stands in their way."""

from __future__ import annotations

import msgspec
import pytest

from contract import linuxbridge as make
from vifd.errors import DuplicateAddress, InternalError, NameClash
from vifd.model import Wiring
from vifd.plugin import Entry, guest
from vifd.testing.attachments import attachment, flat, mac, vlan
from vifd_linuxbridge import options, wiring
from vifd_linuxbridge.naming import device_name


def settings(**values):
    return options.settings(make.conf(**values))


def plan(segment=None, **values):
    return wiring.plan(attachment(1, segment=segment), settings(**values), multi_queue=False)


MAPPED = {"physical_interface_mappings": ["physnet1:eth1"]}


def test_a_bridge_per_network():
    names = plan()
    assert (names.bridge, names.uplink, names.own_bridge) == ("brq00000000-00", "", True)


def test_ways_out():
    assert plan(flat(), **MAPPED).uplink == "eth1"
    assert plan(vlan(101), **MAPPED).uplink == "eth1.101"
    assert plan({"network_type": "vxlan", "segmentation_id": 7}).uplink == "vxlan-7"
    theirs = plan(flat(), bridge_mappings=["physnet1:br-ex"])
    assert (theirs.bridge, theirs.own_bridge, theirs.uplink) == ("br-ex", False, "")


def test_a_vlan_aware_bridge_is_shared_by_the_networks_of_its_physical_network():
    one, other = (plan(s, vlan_aware=True, **MAPPED) for s in (vlan(101), flat()))
    assert one.bridge == other.bridge
    assert (one.vlan, other.vlan) == (101, wiring.UNTAGGED)
    assert one.uplink == other.uplink == "eth1"


@pytest.mark.parametrize("parent", ["eth1", "enp175s0f1np1", "interface-name"])
@pytest.mark.parametrize("number", [1, 4094])
def test_every_name_fits_the_kernel(parent, number):
    assert len(wiring.vlan_name(parent, number)) <= 15
    assert len(wiring.trunk_name(parent)) <= 15
    assert len(wiring.vxlan_name(2**24 - 1)) <= 15


def test_the_tap_never_has_the_guests_address():
    for own in ("fa:16:3e:00:00:01", "fe:16:3e:00:00:01", "02:00:00:00:00:01"):
        tap = guest.tap_mac(own)
        assert tap != own
        assert int(tap[:2], 16) & 3 == 2


def test_wirings_survive_the_journal():
    names = plan(vlan(101), **MAPPED)
    assert wiring.read(Wiring("linuxbridge", "bridge", "tap1", names.details())) == names
    with pytest.raises(InternalError):
        wiring.read(Wiring("linuxbridge", "bridge", "tap1", {"odd": True}))


def entry(other, device="tapx"):
    return {other.id: Entry(other, Wiring("any", "any", device), open=True)}


def test_what_stands_in_the_way():
    wanted = attachment(1)
    assert device_name(wanted, entry(wanted, "tap00000001-00")) == "tap00000001-00"
    same_mac = attachment(2, mac_address=mac(1).upper())
    with pytest.raises(DuplicateAddress):
        device_name(wanted, entry(same_mac))
    elsewhere = attachment(2, mac_address=mac(1), network=5)
    assert device_name(wanted, entry(elsewhere))
    port = msgspec.structs.replace(attachment(2).port, id=f"{wanted.id[:-1]}9")
    twin = msgspec.structs.replace(attachment(2), port=port)
    with pytest.raises(NameClash):
        device_name(wanted, entry(twin))


@pytest.mark.parametrize(
    "bad",
    [
        {"physical_interface_mappings": ["physnet1"]},
        {"physical_interface_mappings": ["physnet1:eth1", "physnet1:eth2"]},
        {"bridge_mappings": ["a:b:c"]},
        {"local_ip": "nonsense"},
        {"local_ip": "239.1.1.1"},
        {"vxlan_group": "192.0.2.1"},
        {"vxlan_remotes": ["192.0.2.1", "x"]},
    ],
)
def test_bad_options_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        settings(**bad)
