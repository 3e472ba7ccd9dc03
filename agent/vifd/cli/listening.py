"""Frames of this host's devices, by packet sockets.

A socket is all there is: nothing is made on the switch or the kernel, so nothing is left behind by
who is killed.
"""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from vifd.cli.pcap import Frame

_ALL = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING
_SOL_PACKET, _AUXDATA, _VLAN_VALID, _TPID_VALID = 263, 8, 0x10, 0x40
_TIMESTAMPNS, _ATTACH_FILTER = 35, 26
_BUFFER = 8 << 20
#: Frames of one device that are taken before another is looked at.
_ROUND = 64


class Listener:
    """One packet socket.

    :param device: the empty string for every device
    :param mac: only frames from or to this address
    :param but: a device that is not listened to here
    :raises OSError: it may not be had, or the device is not there
    """

    def __init__(self, device: str, snap: int, *, mac: str = "", but: str = "") -> None:
        self.device, self._snap, self._but = device, snap, but
        # of every device at once where none is named; of one from bind() on
        heard = 0 if device else socket.htons(_ALL)
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, heard)
        try:
            self._sock.setsockopt(_SOL_PACKET, _AUXDATA, 1)
            self._sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            if mac:
                self._filter(mac)
            if device:
                self._sock.bind((device, _ALL))
        except BaseException:
            self._sock.close()
            raise
        self._sock.setblocking(False)
        if mac:
            self._drain()

    def _drain(self) -> None:
        """What came before the filter was there."""
        with suppress(BlockingIOError):
            while True:
                self._sock.recv(1)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def frames(self) -> Iterator[Frame]:
        """What has come; never waits."""
        with suppress(BlockingIOError):
            for _ in range(_ROUND):
                data, extra, flags, address = self._sock.recvmsg(self._snap, 256, socket.MSG_TRUNC)
                del flags
                if address[0] != self._but:
                    yield _frame(data, extra, address)

    def _filter(self, mac: str) -> None:
        """Have the kernel drop what is neither from nor to an address."""
        raw = bytes.fromhex(mac.replace(":", ""))
        high, low = struct.unpack("!IH", raw)
        program = [
            (0x20, 0, 0, 6), (0x15, 0, 2, high), (0x28, 0, 0, 10), (0x15, 4, 0, low),
            (0x20, 0, 0, 0), (0x15, 0, 3, high), (0x28, 0, 0, 4), (0x15, 0, 1, low),
            (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0),
        ]  # fmt: skip
        code = b"".join(struct.pack("HBBI", *each) for each in program)
        held = ctypes.create_string_buffer(code)
        given = struct.pack("HL", len(program), ctypes.addressof(held))
        self._sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, given)


def _frame(
    data: bytes, extra: list[tuple[int, int, bytes]], address: tuple[str, int, int, int, bytes]
) -> Frame:
    at = time.time_ns()
    for level, kind, value in extra:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS):
            seconds, rest = struct.unpack_from("qq", value)
            at = seconds * 1_000_000_000 + rest
        elif (level, kind) == (_SOL_PACKET, _AUXDATA):
            data = _tagged(data, value)
    return Frame(at, address[0], address[2] == _OUTGOING, data, len(data))


def _tagged(data: bytes, aux: bytes) -> bytes:
    """The frame with the VLAN tag that the kernel took out of it."""
    status, _, _, _, _, tci, tpid = struct.unpack_from("IIIHHHH", aux)
    if not status & _VLAN_VALID:
        return data
    tag = struct.pack("!HH", tpid if status & _TPID_VALID else 0x8100, tci)
    return data[:12] + tag + data[12:]


def listen(listeners: list[Listener], seconds: float | None) -> Iterator[Frame | None]:
    """Frames as they come; ``None`` where none is there for the moment. Ends when the time is over.

    :raises OSError: a device is gone
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while deadline is None or time.monotonic() < deadline:
        left = 1.0 if deadline is None else max(0.0, min(1.0, deadline - time.monotonic()))
        ready, _, _ = select.select(listeners, [], [], left)
        for listener in ready:
            yield from listener.frames()
        yield None
