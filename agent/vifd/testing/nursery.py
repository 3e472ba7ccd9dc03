"""Daemons that start at once, and die at a chosen effect: the near end of
:mod:`vifd.testing.killed`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import Daemon, answers
from vifd.testing.wait import PATIENCE, until


class Nursery:
    """A process that has the daemon's world imported and forks daemons; one lives at a time."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="vn-"))
        path = str(self._directory / "s")
        argv = [sys.executable, "-m", "vifd.testing.killed", path]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = Daemon("nursery", argv, env, path, self._directory / "out")

    def __enter__(self) -> Nursery:
        try:
            self._process.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and with it a daemon that still lives."""
        self._process.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self, vifd: Vifd, effects: Sequence[str] = ()) -> Life:
        """Start the daemon of this directory and wait until it is ready.

        :param effects: see :attr:`vifd.testing.profile.Profile.effects`
        """
        life = Life(self._process.socket, vifd, effects)
        try:
            until(lambda: life.ended or answers(vifd.socket), "vifd answers")
            _demand(life, vifd)
            vifd.ready()
        except BaseException:
            life.close()
            raise
        return life


class Life:
    """One daemon, from its start to its end."""

    def __init__(self, nursery: Path, vifd: Vifd, effects: Sequence[str]) -> None:
        self._order = vifd.directory / "order"
        self._notes = vifd.directory / "notes"
        for path in (self._order, self._notes):
            path.unlink(missing_ok=True)
        wanted = {
            "config": str(vifd.config), "output": str(vifd.process.output),
            "order": str(self._order), "notes": str(self._notes), "effects": list(effects),
        }  # fmt: skip
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(nursery))
        self._connection.sendall(json.dumps(wanted).encode() + b"\n")
        self._connection.settimeout(PATIENCE)
        self._pid = int(self._connection.recv(32))

    def order(self, fatal: int, when: str) -> None:
        """Have it die at an effect, counted from 1 and from now on.

        :param when: ``before`` or ``after``
        """
        draft = self._order.with_suffix(".new")
        draft.write_text(f"{fatal} {when}")
        draft.rename(self._order)

    @property
    def effects(self) -> list[str]:
        """The effects since the order, the fatal one included."""
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    @property
    def ended(self) -> bool:
        """Whether it has died or stopped."""
        self._connection.setblocking(False)
        try:
            return not self._connection.recv(1)
        except BlockingIOError:
            return False
        finally:
            self._connection.settimeout(PATIENCE)

    def wait(self) -> None:
        """Wait until it has ended by itself."""
        self._connection.recv(1)

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End it if it still lives, and forget it."""
        with self._connection:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
            self.wait()


def _demand(life: Life, vifd: Vifd) -> None:
    if life.ended:
        text = vifd.process.output.read_text(errors="replace")
        raise RuntimeError(f"vifd ended at its start:\n{text[-2000:]}")
