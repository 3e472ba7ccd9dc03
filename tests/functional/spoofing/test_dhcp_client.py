"""Who gives a real DHCP client its address: never a guest beside it."""

from __future__ import annotations

import pytest

from functional.linux_scene import LinuxScene
from functional.scene import Scene
from functional.spoofing.case import BARE, FREE, PLAIN, attachments
from functional.spoofing.dhcp import Server, lease
from vifd.testing.attachments import attachment

pytestmark = [pytest.mark.needs("program:busybox"), pytest.mark.needs("program:ip")]

TAKEN, GIVEN = "10.0.0.66", "10.0.0.77"


@pytest.fixture(params=["ovs", "linuxbridge"])
def scene(request, leaks):
    if request.param == "linuxbridge":
        with LinuxScene() as scene:
            yield scene
    else:
        with Scene(request.getfixturevalue("ovs")) as scene:
            yield scene


@pytest.mark.parametrize("sport", [67, 6767])
def test_the_lease_is_the_servers(scene, far, tmp_path, sport):
    ports = attachments()
    rogue, client, server = scene.guests(ports[PLAIN.mac], ports[BARE.mac], ports[FREE.mac])
    answering = [Server(rogue, PLAIN, TAKEN, sport), Server(server, FREE, GIVEN, patience=1)]
    got = lease(far, client, BARE.mac, answering, tmp_path)
    assert got == f"{GIVEN} from {FREE.ip4}"
    assert answering[0].asked, "the other guest heard the client, and answered first"


@pytest.mark.parametrize("sport", [67, 6767])
def test_the_client_would_take_it(scene, far, tmp_path, sport):
    """So it is the guard that keeps it from the other guest's lease."""
    rogue, client = scene.guests(
        attachment(1, port_security_enabled=False), attachments()[BARE.mac]
    )
    got = lease(far, client, BARE.mac, [Server(rogue, PLAIN, TAKEN, sport)], tmp_path)
    assert got == f"{TAKEN} from {PLAIN.ip4}"
