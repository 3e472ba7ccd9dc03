"""What was removed as garbage comes back as it was, whatever its network stood on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from contract import linuxbridge as make
from vifd.drivers import Device, Link
from vifd.errors import NotRestorable
from vifd.plugin.marked import Marked
from vifd.testing.attachments import attachment, port_id
from vifd.testing.contract_garbage import orphaned, strays
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_linuxbridge.kinds import Kind
from vifd_linuxbridge.ruleset import OPEN, TABLE

PHYSNET: dict[str, Any] = {"physical_interface_mappings": ["physnet1:eth1"]}
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 101}
FLAT = {"network_type": "flat", "physical_network": "physnet1"}
VXLAN = {"network_type": "vxlan", "segmentation_id": 42}
TUNNEL: dict[str, Any] = {"local_ip": "192.0.2.1"}

NETWORKS: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "local": (None, {}),
    "flat": (FLAT, PHYSNET),
    "flat on a bridge of others": (FLAT, {"bridge_mappings": ["physnet1:br-ex"]}),
    "vlan": (VLAN, PHYSNET),
    "vlan-aware": (VLAN, {**PHYSNET, "vlan_aware": True}),
    "vxlan": (VXLAN, {**TUNNEL, "vxlan_remotes": ["192.0.2.2"]}),
    "vxlan with a group": (VXLAN, {**TUNNEL, "vxlan_group": "239.1.1.1"}),
}


class Scene:
    """A host with one port that the journal lost."""

    def __init__(self, segment: dict[str, Any] | None, options: dict[str, Any]) -> None:
        self.machine = FakeMachine()
        self.machine.links.place("eth1", kind="", up=True, carrier=True, mtu=9000)
        self.machine.bridging.add_bridge("br-ex")
        if "local_ip" in options:
            self.machine.bridging.add_address("eth1", "192.0.2.1/24")
        self.ledger = Ledger(self.machine.drivers, lambda host: make.plugin(host, **options))
        self.ledger.plugin.probe()
        self.port = attachment(1, segment=segment)
        assert not self.ledger.plug(self.port)
        self.before = self.stands()
        self.plugin = orphaned(self.ledger, self.port.id).plugin
        self.objects = strays(Ledger(self.machine.drivers, lambda _: self.plugin))

    def stands(self) -> dict[str, Any]:
        """What counts of all devices: not their numbers, which are new."""
        names = [n for n in self.machine.links.names if n not in ("eth1", "br-ex", "lo")]
        found = self.machine.bridging.get([*names, "eth1", "br-ex"])
        index = {device.link.ifindex: name for name, device in found.items()}
        return {
            name: (
                replace(device, link=_link(device.link), master=None, parent=None),
                index.get(device.master or 0), index.get(device.parent or 0),
            )
            for name, device in found.items()
        }  # fmt: skip

    def closed(self) -> dict[str, Any]:
        """What stood before, with the port on no bridge: so it comes back."""
        device = self.ledger.plugin.vif(self.port, self.ledger.plugin.name(self.port, {})).device
        link = self.before[device][0].link
        return {**self.before, device: (Device(replace(link, within="")), None, None)}


def _link(link: Link) -> Link:
    """The kernel chooses the MAC of VLAN and VXLAN devices."""
    return replace(link, ifindex=0, mac=link.mac if link.kind in ("tun", "bridge") else "")


@pytest.fixture(params=NETWORKS)
def scene(request) -> Scene:
    return Scene(*NETWORKS[request.param])


def test_everything_comes_back_closed(scene):
    assert scene.plugin.discard(scene.objects) == {}
    gone = scene.stands()
    assert gone.keys() < scene.before.keys()
    assert scene.plugin.restore(stored(scene.objects)) == {}
    assert scene.stands() == scene.closed()
    assert scene.machine.nft.list_elements(TABLE, OPEN) == {}
    assert scene.plugin.restore(scene.objects) == {}, "what is back already is no error"
    again = {m.key: m for m in scene.plugin.inventory()}
    assert again.keys() == {m.key for m in scene.objects}
    (tap,) = [m for m in again.values() if m.kind == Kind.DEVICE]
    ours = {m.name for m in again.values() if m.kind == Kind.NETWORK_DEVICE}
    assert set(tap.stands_on) == ours, "held, or kept, with it"


def stored(objects: list[Marked]) -> list[Marked]:
    """As they come back from the journal."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(objects), type=list[Marked])


def test_a_port_alone_brings_what_it_stands_on(scene):
    assert scene.plugin.discard(scene.objects) == {}
    mine = [m for m in scene.objects if m.owner]
    assert scene.plugin.restore(mine) == {}
    assert scene.stands() == scene.closed()


def test_an_interface_that_the_host_uses_now_is_not_taken():
    scene = Scene(*NETWORKS["flat"])
    assert scene.plugin.discard(scene.objects) == {}
    gone = scene.stands()
    scene.machine.bridging.add_address("eth1", "192.0.2.9/24")
    failed = scene.plugin.restore(scene.objects)
    assert failed.keys() == {m.key for m in scene.objects}
    assert scene.stands() == gone
    assert scene.machine.nft.list_chains(TABLE).keys().isdisjoint({f"tap{port_id(1)[:11]}"})


def test_without_its_document_it_stays_away(scene):
    """Nothing else tells its filter, and without that it would be open."""
    assert scene.plugin.discard(scene.objects) == {}
    mine = [msgspec.structs.replace(m, backup={}) for m in scene.objects if m.owner]
    gone = scene.stands()
    failed = scene.plugin.restore(mine)
    assert failed.keys() == {m.key for m in mine}
    assert all(isinstance(error, NotRestorable) for error in failed.values())
    assert scene.stands() == gone


def test_an_entry_of_an_earlier_version_comes_back_from_its_document():
    """Only the filter had a backup then, the document."""
    scene = Scene(*NETWORKS["vlan"])
    assert scene.plugin.discard(scene.objects) == {}
    old = [m if m.kind == Kind.CHAIN else msgspec.structs.replace(m, backup={}, stands_on=())
           for m in scene.objects]  # fmt: skip
    failed = scene.plugin.restore([m for m in old if m.owner])
    assert failed == {}
    assert scene.stands() == scene.closed()


@pytest.mark.parametrize("alone", [True, False])
def test_a_port_with_limits_comes_back_to_a_host_that_was_flushed(alone):
    scene = Scene(None, {"serve_local": True})
    wanted = attachment(7, qos_policy=make.POLICY)
    assert not scene.ledger.plug(wanted)
    lost = orphaned(scene.ledger, wanted.id)
    objects = [m for m in lost.plugin.inventory() if m.owner == wanted.id]
    assert lost.plugin.discard(objects) == {}
    scene.machine.nft.flush()
    mine = [m for m in objects if m.kind == Kind.CHAIN] if alone else objects
    assert lost.plugin.restore(stored(mine)) == {}
    assert scene.machine.nft.list_elements(TABLE, OPEN) == {}
