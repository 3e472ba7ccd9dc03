"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO


def line(done: int, total: int, verb: str, seconds: float, width: int) -> str:
    """The bar: what was done, of how many, how fast. Pure."""
    rate = f" {done / seconds:.0f}/s" if seconds > 0 and done else ""
    tail = f" {done}/{total}{rate}"
    room = max(width - len(verb) - len(tail) - 5, 5)
    full = room * done // total if total else room
    return f"{verb} [{'#' * full}{'.' * (room - full)}]{tail}"


class Progress:
    """Shown while the block runs, if there is more than one thing to do; then wiped away."""

    def __init__(self, total: int, verb: str, stream: TextIO | None = None) -> None:
        self._total = total
        self._verb = verb
        self._stream = stream or sys.stderr
        self._shown = total > 1 and self._stream.isatty()
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        self.update(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def update(self, done: int) -> None:
        """So many are done."""
        if not self._shown:
            return
        width = min(shutil.get_terminal_size().columns, 80)
        seconds = time.monotonic() - self._start
        text = line(done, self._total, self._verb, seconds, width)
        self._stream.write(f"\r{text}\x1b[K")
        self._stream.flush()
