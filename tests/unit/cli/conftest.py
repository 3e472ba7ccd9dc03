"""vifctl as people run it: the real process, the real server."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.api import Served

AGENT = str(Path(sys.modules["vifd"].__file__ or "").parents[1])
ARGV = [sys.executable, "-m", "vifd.cli.main"]


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """vifctl in this process sets its log up as in its own; what it added goes with the test."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(path: str) -> dict[str, str]:
    # whoever says there how wide a terminal is stands above the terminal itself
    inherited = {name: said for name, said in os.environ.items() if name != "COLUMNS"}
    return {
        **inherited,
        "PYTHONPATH": AGENT,
        "VIFD_SOCKET": path,
        "PYTHONWARNINGS": "error",
        "LC_ALL": "C.UTF-8",
    }


def asked(path: str, *argv: str, typed: bytes) -> tuple[int, str]:
    """Exit code and messages of vifctl with somebody at a terminal who types this."""
    main, theirs = pty.openpty()
    process = subprocess.Popen(
        [*ARGV, *argv], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(path),
    )  # fmt: skip
    os.close(theirs)
    if typed:
        os.write(main, typed)
    _, err = process.communicate(timeout=60)
    os.close(main)
    return process.returncode, err


def terminal(*argv: str, env: dict[str, str], columns: int = 0) -> str:
    """What vifctl writes to a terminal.

    :param columns: how wide it is; 0 where it does not tell
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        subprocess.run([*ARGV, *argv], stdout=theirs, timeout=60, check=False,
                       env=env, stderr=subprocess.DEVNULL)  # fmt: skip
    finally:
        os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return text.decode()


@pytest.fixture
def vifctl(served: Served) -> Callable[..., Done]:
    """Run vifctl; ``stdin`` is text."""

    def run(*argv: str, stdin: str = "", **env: str) -> Done:
        done = subprocess.run(
            [*ARGV, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**environment(served.path), **env},
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
