"""A guest that announces itself at a closed tap of a Linux bridge opens it, as on Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.migration.test_guest_frames import (
    ANNOUNCEMENTS,
    DEVICES,
    GUEST,
    MAC,
    NEIGHBOUR,
    OTHERS,
    opened_once,
    phase,
)
from unit.docs import document, port_id
from vifd.policy.announcing import announcement
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, assert_only, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

Pair = tuple[TapGuest, TapGuest]


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    options: dict[str, Any] = {
        "plugins": {"enabled_plugins": "linuxbridge"}, "linuxbridge": {"serve_local": "true"},
        "migration": {"guest_frames": "true"},
        "engine": {"check_interval": 1},
    }  # fmt: skip
    with Vifd(tmp_path / "v", ovs, options) as daemon:
        for number, role in ((1, "INACTIVE"), (2, "ACTIVE")):
            status, answer = daemon.plug(document(number, role=role))
            assert status == 201, answer
        yield daemon
        daemon.clear()


@pytest.fixture
def pair(vifd: Vifd) -> Iterator[Pair]:
    with guests(*DEVICES) as (guest, neighbour):
        yield guest, neighbour


@pytest.mark.parametrize("kind", ANNOUNCEMENTS)
def test_the_first_announcement_opens_the_port_and_passes_once(
    vifd: Vifd, pair: Pair, kind: str
) -> None:
    opened_once(vifd, pair, kind)


def test_nothing_else_opens_it_and_nothing_passes(vifd: Vifd, pair: Pair) -> None:
    guest, neighbour = pair
    assert vifd.plug(document(3))[0] == 201
    forged = announcement(MAC)[:32] + bytes.fromhex("020000000001") + announcement(MAC)[38:]
    with guests(f"tap{port_id(3)[:11]}") as (third,):
        sentinel = frames.arp_request(
            str(document(3)["port"]["mac_address"]), "10.0.0.3", "10.0.0.2"
        )
        assert_only(
            neighbour, forbidden=[(guest, frame) for frame in (*OTHERS.values(), forged)],
            allowed=(third, sentinel), rounds=3,
        )  # fmt: skip
    assert phase(vifd) == "READY"


def test_after_a_restart_and_with_the_tap_made_anew(vifd: Vifd) -> None:
    vifd.kill()
    vifd.start()
    vifd.ready()
    with guests(DEVICES[0]) as (guest,):
        until(lambda: opened(vifd, guest), "it is open")
    assert vifd.call("POST", f"/v1/ports/{GUEST}/deactivate?wait=inactive&timeout=60")[0] == 200
    vifd.unplug(GUEST)
    assert vifd.plug(document(1, role="INACTIVE"))[0] == 201
    with guests(DEVICES[0]) as (guest,):
        until(lambda: opened(vifd, guest), "the next one is open as well")
    assert vifd.get(f"/v1/ports/{NEIGHBOUR}")["phase"] == "LIVE"


def opened(vifd: Vifd, guest: TapGuest) -> bool:
    guest.send(ANNOUNCEMENTS["rarp"])
    return phase(vifd) == "LIVE"
