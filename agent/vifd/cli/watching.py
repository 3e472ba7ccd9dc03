"""Repeating a command that only reads, for somebody who watches."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable

#: Seconds between two looks.
EVERY = 2.0
#: The exit code of a wrong command line.
_USAGE = 2
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give a command the option ``--watch``."""
    parser.add_argument(
        "--watch", metavar="SECONDS", type=_seconds, nargs="?", const=EVERY, default=None,
        help=f"again and again, with so many seconds in between (default: {EVERY:g}), until "
        "Ctrl-C; also while the daemon is away",
    )  # fmt: skip


def forever(once: Callable[[], int], every: float) -> int:
    """Run until somebody interrupts it; a daemon that is away is waited for.

    What is wrong with the command line does not get better: its exit code is returned.
    """
    while True:
        if sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
        if (code := once()) == _USAGE:
            return code
        sys.stdout.flush()
        time.sleep(every)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError("must be seconds from 0.1 to 3600")
    return value


def rows_that_fit(most: int = 1000) -> int:
    """Lines of a table that a terminal has room for; elsewhere all."""
    if not sys.stdout.isatty():
        return most
    return max(3, shutil.get_terminal_size().lines - 5)
