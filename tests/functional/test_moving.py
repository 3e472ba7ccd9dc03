"""A port changes its back end while its guest talks: from the switch to a bridge of the kernel and
back, with the gap measured, nothing left behind, and what cannot be done refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.movescene import (
    Scene,
    cabled,
    flat,
    go_on,
    ip,
    left_on_bridges,
    left_on_switch,
    make,
    move,
    talking,
)
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until


@pytest.fixture
def scene(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Scene]:
    with cabled(ovs), make(tmp_path / "v", ovs) as vifd:
        yield Scene(vifd, ovs)
        vifd.clear()


def index(device: str) -> str:
    return ip("-o", "link", "show", device).split(":")[0]


def test_there_and_back_under_a_guest_that_talks(scene: Scene):
    status, port = scene.vifd.plug(flat())
    assert (status, port["plugin"]) == (201, "ovs"), port
    before = index(scene.device)
    moved: Any = {}
    with talking(scene) as (there, back):
        status, said = move(scene.vifd, "linuxbridge", dry_run=True)
        assert (status, said["done"], said["target"]) == (200, False, "linuxbridge")
        assert scene.port["plugin"] == "ovs"
        for target, left in (
            ("linuxbridge", lambda: left_on_switch(scene.ovs)),
            ("ovs", lambda: left_on_bridges(scene.device)),
        ):
            status, moved = move(scene.vifd, target)
            assert (status, moved.get("done"), moved.get("left")) == (200, True, ""), moved
            go_on(there, back)
            assert 0 < moved["gap_ms"] < 1000, moved
            port = scene.port
            assert (port["plugin"], port["phase"], port["status"]) == (target, "LIVE", "ACTIVE")
            assert port["findings"] == []
            assert index(scene.device) == before, "it is the same tap"
            assert left() == []
            assert move(scene.vifd, target)[1]["done"] is False, "it is there"
    assert there.gap < 1.0
    assert back.gap < 1.0
    print(
        f"gaps: {there.gap * 1000:.0f} ms there, {back.gap * 1000:.0f} ms back, {moved}; "
        f"{scene.refused} frames refused, 0 passed"
    )
    assert scene.refused > 0
    for source, target in (("ovs", "linuxbridge"), ("linuxbridge", "ovs")):
        assert f"moved from {source} to {target}: the gap was " in scene.vifd.log
    garbage = scene.vifd.get("/v1/garbage")
    assert garbage["orphans"] == []


def test_what_cannot_be_proven_there_is_back_and_passes_frames(scene: Scene):
    """A flow of others above ours takes the port's frames on the switch."""
    assert scene.vifd.plug(flat())[0] == 201
    with talking(scene) as (there, back):
        assert move(scene.vifd, "linuxbridge")[0] == 200
        go_on(there, back)
        scene.ovs.ofctl("add-flow", "br-int", "cookie=0xbad,table=0,priority=5000,actions=drop")
        status, error = move(scene.vifd, "ovs")
        assert (status, error["code"]) == (409, "E_BACKEND_RETURNED"), error
        assert error["facts"]["reason_code"] == "E_WIRE_TIMEOUT"
        go_on(there, back)
        port = scene.port
        assert (port["plugin"], port["phase"], port["status"]) == ("linuxbridge", "LIVE", "ACTIVE")
        until(lambda: left_on_switch(scene.ovs) == [], "nothing of it is on the switch")
        assert "not moved: on ovs it failed (E_WIRE_TIMEOUT" in scene.vifd.log
        scene.ovs.ofctl("del-flows", "br-int", "cookie=0xbad/-1")
        # the reason is mended: once what was left there is gone, it moves
        until(lambda: move(scene.vifd, "ovs")[0] == 200, "it moves")
        go_on(there, back)


