"""Activation at the wrong moment, twice, after the end, and of ten ports at once; with frames."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.policy.announcing import announcement
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

TEN = range(1, 11)
NEIGHBOUR = 11


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    options: dict[str, Any] = {
        "migration": {"guest_frames": "true"},
        "engine": {"retry_first": 0.05, "retry_longest": 0.5},
    }
    with Vifd(tmp_path / "v", ovs, options) as daemon:
        yield daemon
        ovs.vswitchd.resume()
        daemon.clear()


def mac(number: int) -> str:
    return str(document(number)["port"]["mac_address"])


def device(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def phases(vifd: Vifd) -> dict[str, str]:
    return {p["id"]: p["phase"] for p in vifd.get("/v1/ports")["ports"]}


def activate(vifd: Vifd, number: int, wait: str = "?wait=active&timeout=60") -> tuple[int, Any]:
    return vifd.call("POST", f"/v1/ports/{port_id(number)}/activate{wait}")


@pytest.mark.parametrize("word", ["the guests' own", "the API's"])
def test_ten_guests_that_arrive_at_once(ovs: PrivateOvs, vifd: Vifd, word: str) -> None:
    """Each has its port, is announced once as a move of its own, and nobody waits for all."""
    assert vifd.plug(document(NEIGHBOUR))[0] == 201
    for number in TEN:
        assert vifd.plug(document(number, role="INACTIVE"))[0] == 201
    with guests(*map(device, (*TEN, NEIGHBOUR)), ovs=ovs) as (*ten, neighbour):
        neighbour.drain()
        if word == "the API's":
            with ThreadPoolExecutor(len(TEN)) as callers:
                assert [s for s, _ in callers.map(lambda n: activate(vifd, n), TEN)] == [200] * 10
        else:
            for number, guest in zip(TEN, ten, strict=True):
                guest.send(announcement(mac(number)))
        until(lambda: set(phases(vifd).values()) == {"LIVE"}, "all are open")
        heard_of(neighbour, {mac(number) for number in TEN})

    def moves() -> list[dict[str, Any]]:
        return list(vifd.get("/v1/migrations")["migrations"])

    # a move ends once its port was read back, and that is after it opened
    until(lambda: [m["state"] for m in moves()] == ["done"] * len(TEN), "all moves are on record")
    assert sorted(m["port"] for m in moves()) == [port_id(n) for n in TEN]
    assert {m["trigger"] for m in moves()} == {{"the API's": "api"}.get(word, "guest's frame")}


def heard_of(neighbour: TapGuest, wanted: set[str]) -> None:
    """Each of these MACs is announced."""
    left = {announcement(one)[:42] for one in wanted}

    def come() -> bool:
        left.difference_update(frame[:42] for frame in neighbour.drain())
        return not left

    until(come, "all are announced")


def test_a_word_that_comes_twice(vifd: Vifd) -> None:
    assert vifd.plug(document(1, role="INACTIVE"))[0] == 201
    assert activate(vifd, 1)[0] == 200
    revision = vifd.get(f"/v1/ports/{port_id(1)}")["revision"]
    assert activate(vifd, 1)[0] == 200
    port = vifd.get(f"/v1/ports/{port_id(1)}")
    assert (port["phase"], port["revision"]) == ("LIVE", revision)
    (move,) = vifd.get("/v1/migrations")["migrations"]
    assert [word["what"] for word in move["triggers"]] == ["api", "api"]


def test_a_word_after_the_unplug(ovs: PrivateOvs, vifd: Vifd) -> None:
    assert vifd.plug(document(1, role="INACTIVE"))[0] == 201
    assert vifd.unplug(port_id(1))[0] in (200, 204)
    status, error = activate(vifd, 1)
    assert (status, error["code"]) == (404, "E_STATE_NOT_FOUND")
    assert vifd.get("/v1/migrations")["migrations"] == []
    assert device(1) not in ovs.vsctl("list-ports", "br-int")


def test_a_word_before_the_port_is_ready(ovs: PrivateOvs, vifd: Vifd) -> None:
    """It is opened and announced as soon as it is proven, and not before."""
    assert vifd.plug(document(NEIGHBOUR))[0] == 201
    with ExitStack() as stack:
        (neighbour,) = stack.enter_context(guests(device(NEIGHBOUR), ovs=ovs))
        neighbour.drain()
        ovs.vswitchd.pause()
        try:
            path = f"/v1/ports/{port_id(1)}"
            assert vifd.call("PUT", path, document(1, role="INACTIVE"))[0] == 202
            assert phases(vifd)[port_id(1)] != "READY"
            assert activate(vifd, 1, "")[0] == 202
            assert vifd.get(path)["phase"] not in ("READY", "LIVE")
        finally:
            ovs.vswitchd.resume()
        until(lambda: phases(vifd)[port_id(1)] == "LIVE", "it is open")
        heard_of(neighbour, {mac(1)})
