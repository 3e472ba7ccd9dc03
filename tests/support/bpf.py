"""Classic BPF as the kernel runs it on a frame that came in by a device: only what guards use.

The outermost tag is no part of the bytes then: it lies beside them (``skb_vlan_untag``).
"""

from __future__ import annotations

from vifd.drivers import Program

_ANCILLARY = 0xFFFF_F000
_TAG, _PRESENT, _TYPE = 44, 48, 60
_DROP = 2


def verdict(program: Program, frame: bytes) -> bool:
    """Whether a frame passes."""
    kind = int.from_bytes(frame[12:14], "big")
    tag = None
    if kind in (0x8100, 0x88A8):
        tag = int.from_bytes(frame[14:16], "big")
        frame = frame[:12] + frame[16:]
    beside = {_TAG: tag or 0, _PRESENT: int(tag is not None), _TYPE: kind if tag is not None else 0}
    accumulator, at = 0, 0
    while True:
        code, true, false, value = program[at]
        at += 1
        match code:
            case 0x06:
                return value != _DROP
            case 0x05:
                at += value
            case 0x15:
                at += true if accumulator == value else false
            case 0x54:
                accumulator &= value
            case 0x20 | 0x28 if value >= _ANCILLARY:
                accumulator = beside[value - _ANCILLARY]
            case 0x20 | 0x28:
                size = 4 if code == 0x20 else 2
                if value + size > len(frame):
                    return True
                accumulator = int.from_bytes(frame[value : value + size], "big")
            case _:
                raise NotImplementedError(f"step {code:#x}")
