"""os-vif itself reads what is written in its format, in every version."""

from __future__ import annotations

from typing import Any

import pytest

from unit.docs import document
from vifd.model import Vif, decode
from vifd.plugin.osvif.describing import VIF_TYPES
from vifd.plugin.vifs import objects
from vifd.plugin.vifs.hostinfo import host_info
from vifd.plugin.vifs.kinds import KINDS, kind_of
from vifd.plugin.vifs.translate import vif_object
from vifd.plugin.vifs.versions import number

pytest.importorskip("os_vif", reason="os-vif is not installed (pip install 'vifd[osvif]')")
# What os-vif imports warns of its own imports.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    """os-vif's classes by name."""
    from os_vif import objects as os_vif_objects
    from oslo_versionedobjects import base

    os_vif_objects.register_all()
    return {n: c[0] for n, c in base.VersionedObjectRegistry.obj_classes().items()}


def read(primitive: dict[str, Any]) -> Any:
    from os_vif.objects.base import VersionedObject

    return VersionedObject.obj_from_primitive(primitive)


def sample(vif_type: str, profile: str) -> objects.VersionedObject:
    subnet = {"id": "5b000000-0000-4000-8000-000000000001", "cidr": "10.0.0.0/24"}
    doc = document(
        1, subnets=[{**subnet, "gateway_ip": "10.0.0.1"}, {**subnet, "cidr": "fd00::/64"}]
    )
    doc["port"]["binding_profile"] = {"pci_slot": "0000:0a:00.1"}
    mode = {"vhostuser": "server", "macvtap": "passthrough"}.get(vif_type, "")
    made = Vif("ethernet", "tap1", "fa:16:3e:00:00:01", bridge="br-int", queues=4,
               socket_path="/s", socket_mode=mode)  # fmt: skip
    return vif_object(
        decode(doc).attachment, made, plugin="p", vif_type=vif_type, profile=profile,
        datapath_type="netdev", active=True,
    )  # fmt: skip


def pairs() -> list[tuple[str, str]]:
    return [(kind, p.__name__) for kind, (_, profiles) in KINDS.items() for p in profiles]


def test_every_class_exists_there_with_the_same_fields_and_version(theirs: dict[str, Any]) -> None:
    named = {name for name, _ in objects.classes()}
    assert named <= set(theirs)
    for name, ours in objects.classes():
        assert number(ours.version()) <= number(theirs[name].VERSION), name
        if ours.version() == theirs[name].VERSION:
            assert ours.fields(ours.version()) == set(theirs[name].fields), name


def test_both_tables_of_vif_types_agree() -> None:
    for name, kind in VIF_TYPES.items():
        assert KINDS[kind][0].__name__ == name


@pytest.mark.parametrize(("vif_type", "profile"), pairs())
def test_a_vif_is_read_and_written_again_as_it_was(
    theirs: dict[str, Any], vif_type: str, profile: str
) -> None:
    primitive = sample(vif_type, profile).primitive()
    vif = read(primitive)
    assert type(vif) is theirs[primitive["versioned_object.name"]]
    assert type(vif.port_profile) is theirs[profile]
    assert str(vif.network.subnets.objects[1].cidr) == "fd00::/64"
    assert vif.obj_to_primitive() == primitive
    assert not vif.obj_what_changed()


@pytest.mark.parametrize(("vif_type", "profile"), pairs())
def test_every_older_version_is_what_os_vif_itself_makes_of_it(
    theirs: dict[str, Any], vif_type: str, profile: str
) -> None:
    """os-vif needs a manifest for it: of itself it has no rule for the network in a VIF."""
    made = sample(vif_type, profile)
    newest = {name: cls.VERSION for name, cls in theirs.items()}
    mine, inner = type(made), objects.find(profile)
    assert inner is not None
    for version in mine.history:
        for profile_version in inner.history:
            primitive = made.primitive(version, {profile: profile_version})
            # it looks a nested object up under the class that the field declares
            manifest = {**newest, mine.__name__: version, "VIFPortProfileBase": profile_version}
            theirs_older = read(made.primitive()).obj_to_primitive(version, manifest)
            assert primitive == theirs_older
            read(primitive)


def test_host_info_is_read_and_finds_common_versions(theirs: dict[str, Any]) -> None:
    kinds = {kind: [kind_of(kind)] for kind in KINDS}
    primitive = host_info(kinds)
    info = read(primitive)
    assert type(info) is theirs["HostInfo"]
    assert info.obj_to_primitive() == primitive
    for plugin in info.plugin_info:
        for vif in plugin.vif_info:
            # os-vif's own adverts fail here, as they were written by hand
            assert vif.get_common_version() == theirs[vif.vif_object_name].VERSION
            for profile in vif.supported_port_profiles:
                name = profile.profile_object_name
                assert profile.get_common_version() == theirs[name].VERSION
    info.filter_vif_types(["VIFOpenVSwitch"])
    assert [p.plugin_name for p in info.plugin_info] == ["ovs"]
