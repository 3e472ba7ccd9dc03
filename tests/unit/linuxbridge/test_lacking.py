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
