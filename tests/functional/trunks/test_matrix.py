"""Sub-ports on every kind of network through every operation (:mod:`functional.trunks.stage`), by
frames that leave the host where the network does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from functional.linux_scene import LinuxScene
from functional.scene import Scene
from functional.trunks.documents import told_apart
from functional.trunks.stage import BESIDE, PARENT, PEER, SUB, Stage, play
from functional.tunnels.hosts import behind, joined
from functional.tunnels.traffic import segment
from support import bridgeoracle, cables, oracle
from vifd.testing.attachments import attachment, flat, port_id, vlan
from vifd.testing.guests import PacketGuest
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: Those that leave the host by a cable, with the tag of their frames there.
PHYSICAL = {"flat": (flat(), None), "vlan": (vlan(101), 101)}
VXLAN = {"network_type": "vxlan", "segmentation_id": 77}


def flows(ovs: PrivateOvs) -> tuple[Callable[[], Any], Callable[[Any], list[str]]]:
    """What a daemon could change, and what was changed."""
    ages = partial(oracle.flow_ages, ovs)
    return ages, lambda before: oracle.touched_flows(before, ages())


def on_a_switch(scene: Scene, peer: PacketGuest | None, kind: str) -> Stage:
    out, tag = PHYSICAL.get(kind, (None, None))
    guest = peer or scene.guests(attachment(PEER, network=7, segment=out))[0]

    def lose() -> None:
        scene.ovs.vswitchd.kill()
        scene.ovs.start()
        until(lambda: not scene.ledger.carry_out([*scene.ledger.records]), "every port is back")
        there = [n for n in (PARENT, BESIDE, PEER) if port_id(n) in scene.ledger.records]
        scene.ovs.wait_for_carrier(*(scene.device(port_id(n)) for n in there))
        if peer is not None:
            scene.ovs.wait_for_carrier("eth-phys")

    return Stage(
        scene, guest, out, tag, (7, 1), *flows(scene.ovs), lose=lose,
        ready=lambda _: scene.settle(),
    )  # fmt: skip


def test_on_a_switch_local(ovs: PrivateOvs) -> None:
    with Scene(ovs) as scene:
        play(on_a_switch(scene, None, "local"))


@pytest.mark.parametrize("kind", PHYSICAL)
def test_on_a_switch_by_a_cable(ovs: PrivateOvs, wire: PacketGuest, kind: str) -> None:
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        play(on_a_switch(scene, wire, kind))


@pytest.mark.parametrize("kind", ["vxlan", "gre", "geneve"])
def test_on_a_switch_by_a_tunnel(kind: str) -> None:
    with joined(1, 2) as (here, there):
        here.know(behind(2, PEER))
        there.know(behind(1, SUB, BESIDE))
        (peer,) = there.guests(attachment(PEER, segment=segment(kind)))

        def lose() -> None:
            here.space.run(here.ovs.vswitchd.kill)
            here.space.run(here.ovs.start)
            until(lambda: not here.space.run(
                here.ledger.carry_out, [*here.ledger.records]), "every port is back")  # fmt: skip
            here.meet([there])
            names = (here.ledger.records[port_id(n)].names.device for n in (PARENT, BESIDE))
            here.ovs.wait_for_carrier("up", *names)

        play(Stage(
            here, peer, segment(kind), None, (1, 3), *flows(here.ovs), lose=lose,
            ready=lambda _: here.settle(), run=here.space.run,
        ))  # fmt: skip


@pytest.fixture
def cable(far: Namespace) -> Iterator[PacketGuest]:
    """A cable to another host; its far end."""
    with cables.cable(far) as guest:
        yield guest


@pytest.mark.needs("kernel:8021q", "program:nft")
@pytest.mark.parametrize("kind", ["local", *PHYSICAL, "vxlan"])
def test_on_bridges_of_the_kernel(cable: PacketGuest, kind: str) -> None:
    """Of a network with tunnels, the peer is a port beside: whom a tunnel reaches is no matter of
    trunks there, because the tunnel's device is a port of the bridge."""
    out, tag = PHYSICAL.get(kind, (VXLAN if kind == "vxlan" else None, None))
    options = {"serve_local": True, "physical_interface_mappings": ["physnet1:eth-phys"],
               "local_ip": "127.0.0.1", "vxlan_remotes": ["192.0.2.2"]}  # fmt: skip
    with LinuxScene(**options) as scene:
        peer = cable
        if kind not in PHYSICAL:
            wanted = told_apart(attachment(PEER, network=7, segment=out))
            (peer,) = scene.guests(wanted)  # type: ignore[assignment]

        def ready(number: int) -> None:
            scene.forwards(scene.device(port_id(number)))
            if kind in PHYSICAL:
                uplink = scene.ledger.records[port_id(number)].names.details["uplink"]
                scene.forwards(str(uplink))

        def lose() -> None:
            scene.nft.delete_table("vifd")
            scene.heal()

        play(Stage(
            scene, peer, out, tag, (7, 1), bridgeoracle.state, bridgeoracle.touched, lose, ready,
            document=told_apart,
        ))  # fmt: skip
