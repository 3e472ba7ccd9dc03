"""Frames by which others learn where a port is, as they leave a real switch and a real bridge."""

from __future__ import annotations

import pytest

from functional.linux_scene import LinuxScene
from functional.scene import Scene
from functional.trunks.documents import parent, sub_port
from functional.tunnels.hosts import VifdHost, behind, joined
from functional.tunnels.traffic import segment as segment_of
from support import cables
from vifd.model import Attachment
from vifd.policy.announcing import frames
from vifd.testing.attachments import attachment, flat, vlan
from vifd.testing.guests import PacketGuest, TapGuest
from vifd.testing.wait import until

PAIRS = [{"ip_address": "10.0.0.77"}, {"ip_address": "fd00::77"}]


def hears(receiver: TapGuest | PacketGuest, wanted: list[bytes]) -> None:
    """All of these arrive; padding does not matter."""
    left = list(wanted)

    def come() -> bool:
        for got in receiver.drain():
            left[:] = [frame for frame in left if got[: len(frame)] != frame]
        return not left

    until(come, f"{len(wanted)} announcements arrive")


def opened(scene: Scene | LinuxScene, one: Attachment) -> None:
    """A closed port is opened and announced, as at the end of a migration."""
    (port_id,) = scene.plug(one, opened=False)
    speak(scene, port_id)


def speak(scene: Scene | LinuxScene | VifdHost, port_id: str) -> None:
    """Open a port, and announce it."""
    item = scene.ledger.records[port_id].item()
    scene.ledger.plugin.activate([item])
    item.open = scene.ledger.records[port_id].open = True
    scene.ledger.plugin.announce([item])


@pytest.mark.parametrize("segment", [vlan(101), flat()], ids=["vlan", "flat"])
@pytest.mark.parametrize("secured", [True, False], ids=["secured", "unsecured"])
def test_open_vswitch_says_it_as_the_guest_would(ovs, wire, segment, secured) -> None:
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        (neighbour,) = scene.guests(attachment(2, segment=segment))
        one = attachment(
            1, segment=segment, allowed_address_pairs=PAIRS, port_security_enabled=secured
        )
        wire.drain()
        opened(scene, one)
        said = frames(one)
        tag = bytes.fromhex("81000065") if "segmentation_id" in segment else b""
        hears(wire, [frame[:12] + tag + frame[12:] for frame in said])
        hears(neighbour, said)


def test_a_parent_that_is_opened_speaks_for_its_sub_ports(ovs, wire) -> None:
    """Of those that are open with it."""
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        subs = [sub_port(n, n, segment=vlan(100 + n)) for n in (2, 3)]
        one = parent(1, (2, 301), (3, 302), segment=flat())
        scene.plug(one, *subs)
        scene.ledger.deactivate(one.id, subs[1].id)
        wire.drain()
        speak(scene, one.id)
        tag = bytes.fromhex("81000066")
        said = [*frames(one), *(frame[:12] + tag + frame[12:] for frame in frames(subs[0]))]
        hears(wire, said)
        assert not [x for x in wire.drain() if x[14:16] == b"\0\x67"]
        assert not scene.findings()


@pytest.mark.parametrize("version", [4, 6])
def test_the_hosts_behind_a_tunnel_hear_it(leaks, version) -> None:
    with joined(1, 2, version=version) as (here, there):
        here.know(behind(2, 2, version=version))
        there.know(behind(1, version=version))
        (neighbour,) = there.guests(attachment(2, segment=segment_of("vxlan"), mtu=1400))
        one = attachment(1, segment=segment_of("vxlan"), mtu=1400, allowed_address_pairs=PAIRS)
        (port_id,) = here.plug(one, opened=False)
        here.space.run(speak, here, port_id)
        hears(neighbour, frames(one))


def test_a_closed_port_says_nothing(ovs, wire) -> None:
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        (port_id,) = scene.plug(attachment(1, segment=flat(), admin_state_up=False), opened=False)
        (other,) = scene.plug(attachment(2, segment=flat()), opened=False)
        wire.drain()
        for one in (port_id, other):
            item = scene.ledger.records[one].item()
            if one == other:
                scene.ledger.plugin.activate([item])
            scene.ledger.plugin.announce([item])
        seen = wire.collect(20.0, lambda got: got[:60] == frames(attachment(2))[0])
        assert [got for got in seen if got[6:12] == frames(attachment(1))[0][6:12]] == []


@pytest.fixture
def cable(far, leaks):
    """A cable to another host: ``eth1`` here, ``far1`` there."""
    with cables.cable(far, "eth1", "far1") as guest:
        yield guest


def test_a_linux_bridge_says_it_to_all_its_ports(cable) -> None:
    options = {"physical_interface_mappings": ["physnet1:eth1"]}
    with LinuxScene(**options) as scene:
        (neighbour,) = scene.guests(attachment(2, segment=flat()))
        scene.forwards("eth1")
        one = attachment(1, segment=flat(), allowed_address_pairs=PAIRS)
        cable.drain()
        opened(scene, one)
        hears(cable, frames(one))
        hears(neighbour, frames(one))
