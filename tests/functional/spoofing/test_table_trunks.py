"""The whole table from sub-ports of one trunk: each is held to what it alone may say, as a port
with a device of its own is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functional.linux_scene import LinuxScene
from functional.plugged import PluggedPorts
from functional.scene import Scene
from functional.spoofing.case import PEER, attachments
from functional.spoofing.sending import Untagging, assert_no_difference
from functional.spoofing.table import cases
from functional.trunks.documents import parent, told_apart
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.testing import frames as f
from vifd.testing.guests import Guest
from vifd.testing.sandbox import PrivateOvs

TRUNK = 20


@pytest.fixture(
    params=["ovs", pytest.param("linuxbridge", marks=pytest.mark.needs("kernel:8021q"))]
)
def scene(request: pytest.FixtureRequest) -> Iterator[PluggedPorts]:
    if request.param == "ovs":
        ovs: PrivateOvs = request.getfixturevalue("ovs")
        with Scene(ovs) as scene:
            yield scene
        return
    request.getfixturevalue("isolated")
    with LinuxScene(serve_local=True) as bridges:
        yield bridges


def test_no_difference(scene: Scene | LinuxScene) -> None:
    subs = attachments(device_owner=SUB_PORT_OWNER)
    del subs[PEER.mac]
    vlans = {mac: 100 + n for n, mac in enumerate(subs)}
    named = [(int(a.id[:8], 16), vlans[mac]) for mac, a in subs.items()]
    (device,) = scene.plug(told_apart(parent(TRUNK, *named, network=2)))
    peer = attachments()[PEER.mac]
    ids = [*scene.plug(*subs.values()), *scene.plug(peer)]
    trunk, end = scene.guest(device), scene.guest(peer.id)
    if isinstance(scene, LinuxScene):
        for port_id in ids:
            scene.forwards(scene.device(port_id))
    senders: dict[str, Guest] = {mac: Untagging(trunk, vlan) for mac, vlan in vlans.items()}
    # a tag below a sub-port's is the guest's own
    judged = [case for case in cases(PEER) if f.vlan_of(case.frame) is None]
    assert len(judged) > 500
    assert_no_difference(judged, senders, end)
    assert not scene.findings()
