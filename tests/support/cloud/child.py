"""A process of a test with all that it starts: its output in a file, its end certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Child:
    """A process in a session of its own.

    :param output: where what it prints goes, appended
    :param environment: added to that of this process
    """

    def __init__(
        self, argv: Sequence[str | Path], output: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.output = output
        self._name = str(argv[0])
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as sink:
            self.process = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process, which is also its session's id."""
        return self.process.pid

    def lives(self) -> None:
        """:raises AssertionError: it has ended, with the last of what it said"""
        code = self.process.poll()
        assert code is None, f"{self._name} ended with {code}: {self.tail()}"

    def tail(self) -> str:
        """The last of what it said."""
        return self.output.read_bytes()[-2000:].decode(errors="replace")

    def terminate(self, within: float = 20.0) -> int:
        """Ask it to end, and end it; its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within)
        return self.kill()

    def pause(self) -> None:
        """Let it and its session do nothing until :meth:`resume`; connections stay as they are."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for pid in _session(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> int:
        """End it and its session at once; its exit code."""
        self._send(signal.SIGKILL)
        return self.process.wait()


def _session(leader: int) -> list[int]:
    """The leader's session, and what its members started in sessions of their own."""
    parents: dict[int, int] = {}
    found = {leader}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(words[1])
            if int(words[3]) == leader:
                found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)
