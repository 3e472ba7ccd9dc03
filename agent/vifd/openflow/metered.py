"""The instruction by which a flow sends its packets through a meter (OpenFlow 1.4, 7.2.4). Pure."""

from __future__ import annotations

import struct

_FORM = struct.Struct("!HHI")
_METER = 6


def through(number: int) -> bytes:
    """The instruction: through this meter, before anything is done with a packet."""
    return _FORM.pack(_METER, _FORM.size, number)


def named(instructions: bytes) -> int | None:
    """The meter that instructions name, if they are one such instruction and nothing else."""
    if len(instructions) != _FORM.size:
        return None
    kind, size, number = _FORM.unpack(instructions)
    return int(number) if (kind, size) == (_METER, _FORM.size) else None
