"""Short texts for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def names_in(items: Sequence[Any], limit: int = 8) -> str:
    """A short readable list for log lines and messages."""
    shown = ", ".join(str(i) for i in items[:limit])
    more = len(items) - limit
    return f"{shown} and {more} more" if more > 0 else shown
