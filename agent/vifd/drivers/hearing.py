"""What guests say at closed taps: packet sockets, which hear a frame before anything drops it.

A socket for each tap that is listened to, with a filter in the kernel that leaves over what may be
an announcement: reverse ARP, gratuitous ARP, neighbour advertisements, all untagged. Nothing that
passes elsewhere is looked at. Packet sockets take CAP_NET_RAW.
"""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

from vifd.drivers.links import device_error
from vifd.drivers.linux import Program
from vifd.drivers.netlink import index_of
from vifd.errors import VifError
from vifd.safety.steady import Steady

Heard = Callable[[str, bytes], None]

_ATTACH_FILTER = 26
_EVERY = 0x0003
_OUTGOING = 4
#: Bytes of the longest announcement; a longer frame is none.
_LONGEST = 128
#: Frames that are read of one tap at once, and seconds until the next turn: what a guest may send
#: has no end.
_AT_ONCE, _PAUSE = 16, 0.02
#: Bytes that wait in a socket.
_WAITING = 16 * 1024

_WORD, _HALF, _BYTE, _EQUAL, _SAME, _TO_X, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x1D, 0x07, 0x06
#: SKF_AD_OFF and SKF_AD_VLAN_TAG_PRESENT.
_TAGGED = 0xFFFF_F000 + 48
_ALL = 0xFFFF_FFFF
#: Where things are in a frame: the type; addresses of sender and target in ARP; the next header of
#: IPv6 and the type of ICMPv6.
_TYPE, _SENDER, _TARGET, _NEXT, _KIND = 12, 28, 38, 20, 54
#: Classic BPF (``linux/filter.h``); the last step but one leaves a frame out, the last takes it.
FILTER: Program = (
    (_WORD, 0, 0, _TAGGED),
    (_EQUAL, 0, 12, 0),
    (_HALF, 0, 0, _TYPE),
    (_EQUAL, 11, 0, 0x8035),
    (_EQUAL, 0, 4, 0x0806),
    (_WORD, 0, 0, _SENDER),
    (_TO_X, 0, 0, 0),
    (_WORD, 0, 0, _TARGET),
    (_SAME, 6, 5, 0),
    (_EQUAL, 0, 4, 0x86DD),
    (_BYTE, 0, 0, _NEXT),
    (_EQUAL, 0, 2, 58),
    (_BYTE, 0, 0, _KIND),
    (_EQUAL, 1, 0, 136),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, _ALL),
)


class _Ear(NamedTuple):
    """A tap that is listened to; one that is made anew has another index."""

    device: str
    number: int
    socket: socket.socket


class KernelHearing:
    """See :class:`vifd.drivers.Hearing`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ears: dict[str, _Ear] = {}
        self._by_file: dict[int, _Ear] = {}
        self._epoll = select.epoll()
        self._end, self._ending = socket.socketpair()
        self._epoll.register(self._ending, select.EPOLLIN)
        self._stopping = threading.Event()
        self._callback: Heard = lambda _device, _frame: None
        self._thread: Steady | None = None

    def listen(self, callback: Heard) -> None:
        """Have what is heard told, on a native thread."""
        self._callback = callback
        self._thread = Steady(self._run, "closed-taps")
        self._thread.start()

    def hear(self, devices: Collection[str]) -> None:
        """Listen to these as well. One that is not there is left out.

        :raises VifError: packet sockets may not be had
        """
        for device in devices:
            index = index_of(device)
            with self._lock:
                known = self._ears.get(device)
                if known is not None and known.number != index:
                    self._close(device)
                elif known is not None:
                    continue
                if index:
                    self._open(device, index)

    def forget(self, devices: Collection[str]) -> None:
        """Listen to these no more."""
        with self._lock:
            for device in devices:
                self._close(device)

    def close(self) -> None:
        """End the thread, and listen to nothing."""
        self._stopping.set()
        self._end.send(b"x")
        if self._thread is not None:
            self._thread.join(1.0)
        self.forget(list(self._ears))
        self._epoll.close()
        self._end.close()
        self._ending.close()

    # --- inside ---

    def _open(self, device: str, index: int) -> None:
        try:
            made = _socket(device)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ENXIO):
                return
            raise packet_error(device, error, "listen to it") from error
        self._ears[device] = ear = _Ear(device, index, made)
        self._by_file[made.fileno()] = ear
        self._epoll.register(made, select.EPOLLIN)

    def _close(self, device: str) -> None:
        known = self._ears.pop(device, None)
        if known is not None:
            del self._by_file[known.socket.fileno()]
            self._epoll.unregister(known.socket)
            known.socket.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for file, _events in self._epoll.poll():
                for device, frame in self._read(file):
                    self._callback(device, frame)
            self._stopping.wait(_PAUSE)

    def _read(self, file: int) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        with self._lock:
            ear = self._by_file.get(file)
            if ear is None:
                return []
            # a device that is going is told by an error, once
            with suppress(OSError):
                for _ in range(_AT_ONCE):
                    frame, where = ear.socket.recvfrom(_LONGEST + 1)
                    if where[2] != _OUTGOING and len(frame) <= _LONGEST:
                        found.append((ear.device, frame))
        return found


def packet_error(device: str, error: OSError, doing: str) -> VifError:
    """The coded error of a packet socket: a service without such sockets (systemd's
    ``RestrictAddressFamilies``) is told that the kernel has none."""
    number = error.errno or errno.EIO
    return device_error(device, errno.EPERM if number == errno.EAFNOSUPPORT else number, doing)


def _socket(device: str) -> socket.socket:
    """A socket that hears the device's frames of the filter; none before that is in force."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_PACKET, kind, 0)
    try:
        steps = b"".join(struct.pack("HBBI", *step) for step in FILTER)
        kept = ctypes.create_string_buffer(steps)
        program = struct.pack("HP", len(FILTER), ctypes.addressof(kept))
        made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WAITING)
        made.bind((device, _EVERY))
    except BaseException:
        made.close()
        raise
    return made


def say(device: str, frames: Sequence[bytes]) -> None:
    """Send frames out of a device, by a packet socket that hears nothing; it takes CAP_NET_RAW.

    :raises VifError: it cannot be done
    """
    if not index_of(device):
        raise device_error(device, errno.ENODEV, "send frames out of it")
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            out.bind((device, 0))
            for frame in frames:
                out.send(frame)
    except OSError as error:
        raise packet_error(device, error, "send frames out of it") from error
