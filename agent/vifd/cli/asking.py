"""Questions to who sits at the terminal."""

from __future__ import annotations

import sys


def someone_to_ask() -> bool:
    """Whether a question would be read by somebody."""
    return sys.stdin.isatty()


def agreed(question: str) -> bool:
    """Ask; only a clear "yes" is one."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
