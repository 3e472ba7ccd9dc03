"""How flows of vifd are told from those of others: the first byte of their cookie."""

from __future__ import annotations

#: The byte that says a flow is ours.
MARK = 0x76
#: Cookie and mask of everything that is ours on a bridge.
OURS = (MARK << 56, 0xFF << 56)


def ours(cookie: int) -> bool:
    """Whether a flow with this cookie bears our mark."""
    return cookie >> 56 == MARK
