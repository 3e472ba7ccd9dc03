"""SIGKILL before and after every effect of plug, update, role change and unplug; then converge."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unit.docs import document, port_id
from vifd.testing import census
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import Daemon, PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.usefixtures("leaks")

KILLER = Path(__file__).with_name("killed_daemon.py")
#: No operation takes more effects than this; the run ends at the first that is never reached.
MOST = 12

Scenario = Callable[[Vifd], None]


def plug(vifd: Vifd) -> None:
    vifd.call("PUT", f"/v1/ports/{port_id(1)}?wait=active&timeout=20", document(1))


def update(vifd: Vifd) -> None:
    pair = {"ip_address": "10.0.0.77"}
    changed = document(1, network__mtu=1400, port__allowed_address_pairs=[pair])
    vifd.call("PUT", f"/v1/ports/{port_id(1)}?wait=active&timeout=20", changed)


def deactivate(vifd: Vifd) -> None:
    vifd.call("POST", f"/v1/ports/{port_id(1)}/deactivate?wait=inactive&timeout=20")


def unplug(vifd: Vifd) -> None:
    vifd.call("DELETE", f"/v1/ports/{port_id(1)}?wait=gone&timeout=20")


def nothing(vifd: Vifd) -> None:
    pass


#: Name, what is done before the daemon is armed, and what is interrupted.
SCENARIOS: dict[str, tuple[Scenario, Scenario]] = {
    "plug": (nothing, plug),
    "update": (plug, update),
    "deactivate": (plug, deactivate),
    "unplug": (plug, unplug),
}


def arm(vifd: Vifd, fatal: int, when: str, notes: Path) -> Daemon:
    """The same daemon, on drivers that end it at the chosen effect."""
    argv = [sys.executable, str(KILLER), str(fatal), when, str(notes), "--"]
    argv += ["--config-file", str(vifd.config)]
    output = vifd.directory / "killed.out"
    return Daemon("vifd that is killed", argv, vifd.process.env, str(vifd.socket), output)


@contextlib.contextmanager
def running(vifd: Vifd) -> Iterator[None]:
    """The daemon, ready, and stopped again."""
    vifd.start()
    try:
        vifd.ready()
        yield
    finally:
        vifd.stop()


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "v", ovs, {"engine": {"retry_first": 0.05, "check_interval": 0}})
    yield daemon
    daemon.close()


def settled(vifd: Vifd) -> bool:
    """Every port is where its document wants it."""
    ports = vifd.get("/v1/ports")["ports"]
    return all(p["phase"] in ("LIVE", "READY", "QUIESCED") and not p["error"] for p in ports)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_effect(
    name: str, when: str, vifd: Vifd, ovs: PrivateOvs, tmp_path: Path
) -> None:
    prepare, act = SCENARIOS[name]
    with running(vifd):
        plug(vifd)  # the bridge is there before anything is counted
        unplug(vifd)
        empty = census.take(ovs)
        prepare(vifd)
    reached = 0
    for fatal in range(1, MOST):
        notes = tmp_path / f"notes{fatal}"
        killed = interrupt(vifd, act, arm(vifd, fatal, when, notes), notes, fatal)
        with running(vifd):
            until(lambda: settled(vifd), f"{name} converges after a kill at effect {fatal}", 20)
            if act is plug and killed:
                assert vifd.get(f"/v1/ports/{port_id(1)}")["status"] == "ACTIVE"
            unplug(vifd)
            assert vifd.get("/v1/ports")["ports"] == []
            left = census.take(ovs).beyond(empty)
            assert left == [], f"left after a kill at effect {fatal}"
            prepare(vifd)
        if not killed:
            break
        reached = fatal
    assert reached >= 1, "no effect was interrupted: the test proves nothing"
    assert reached < MOST - 1, "there are more effects than were tried"


def interrupt(vifd: Vifd, act: Scenario, armed: Daemon, notes: Path, fatal: int) -> bool:
    """Run the operation on the armed daemon; whether it came to the fatal effect."""
    try:
        armed.start(20)
        until(lambda: vifd.get("/v1/status")["ready"], "the armed daemon is ready", 20)
        try:
            act(vifd)
        except (OSError, ValueError, RuntimeError):
            pass  # the connection died with the daemon
        killed = notes.exists() and len(notes.read_text().splitlines()) >= fatal
        if killed:
            armed.wait()
        return killed
    finally:
        armed.close()
