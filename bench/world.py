"""A world: a process in a network namespace of its own, with an Open vSwitch of its own, in which
one contender works. Worlds are alike; only who works in them differs.

The child speaks lines of JSON on its standard input and output; it ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from vifd.testing import netns, sandbox

#: Seconds without work after which a world counts as quiet, and the longest wait for that.
_QUIET, _LONGEST = 0.02, 5.0


class WorldError(RuntimeError):
    """A world failed; the text is what its process said."""


class World:
    """The parent's end of a world. Every method waits for its result.

    :param networks: how many networks its ports are on; 0 for as many as usual
    """

    def __init__(self, name: str, networks: int = 0) -> None:
        self.name = name
        self._directory = Path(tempfile.mkdtemp(prefix="vifd-bench-"))
        self._output = self._directory / "out"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, __file__, name, str(self._directory)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True,
                env={
                    **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    **({"BENCH_NETWORKS": str(networks)} if networks else {}),
                },
            )  # fmt: skip
        try:
            self.facts: dict[str, Any] = self._read(180.0)
        except BaseException:
            self.close()
            raise

    def call(self, verb: str, *arguments: object, timeout: float = 180.0) -> Any:
        """Have the contender do something."""
        stdin = cast(TextIO, self._process.stdin)
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps([verb, *arguments]) + "\n")
            stdin.flush()
        return self._read(timeout)

    def _read(self, timeout: float) -> Any:
        stdout = cast(TextIO, self._process.stdout)
        ready, _, _ = select.select([stdout], [], [], timeout)
        line = stdout.readline() if ready else ""
        if not line:
            said = self._output.read_text(errors="replace")[-4000:]
            raise WorldError(f"{self.name}: {'it ended' if ready else 'no answer'}\n{said}")
        return json.loads(line)

    def close(self) -> None:
        """End it, with everything that it made."""
        cast(TextIO, self._process.stdin).close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        cast(TextIO, self._process.stdout).close()
        shutil.rmtree(self._directory, ignore_errors=True)


# --- the child ------------------------------------------------------------------------------------


class Server:
    """Carries out what the parent asks."""

    def __init__(self, contender: Any) -> None:
        self._contender = contender

    def serve(self, answers: TextIO) -> None:
        """Until the input ends."""
        print(json.dumps({"started": getattr(self._contender, "started", None)}), file=answers,
              flush=True)  # fmt: skip
        for line in sys.stdin:
            verb, *arguments = json.loads(line)
            own = getattr(self, f"do_{verb}", None)
            result = (own or getattr(self._contender, verb))(*arguments)
            self.quiet()
            print(json.dumps(result), file=answers, flush=True)

    def quiet(self) -> None:
        """Wait until nobody works here any more, so that no other world is disturbed."""
        from contend import cpu

        pids = self._contender.processes()
        mine = os.getpid()
        end = time.monotonic() + _LONGEST
        used = cpu([p for p in pids if p != mine])
        while time.monotonic() < end:
            time.sleep(_QUIET)
            before, used = used, cpu([p for p in pids if p != mine])
            if used - before < 0.05 * _QUIET:
                return

    def do_fill(self, count: int) -> int:
        """Have exactly the ports 0 to ``count`` - 1 present."""
        wanted = set(range(count))
        present: set[int] = self._contender.present
        surplus, lacking = sorted(present - wanted), sorted(wanted - present)
        if surplus:
            self._contender.clear(surplus)
        if lacking:
            self._contender.fill(lacking)
        return len(lacking) - len(surplus)

    def do_chunk(self, size: int) -> None:
        """How many ports the floor takes into one batch."""
        self._contender.chunk = size


def main(arguments: Sequence[str]) -> int:
    """The child's life."""
    from contenders import contender

    name, directory = arguments[0], Path(arguments[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    netns.enter_private_netns()
    with sandbox.PrivateOvs(directory / "ovs") as ovs:
        competing = contender(name, directory, ovs)
        try:
            Server(competing).serve(answers)
        finally:
            competing.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
