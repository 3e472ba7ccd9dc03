"""The part of the plugin contract that takes a real process: SIGKILL before and after every effect
of plug, update, change of role and unplug; then the daemon comes back and everything converges.

Before an effect is not after the one before it: the journal is written in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vifd.testing import census
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Life, Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import Expired, until

#: No operation takes more effects than this; the run ends at the first that is never reached.
MOST = 24

SETTLED = ("LIVE", "READY", "QUIESCED")


class KillContract:
    """Subclass it and override :meth:`profile`; it works on a real kernel and a private switch.

    :cvar touching: operations that must have effects; a plugin that makes nothing has none
    """

    touching: tuple[str, ...] = ("plug", "unplug")

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
    @pytest.mark.parametrize("operation", ["plug", "update", "deactivate", "activate", "unplug"])
    def test_killed_at_every_effect(
        self, operation: str, when: str, nursery: Nursery, vifd: Vifd, ovs: PrivateOvs,
        profile: Profile,
    ) -> None:  # fmt: skip
        scene = Scene(nursery, vifd, profile)
        prepare, act = scene.operations[operation]
        with scene.running():
            scene.plug()  # what the plugin makes for all ports is there before anything is counted
            scene.unplug()
            empty = census.take(ovs)
            prepare()
        reached = 0
        for fatal in range(1, MOST):
            killed = scene.interrupt(act, fatal, when)
            with scene.running():
                scene.converge(f"{operation} converges after a kill at effect {fatal}")
                if operation == "plug" and killed:
                    assert vifd.get(scene.path)["status"] == "ACTIVE"
                scene.unplug()
                assert vifd.get("/v1/ports")["ports"] == []
                left = census.take(ovs).beyond(empty, processes=False)
                assert left == [], f"left after a kill at effect {fatal}: {left}"
                if killed:
                    prepare()
            if not killed:
                break
            reached = fatal
        assert reached < MOST - 1, "there are more effects than were tried"
        touches = operation in self.touching and profile.makes
        assert reached >= 1 or not touches, "no effect was interrupted: the test proves nothing"


class Scene:
    """One port on a daemon that is started, killed and started again."""

    def __init__(self, nursery: Nursery, vifd: Vifd, profile: Profile) -> None:
        self.nursery, self.vifd, self.profile = nursery, vifd, profile
        wanted = profile.attachment(1)
        self.path = f"/v1/ports/{wanted.id}"
        self.document = profile.document(wanted)
        self.changed = profile.document(profile.altered(wanted))
        nothing: Callable[[], Any] = lambda: None  # noqa: E731 - a word for the table
        self.operations: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "plug": (nothing, self.plug),
            "update": (self.plug, self.update),
            "deactivate": (self.plug, self.deactivate),
            "activate": (self.close, self.activate),
            "unplug": (self.plug, self.unplug),
        }

    def plug(self) -> None:
        self._put(self.document)

    def update(self) -> None:
        self._put(self.changed)

    def _put(self, document: dict[str, Any]) -> None:
        status, answer = self.vifd.call("PUT", f"{self.path}?wait=active&timeout=60", document)
        assert status in (200, 201), answer

    def close(self) -> None:
        self.plug()
        self.deactivate()

    def activate(self) -> None:
        self.vifd.call("POST", f"{self.path}/activate?wait=active&timeout=60")

    def deactivate(self) -> None:
        self.vifd.call("POST", f"{self.path}/deactivate?wait=inactive&timeout=60")

    def unplug(self) -> None:
        self.vifd.call("DELETE", f"{self.path}?wait=gone&timeout=60")

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
            until(lambda: not astray(), what)
            return
        raise Expired(f"not in time: {what}: {astray()}\n{self.vifd.log[-3000:]}")

    @contextlib.contextmanager
    def running(self) -> Iterator[Life]:
        """The daemon, ready, and stopped again."""
        life = self.nursery.start(self.vifd, self.profile.effects)
        try:
            yield life
            life.stop()
        finally:
            life.close()

    def interrupt(self, act: Callable[[], Any], fatal: int, when: str) -> bool:
        """Run the operation on a daemon that dies at an effect; whether it came to that."""
        with self.running() as life:
            life.order(fatal, when)
            # The connection dies with the daemon.
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                act()
            killed = len(life.effects) >= fatal
            if killed:
                life.wait()
            return killed
