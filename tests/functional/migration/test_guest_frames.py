"""A guest that announces itself at a closed port opens it, where the operator says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.policy.announcing import advertisement, announcement, gratuitous_arp
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, assert_only, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

GUEST, NEIGHBOUR = port_id(1), port_id(2)
DEVICES = [f"tap{port_id(n)[:11]}" for n in (1, 2)]
MAC = str(document(1)["port"]["mac_address"])
OTHER = str(document(2)["port"]["mac_address"])
ADDRESS, ADDRESS6 = "10.0.0.1", "fe80::f816:3eff:fe00:1"
#: By which a guest says where it is.
ANNOUNCEMENTS = {
    "rarp": announcement(MAC),
    "garp": gratuitous_arp(MAC, ADDRESS),
    "na": advertisement(MAC, ADDRESS6),
}
#: What else a guest may send, or an enemy.
OTHERS = {
    "arp": frames.arp_request(MAC, ADDRESS, "10.0.0.2"),
    "another's rarp": announcement(OTHER),
    "another's garp": gratuitous_arp(MAC, "10.0.0.9"),
    "a tagged rarp": announcement(MAC)[:12] + bytes.fromhex("81000005") + announcement(MAC)[12:],
    "udp": frames.udp(MAC, OTHER, ADDRESS, "10.0.0.2"),
}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Vifd]:
    options: dict[str, Any] = {"migration": {"guest_frames": getattr(request, "param", "true")}}
    with Vifd(tmp_path / "v", ovs, options) as daemon:
        for number, role in ((1, "INACTIVE"), (2, "ACTIVE")):
            status, answer = daemon.plug(document(number, role=role))
            assert status == 201, answer
        yield daemon
        daemon.clear()


@pytest.fixture
def pair(ovs: PrivateOvs, vifd: Vifd) -> Iterator[tuple[TapGuest, TapGuest]]:
    with guests(*DEVICES, ovs=ovs) as (guest, neighbour):
        yield guest, neighbour


def phase(vifd: Vifd) -> str:
    return str(vifd.get(f"/v1/ports/{GUEST}")["phase"])


def opened_once(vifd: Vifd, pair: tuple[TapGuest, TapGuest], kind: str) -> Any:
    """The port is open by its guest's announcement, which passed once; the migration."""
    guest, neighbour = pair
    mark = b"seen by the guest alone" if kind != "na" else b""
    sent = ANNOUNCEMENTS[kind] + mark
    guest.send(sent)
    until(lambda: phase(vifd) == "LIVE", "the port is open")
    if mark:
        # vifd's own announcements lack the guest's padding
        got = neighbour.collect(60.0, lambda frame: frame == sent)
        assert got.count(sent) == 1
    (one,) = vifd.get("/v1/migrations")["migrations"]
    assert one["trigger"] == "guest's frame"
    return one


@pytest.mark.parametrize("kind", ANNOUNCEMENTS)
def test_the_first_announcement_opens_the_port_and_passes_once(
    vifd: Vifd, pair: tuple[TapGuest, TapGuest], kind: str
) -> None:
    one = opened_once(vifd, pair, kind)
    assert [m["what"] for m in one["triggers"]] == ["guest's frame"]
    assert [m["what"] for m in one["guest"]] == ["announced itself"]


def test_nothing_else_opens_it_and_nothing_passes(
    ovs: PrivateOvs, vifd: Vifd, pair: tuple[TapGuest, TapGuest]
) -> None:
    guest, neighbour = pair
    status, _ = vifd.plug(document(3))
    assert status == 201
    with guests(f"tap{port_id(3)[:11]}", ovs=ovs) as (third,):
        sentinel = frames.arp_request(
            str(document(3)["port"]["mac_address"]), "10.0.0.3", "10.0.0.2"
        )
        assert_only(
            neighbour, forbidden=[(guest, frame) for frame in OTHERS.values()],
            allowed=(third, sentinel), rounds=3,
        )  # fmt: skip
    assert phase(vifd) == "READY"
    vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": [port_id(3)]})


@pytest.mark.parametrize("vifd", ["false"], indirect=True)
def test_nothing_opens_it_where_nobody_asked_for_that(
    ovs: PrivateOvs, vifd: Vifd, pair: tuple[TapGuest, TapGuest]
) -> None:
    guest, _ = pair
    for frame in ANNOUNCEMENTS.values():
        guest.send(frame)
    until(lambda: "n_packets=3" in _guard(ovs), "the guard has counted them")
    assert "controller" not in ovs.ofctl("dump-flows", "br-int")
    assert phase(vifd) == "READY"


def _guard(ovs: PrivateOvs) -> str:
    lines = ovs.ofctl("dump-flows", "br-int", "table=0").splitlines()
    return "\n".join(line for line in lines if "priority=90" in line and "actions=drop" in line)


def test_a_port_that_was_closed_again_stays_closed(
    ovs: PrivateOvs, vifd: Vifd, pair: tuple[TapGuest, TapGuest]
) -> None:
    """Its guest has left, or a rollback is under way: what it says there is no arrival."""
    guest, neighbour = pair
    assert vifd.call("POST", f"/v1/ports/{GUEST}/activate?wait=active&timeout=60")[0] == 200
    assert vifd.call("POST", f"/v1/ports/{GUEST}/deactivate?wait=inactive&timeout=60")[0] == 200
    until(lambda: phase(vifd) == "QUIESCED", "the port is closed")
    neighbour.drain()
    for frame in ANNOUNCEMENTS.values():
        guest.send(frame)
    until(lambda: _handed(ovs) == 3, "the switch has seen them")
    assert neighbour.drain() == []
    assert phase(vifd) == "QUIESCED"


def _handed(ovs: PrivateOvs) -> int:
    lines = ovs.ofctl("dump-flows", "br-int", "table=0").splitlines()
    words = [word for line in lines if "controller" in line for word in line.split(", ")]
    return sum(int(w.removeprefix("n_packets=")) for w in words if w.startswith("n_packets="))


def test_after_a_restart_and_with_the_switch_started_anew(
    ovs: PrivateOvs, vifd: Vifd, pair: tuple[TapGuest, TapGuest]
) -> None:
    guest, _ = pair
    vifd.kill()
    vifd.start()
    vifd.ready()
    ovs.vswitchd.kill()
    ovs.vswitchd.start()
    until(lambda: _rarp(ovs), "the flows are back")
    until(lambda: phase(vifd) == "READY", "the port is proven anew")

    def opened() -> bool:
        guest.send(ANNOUNCEMENTS["rarp"])
        return phase(vifd) == "LIVE"

    until(opened, "it is open")


def _rarp(ovs: PrivateOvs) -> bool:
    with suppress(RuntimeError):  # its socket is made after the switch answers
        return "rarp" in ovs.ofctl("dump-flows", "br-int", "table=0")
    return False