def test_what_cannot_be_done_is_refused_and_nothing_touched(scene: Scene):
    vifd = scene.vifd
    assert move(vifd, "ovs")[1]["code"] == "E_STATE_NOT_FOUND"
    assert vifd.plug(flat())[0] == 201
    asked = {**document(2), "plugin": "ovs"}
    assert vifd.plug(asked)[0] == 201
    inactive = flat(3, role="INACTIVE")
    assert vifd.call("PUT", f"/v1/ports/{port_id(3)}", inactive)[0] == 202
    until(lambda: vifd.get(f"/v1/ports/{port_id(3)}")["phase"] == "READY", "it is ready")
    before = scene.ovs.ofctl("dump-flows", "br-int", "--no-stats")
    for target, number, code, why in (
        ("nosuch", 1, "E_PLUGIN_MISSING", "nosuch"),
        ("noop", 1, "E_BACKEND_UNFIT", "takes over no taps"),
        ("linuxbridge", 2, "E_BACKEND_UNFIT", "asks for plugin ovs by name"),
        ("linuxbridge", 3, "E_BACKEND_UNFIT", "its binding is INACTIVE"),
    ):
        status, error = move(vifd, target, number)
        assert (error.get("code"), why in str(error)) == (code, True), (status, error)
    vifd.configure({"linuxbridge": {"physical_interface_mappings": ""}})
    vifd.stop()
    vifd.start()
    vifd.ready()
    status, error = move(vifd, "linuxbridge")
    assert error["code"].startswith("E_SEG_"), error
    assert scene.ovs.ofctl("dump-flows", "br-int", "--no-stats") == before
    bodies: list[Any] = [
        {}, {"to": ""}, {"to": 1}, {"to": "ovs", "x": 1}, {"to": "ovs", "dry_run": 1}, [],
    ]  # fmt: skip
    for body in bodies:
        assert vifd.call("POST", f"/v1/ports/{port_id(1)}/backend", body)[0] == 400, body


#: No move takes more effects than this.
MOST = 40


@pytest.mark.parametrize("target", ["linuxbridge", "ovs"])
def test_killed_anywhere_it_is_on_one_of_the_two(scene: Scene, nursery: Nursery, target: str):
    """Dead after an effect is dead before the next one. Whatever was done, the next start has the
    port on one back end alone, and its frames pass."""
    vifd = scene.vifd
    assert vifd.plug(flat())[0] == 201
    other = {"linuxbridge": "ovs", "ovs": "linuxbridge"}[target]
    if target == "ovs":
        assert move(vifd, "linuxbridge")[0] == 200
    reached, ends = 0, set()
    with talking(scene) as (there, back):
        vifd.stop()
        # each way has its own third of the effects, as every life takes its time
        for fatal in range(1 if target == "ovs" else 2, MOST, 3):
            killed = _moved_under_fire(vifd, nursery, target, fatal)
            with contextlib.closing(nursery.start(vifd)) as life:
                go_on(there, back)
                until(lambda: scene.port["phase"] == "LIVE", "it is proven")
                until(lambda: alone(scene), "nothing is left on the other")
                ends.add(scene.port["plugin"])
                if scene.port["plugin"] == target:
                    assert move(vifd, other)[0] == 200
                life.stop()
            if not killed:
                break
            reached = fatal
    vifd.start()
    assert 4 <= reached < MOST - 1
    assert target in ends


def alone(scene: Scene) -> bool:
    """Whether the port is on one back end and nothing of it on the other."""
    if scene.port["plugin"] == "ovs":
        return left_on_bridges(scene.device) == []
    return left_on_switch(scene.ovs) == []


def _moved_under_fire(vifd: Vifd, nursery: Nursery, target: str, fatal: int) -> bool:
    """Move port 1 on a daemon that dies after an effect; whether it came to that."""
    with contextlib.closing(nursery.start(vifd)) as life:
        life.order(fatal, "after")
        # The connection dies with the daemon.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            assert move(vifd, target)[0] == 200
        killed = len(life.effects) >= fatal
        if killed:
            life.wait()
        else:
            life.stop()
        return killed
