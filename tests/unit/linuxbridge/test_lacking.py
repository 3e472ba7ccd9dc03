"""What the Linux bridge plugin does not serve, refused by name with the reason."""

from __future__ import annotations

import msgspec
import pytest

from contract import linuxbridge as make
from functional.trunks.documents import parent, sub_port
from vifd.capabilities.binding import check
from vifd.capabilities.enforcement import Level, report
from vifd.capabilities.inventory import Inventory
from vifd.plugin import Host
from vifd.testing.attachments import attachment
from vifd.testing.machines import FakeMachine


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


def told(machine: FakeMachine, **options):
    """Advert and probe, as this host has them."""
    plugin = make.plugin(Host(machine.drivers, dict), **options)
    probe = plugin.probe()
    return plugin.describe().on(probe.unenforced), probe


@pytest.mark.parametrize("without", ["vlan", "guard"])
def test_a_sub_port_is_refused_and_a_parent_is_carried_alone(machine, without):
    machine.bridging._missing.add(without)
    advert, probe = told(machine)
    found = check(sub_port(2, 7), advert, probe, Inventory(), [], plugin="linuxbridge")
    (refusal,) = [e for e in found if e.code == "E_FEATURE_UNENFORCED"]
    assert refusal.facts["feature"] == "trunk"
    assert "above its parent's tap, which cannot be made here" in refusal.facts["note"]
    assert f"the kernel cannot make {without}" in refusal.facts["note"]
    assert refusal.facts["note"] in refusal.message, "who reads only that knows it too"
    entries = {e.feature: e for e in report(parent(1, (2, 5)), advert, plugin="linuxbridge")}
    assert entries["trunk"].level is Level.NONE
    assert "subports get no traffic" in entries["trunk"].note


VLAN: dict[str, object] = {"network_type": "vlan", "physical_network": "physnet1"}
VXLAN: dict[str, object] = {"network_type": "vxlan"}
AWARE: dict[str, object] = {"vlan_aware": True}
LOCAL_IP: dict[str, object] = {"local_ip": "192.0.2.1"}
#: Of the host what lacks, the options, the segment, and what helps.
UNSERVED: dict[str, tuple[list[str], dict[str, object], dict[str, object], list[str]]] = {
    "local": ([], {}, {"network_type": "local"},
              ["name plugin linuxbridge in the document", "set serve_local in [linuxbridge]"]),
    "no endpoint": ([], {}, {**VXLAN, "segmentation_id": 7}, ["set local_ip in [linuxbridge]"]),
    "no VXLAN": (["vxlan"], LOCAL_IP, {**VXLAN, "segmentation_id": 7}, ["modprobe vxlan"]),
    "no VNI": ([], LOCAL_IP, VXLAN, ["give the segment a segmentation_id"]),
    "no VLAN": (["vlan"], {}, {**VLAN, "segmentation_id": 5},
                ["modprobe 8021q", "or set vlan_aware in [linuxbridge]"]),
    "no VLAN of any kind": (["vlan", "vlan_filtering"], {}, {**VLAN, "segmentation_id": 5},
                            ["modprobe 8021q"]),
    "no filtering": (["vlan_filtering"], AWARE, {**VLAN, "segmentation_id": 5},
                     ["use a kernel whose bridges filter VLANs, or set vlan_aware"]),
    "untagged": ([], AWARE, {**VLAN, "segmentation_id": 4094},
                 ["give the network another VLAN id, or set vlan_aware"]),
    "no card": ([], {}, {"network_type": "flat", "physical_network": "physnet2"},
                ["bring eth9 back", "correct physical_interface_mappings"]),
    "a card of the host": ([], {}, {"network_type": "flat", "physical_network": "physnet3"},
                           ["use an interface without addresses"]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSERVED)
def test_a_type_that_is_not_served_comes_with_what_helps(machine, case):
    lacking, options, segment, hints = UNSERVED[case]
    machine.bridging._missing.update(lacking)
    for name in ("eth1", "eth3"):
        machine.links.place(name, kind="", up=True, carrier=True)
    machine.bridging.add_address("eth3", "192.0.2.9/24")
    mapped = ["physnet1:eth1", "physnet2:eth9", "physnet3:eth3"]
    host = Host(machine.drivers, dict)
    plugin = make.plugin(host, **{"physical_interface_mappings": mapped, "serve_local": False,
                                  **options})  # fmt: skip
    plugin.probe()
    unmet = [n.error for n in plugin.requires(attachment(1, segment=segment)) if not n.met]
    (error,) = [e for e in unmet if e is not None and e.code == "E_SEG_TYPE_UNSUPPORTED"]
    for words in hints:
        assert words in error.hint
    assert ("vlan_aware" in error.hint) == any("vlan_aware" in words for words in hints)


@pytest.mark.parametrize(
    ("feature", "options", "text"),
    [("vlan_transparent", {}, ""), ("vlan_transparent", {"vlan_aware": True}, "vlan_aware = true"),
     ("qinq", {}, "IEEE 802.1Q")],
)  # fmt: skip
def test_tags_that_guests_set_themselves(machine, feature, options, text):
    wanted = attachment(1, segment={"network_type": "vlan", "physical_network": "physnet1",
                                    "segmentation_id": 5})  # fmt: skip
    network = msgspec.structs.replace(wanted.network, **{feature: True})
    wanted = msgspec.structs.replace(wanted, network=network)
    advert, _ = told(machine, **options)
    entry = {e.feature: e for e in report(wanted, advert, plugin="linuxbridge")}[feature]
    assert (entry.level is Level.NONE) == bool(text)
    assert text in entry.note
