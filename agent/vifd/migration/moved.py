"""What became of a port that was to change its back end."""

from __future__ import annotations

import msgspec


class Moved(msgspec.Struct, frozen=True):
    """What became of a move.

    :param source: the plugin that served the port
    :param target: the plugin that serves it now, or would
    :param done: whether it was moved; false for a rehearsal, and where it was there already
    :param gap_ms: the longest time in which no frame came to the guest while its port moved;
        ``null`` where none came before or after
    :param gap_within_ms: by so much the gap may be wrong
    :param took_ms: from the request on disk until the port was proven
    :param left: what is left of the port where it was, and is tried again
    """

    port: str
    source: str
    target: str
    device: str
    done: bool = False
    gap_ms: float | None = None
    gap_within_ms: float | None = None
    took_ms: float | None = None
    left: str = ""
