"""Versions, back-levelling, and what adverts say of the classes."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.docs import document, port_id
from vifd.model import Vif, decode
from vifd.plugin import Advert
from vifd.plugin.vifs import objects
from vifd.plugin.vifs.hostinfo import host_info
from vifd.plugin.vifs.kinds import KINDS, Named, kind_of
from vifd.plugin.vifs.translate import vif_object
from vifd.plugin.vifs.versions import Range, highest
from vifd.plugin.vifs.vif import VIFPortProfileOpenVSwitch, VIFVHostUser

SUBNET = "5b000000-0000-4000-8000-000000000001"


def attachment() -> Any:
    subnet = {"id": SUBNET, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1"}
    return decode(document(1, subnets=[subnet])).attachment


def made(vif_type: str = "ovs", **more: Any) -> Vif:
    return Vif("ethernet", "tap1", "fa:16:3e:00:00:01", bridge="br-int", **more)


@pytest.mark.parametrize(
    ("wanted", "have"),
    [
        (Range("1.0"), "1.4"),
        (Range("1.0", "1.2"), "1.2"),
        (Range("1.0", "9.9"), "1.4"),
        (Range("1.4", "1.4"), "1.4"),
        (Range("1.5"), None),
        (Range("0.1", "0.9"), None),
        (Range("1.3", "1.1"), None),
    ],
)
def test_the_highest_version_of_both_ranges(wanted: Range, have: str | None) -> None:
    profile = Named("VIFPortProfileOpenVSwitch", VIFPortProfileOpenVSwitch.versions())
    assert profile.common(wanted) == have


VERSION = st.tuples(st.integers(0, 3), st.integers(0, 12)).map(lambda v: f"{v[0]}.{v[1]}")


@given(st.lists(VERSION, max_size=8), VERSION, VERSION, VERSION, VERSION)
def test_what_is_common_lies_in_both_and_nothing_higher_does(
    some: list[str], a: str, b: str, c: str, d: str
) -> None:
    one, other = Range(a, b), Range(c, d)
    found = highest(some, one, other)
    both = [v for v in some if v in one and v in other]
    assert (found is None) == (not both)
    assert highest(some, other, one) == found
    if found is not None:
        assert found in both
        assert highest(both, Range(found)) == found


def test_ten_is_more_than_nine() -> None:
    assert highest(["1.9", "1.10"], Range("1.0")) == "1.10"


@pytest.mark.parametrize("text", ["1", "1.x", "", "1.2.3", "-1.0", "1.00000"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        assert text in Range("1.0")


def test_each_version_of_a_class_has_all_fields_of_the_one_before() -> None:
    for name, cls in objects.classes():
        before: set[str] = set()
        for version in cls.history:
            assert before <= cls.fields(version), f"{name} {version}"
            before = cls.fields(version)


def test_an_older_version_lacks_what_came_later() -> None:
    vif = VIFVHostUser(path="/s", mode="server", vif_name="vhu1")
    assert vif.primitive()["versioned_object.data"]["vif_name"] == "vhu1"
    old = vif.primitive("1.0")
    assert old["versioned_object.version"] == "1.0"
    assert old["versioned_object.data"] == {"path": "/s", "mode": "server"}
    with pytest.raises(ValueError, match=r"no version 1\.2"):
        vif.primitive("1.2")


def test_a_field_that_does_not_exist_is_a_defect() -> None:
    with pytest.raises(TypeError, match="no field bridge_name"):
        VIFVHostUser(bridge_name="br-int")


def test_a_profile_is_back_levelled_inside_a_vif() -> None:
    vif = vif_object(attachment(), made(), plugin="ovs", vif_type="ovs", datapath_type="netdev")
    inner = vif.primitive("1.0", {"VIFPortProfileOpenVSwitch": "1.1"})
    profile = inner["versioned_object.data"]["port_profile"]
    assert profile["versioned_object.version"] == "1.1"
    assert set(profile["versioned_object.data"]) == {"interface_id", "profile_id", "datapath_type"}


@pytest.mark.parametrize("vif_type", [*KINDS, "a vendor's"])
def test_advert_and_registry_meet_for_every_class_and_profile(vif_type: str) -> None:
    kind = Advert((vif_type,)).kind(vif_type)
    for named in (kind.vif, *kind.profiles):
        cls = objects.find(named.name)
        assert cls is not None
        assert named.common(cls.versions()) == cls.version()
        for version in cls.history:
            assert named.common(Range(version, version)) == version


def test_the_adverts_of_every_installed_plugin_meet_the_registry() -> None:
    ours = [p for p in entry_points(group="vifd.plugins") if p.value.startswith("vifd_")]
    plugins = [point.load() for point in ours]
    assert plugins
    for plugin in plugins:
        advert = plugin.describe()
        for vif_type in advert.vif_types:
            assert vif_type in KINDS, f"{plugin.plugin_name}: {vif_type}"
            kind = advert.kind(vif_type)
            assert kind.profiles
            for named in (kind.vif, *kind.profiles):
                cls = objects.find(named.name)
                assert cls is not None
                assert named.common(cls.versions()) == cls.version()


def test_a_plugin_with_older_classes_is_offered_in_their_versions() -> None:
    kind = kind_of("vhostuser", (), {"VIFVHostUser": "1.0", "VIFPortProfileOpenVSwitch": "1.3"})
    assert kind.vif.versions == Range("1.0", "1.0")
    assert kind.profiles[0].versions == Range("1.0", "1.3")
    newer = kind_of("vhostuser", (), {"VIFVHostUser": "7.0"})
    assert newer.vif.versions == VIFVHostUser.versions()


def test_host_info_names_a_class_once_for_each_plugin() -> None:
    info = host_info({"noop": [kind_of("noop"), kind_of("tap")], "ovs": [kind_of("ovs")]})
    data = "versioned_object.data"
    plugins = info[data]["plugin_info"]
    names = [[v[data]["vif_object_name"] for v in p[data]["vif_info"]] for p in plugins]
    assert names == [["VIFGeneric"], ["VIFOpenVSwitch"]]


def test_the_network_and_its_addresses_go_along() -> None:
    data = vif_object(attachment(), made(), plugin="ovs", vif_type="ovs").primitive()
    vif = data["versioned_object.data"]
    assert (vif["id"], vif["plugin"], vif["vif_name"]) == (port_id(1), "ovs", "tap1")
    net = vif["network"]["versioned_object.data"]
    assert (net["bridge"], net["mtu"], net["vlan"]) == ("br-int", 1450, None)
    (subnet,) = net["subnets"]["versioned_object.data"]["objects"]
    subnet = subnet["versioned_object.data"]
    assert (subnet["cidr"], subnet["gateway"]) == ("10.0.0.0/24", "10.0.0.1")
    (ip,) = subnet["ips"]["versioned_object.data"]["objects"]
    assert ip["versioned_object.data"] == {"address": "10.0.0.1"}
