"""Captured frames as files that Wireshark and tcpdump read. Pure.

One device is a classic pcap with nanoseconds; several are a pcapng, in which each frame bears the
name of its device.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_ETHERNET = 1
_NANOSECONDS = 0xA1B23C4D


class Frame(NamedTuple):
    """One frame as it was seen.

    :param at: nanoseconds since the epoch
    :param device: where
    :param out: whether the host sent it there: to the guest, where the device is its tap
    :param size: bytes that it had; more than there is of ``data`` where it was cut
    """

    at: int
    device: str
    out: bool
    data: bytes
    size: int


class Pcap:
    """A classic file.

    :param snap: the most bytes of a frame
    """

    def __init__(self, snap: int) -> None:
        self._snap = snap

    def head(self) -> bytes:
        """What the file begins with."""
        return struct.pack("<IHHiIII", _NANOSECONDS, 2, 4, 0, 0, self._snap, _ETHERNET)

    def frame(self, frame: Frame) -> bytes:
        """A frame's record."""
        seconds, rest = divmod(frame.at, 1_000_000_000)
        head = struct.pack("<IIII", seconds, rest, len(frame.data), frame.size)
        return head + frame.data


class Pcapng:
    """A file with several devices; each is described before its first frame."""

    def __init__(self, snap: int) -> None:
        self._snap = snap
        self._devices: dict[str, int] = {}

    def head(self) -> bytes:
        """What the file begins with."""
        return _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))

    def frame(self, frame: Frame) -> bytes:
        """A frame's block, after that of its device where it is the first there."""
        described = b""
        if frame.device not in self._devices:
            self._devices[frame.device] = len(self._devices)
            described = self._described(frame.device)
        high, low = divmod(frame.at, 1 << 32)
        number = self._devices[frame.device]
        head = struct.pack("<IIIII", number, high, low, len(frame.data), frame.size)
        # epb_flags: 1 came in, 2 went out
        flags = _option(2, struct.pack("<I", 2 if frame.out else 1))
        return described + _block(6, head + _padded(frame.data) + flags + _option(0, b""))

    def _described(self, device: str) -> bytes:
        head = struct.pack("<HHI", _ETHERNET, 0, self._snap)
        # if_name, and if_tsresol: nanoseconds
        options = _option(2, device.encode()) + _option(9, b"\x09") + _option(0, b"")
        return _block(1, head + options)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
