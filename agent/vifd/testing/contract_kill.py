"""The part of the plugin contract that takes a real process: SIGKILL before and after every effect
of plug, update, change of role and unplug; then the daemon comes back and everything converges."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vifd.testing import census
from vifd.testing.daemon import Vifd
from vifd.testing.profile import Profile
from vifd.testing.sandbox import Daemon, PrivateOvs
from vifd.testing.wait import Expired, until

#: No operation takes more effects than this; the run ends at the first that is never reached.
MOST = 24

SETTLED = ("LIVE", "READY", "QUIESCED")


class KillContract:
    """Subclass it and override :meth:`profile`; it works on a real kernel and a private switch."""

    @pytest.fixture
    def profile(self) -> Profile:
        """What there is to know of the plugin."""
        raise NotImplementedError

    @pytest.fixture
    def vifd(self, ovs: PrivateOvs, profile: Profile, tmp_path: Path) -> Iterator[Vifd]:
        """The daemon, not yet started."""
        options: dict[str, dict[str, object]] = {
            "engine": {"retry_first": 0.05, "check_interval": 0},
            profile.cls.plugin_name: dict(profile.options),
        }
        daemon = Vifd(tmp_path / "v", ovs, options)
        yield daemon
        daemon.close()

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("operation", ["plug", "update", "deactivate", "unplug"])
    def test_killed_at_every_effect(
        self, operation: str, when: str, vifd: Vifd, ovs: PrivateOvs, profile: Profile,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        scene = _Scene(vifd, profile)
        prepare, act = scene.operations[operation]
        with scene.running():
            scene.plug()  # what the plugin makes for all ports is there before anything is counted
            scene.unplug()
            empty = census.take(ovs)
            prepare()
        reached = 0
        for fatal in range(1, MOST):
            notes = tmp_path / f"notes{fatal}"
            killed = scene.interrupt(act, fatal, when, notes)
            with scene.running():
                scene.converge(f"{operation} converges after a kill at effect {fatal}")
                if operation == "plug" and killed:
                    assert vifd.get(scene.path)["status"] == "ACTIVE"
                scene.unplug()
                assert vifd.get("/v1/ports")["ports"] == []
                left = census.take(ovs).beyond(empty)
                # the daemon runs, and may just be asking QEMU what it can do
                left = [line for line in left if not line.startswith("processes: ")]
                assert left == [], f"left after a kill at effect {fatal}: {left}"
                if killed:
                    prepare()
            if not killed:
                break
            reached = fatal
        assert reached < MOST - 1, "there are more effects than were tried"
        touches = operation in ("plug", "unplug") and profile.makes
        assert reached >= 1 or not touches, "no effect was interrupted: the test proves nothing"


class _Scene:
    """One port on a daemon that is started, killed and started again."""

    def __init__(self, vifd: Vifd, profile: Profile) -> None:
        self.vifd, self.profile = vifd, profile
        wanted = profile.attachment(1)
        self.path = f"/v1/ports/{wanted.id}"
        self.document = profile.document(wanted)
        self.changed = profile.document(profile.altered(wanted))
        nothing: Callable[[], Any] = lambda: None  # noqa: E731 - a word for the table
        self.operations: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "plug": (nothing, self.plug),
            "update": (self.plug, self.update),
            "deactivate": (self.plug, self.deactivate),
            "unplug": (self.plug, self.unplug),
        }

    def plug(self) -> None:
        self._put(self.document)

    def update(self) -> None:
        self._put(self.changed)

    def _put(self, document: dict[str, Any]) -> None:
        status, answer = self.vifd.call("PUT", f"{self.path}?wait=active&timeout=20", document)
        assert status in (200, 201), answer

    def deactivate(self) -> None:
        self.vifd.call("POST", f"{self.path}/deactivate?wait=inactive&timeout=20")

    def unplug(self) -> None:
        self.vifd.call("DELETE", f"{self.path}?wait=gone&timeout=20")

    def converge(self, what: str) -> None:
        """Wait until every port is where its document wants it."""

        def astray() -> list[str]:
            ports = self.vifd.get("/v1/ports")["ports"]
            return [
                f"{p['phase']} {(p['error'] or {}).get('message', '')}"
                for p in ports
                if p["phase"] not in SETTLED or p["error"]
            ]

        with contextlib.suppress(Expired):
            until(lambda: not astray(), what, 30)
            return
        raise Expired(f"not within 30 s: {what}: {astray()}\n{self.vifd.log[-3000:]}")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The daemon, ready, and stopped again."""
        self.vifd.start()
        try:
            self.vifd.ready()
            yield
        finally:
            self.vifd.stop()

    def interrupt(self, act: Callable[[], Any], fatal: int, when: str, notes: Path) -> bool:
        """Run the operation on a daemon that dies at an effect; whether it came to that."""
        armed = self._armed(fatal, when, notes)
        try:
            armed.start(30)
            until(lambda: self.vifd.get("/v1/status")["ready"], "the armed daemon is ready", 30)
            # The connection dies with the daemon.
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                act()
            killed = notes.exists() and len(notes.read_text().splitlines()) >= fatal
            if killed:
                armed.wait()
            return killed
        finally:
            armed.close()

    def _armed(self, fatal: int, when: str, notes: Path) -> Daemon:
        argv = [sys.executable, "-m", "vifd.testing.killed", str(fatal), when, str(notes)]
        argv += [*self.profile.effects, "--", "--config-file", str(self.vifd.config)]
        output = self.vifd.directory / "killed.out"
        env, socket = self.vifd.process.env, str(self.vifd.socket)
        return Daemon("vifd that is killed", argv, env, socket, output)
