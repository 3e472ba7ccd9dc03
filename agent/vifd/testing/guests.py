"""Both ends of a wire: who sends frames, who receives them, and the proof that none leaked."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import PATIENCE, Expired

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x0100
_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_PACKET_IGNORE_OUTGOING = 23
_TP_STATUS_VLAN_VALID = 0x10
_BIGGEST = 65_600

Predicate = Callable[[bytes], bool]


class Sender(Protocol):
    """What can send."""

    name: str

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire."""


class Guest(Sender, Protocol):
    """One end of a wire."""

    def recv(self, timeout: float = PATIENCE, predicate: Predicate | None = None) -> bytes:
        """The next frame that fits; others are thrown away."""

    def collect(self, timeout: float, last: Predicate) -> list[bytes]:
        """All frames up to and including the first that fits ``last``."""

    def drain(self) -> list[bytes]:
        """What has arrived already, without waiting."""


class Wire:
    """Reading with deadlines, on top of a non-blocking ``_read``."""

    name: str
    fd: int

    def _read(self) -> bytes | None:
        raise NotImplementedError

    def collect(self, timeout: float, last: Predicate) -> list[bytes]:
        """All frames up to and including the first that fits ``last``."""
        frames: list[bytes] = []
        deadline = time.monotonic() + timeout
        while True:
            frame = self._read()
            if frame is not None:
                frames.append(frame)
                if last(frame):
                    return frames
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise Expired(self._story(timeout, frames))
            select.select([self.fd], [], [], left)

    def _story(self, timeout: float, frames: Sequence[bytes]) -> str:
        seen = "".join(f"\n  {frame.hex()}" for frame in frames[-5:])
        return (
            f"{self.name}: the frame waited for did not come within {timeout:g} s; "
            f"{len(frames)} others did{seen}"
        )

    def recv(self, timeout: float = PATIENCE, predicate: Predicate | None = None) -> bytes:
        """The next frame that fits; others are thrown away.

        :raises Expired: none came within ``timeout`` seconds
        """
        return self.collect(timeout, predicate or (lambda _: True))[-1]

    def drain(self) -> list[bytes]:
        """What has arrived already, without waiting."""
        frames = []
        while (frame := self._read()) is not None:
            frames.append(frame)
        return frames


class TapGuest(Wire):
    """What QEMU would be: it opens a persistent tap that exists, and never makes one.

    :raises FileNotFoundError: there is no such device
    """

    def __init__(self, name: str, multi_queue: bool = False) -> None:
        try:
            socket.if_nametoindex(name)
        except OSError as error:
            raise FileNotFoundError(f"no device {name}") from error
        self.name = name
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = _IFF_TAP | _IFF_NO_PI | (_IFF_MULTI_QUEUE if multi_queue else 0)
        try:
            fcntl.ioctl(self.fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        except BaseException:
            os.close(self.fd)
            raise

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire."""
        os.write(self.fd, frame)

    def _read(self) -> bytes | None:
        try:
            return os.read(self.fd, _BIGGEST)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """The guest is switched off; the tap stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> TapGuest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PacketGuest(Wire):
    """Raw frames on any device, such as a veth end; VLAN tags are where they were on the wire.

    The kernel takes the tag off a received frame and keeps it aside; it is put back here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        self.socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ALL))
        try:
            self.socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self.socket.bind((name, _ETH_P_ALL))
        except BaseException:
            self.socket.close()
            raise
        self.fd = self.socket.fileno()
        self.drain()

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire."""
        self.socket.send(frame)

    def _read(self) -> bytes | None:
        try:
            frame, extra, _, _ = self.socket.recvmsg(_BIGGEST, 64)
        except BlockingIOError:
            return None
        for level, kind, data in extra:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                return _with_tag(frame, data)
        return frame

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()

    def __enter__(self) -> PacketGuest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _with_tag(frame: bytes, auxdata: bytes) -> bytes:
    """Put a tag back from ``struct tpacket_auxdata`` (packet(7))."""
    status, _, _, _, _, tci, protocol = struct.unpack("=IIIHHHH", auxdata[:20])
    if not status & _TP_STATUS_VLAN_VALID:
        return frame
    return frame[:12] + struct.pack("!HH", protocol or 0x8100, tci) + frame[12:]


def equal_to(frame: bytes) -> Predicate:
    """Fits exactly this frame; bytes beyond it (padding) do not matter."""
    return lambda other: other[: len(frame)] == frame


def assert_reaches(
    sender: Sender,
    receiver: Guest,
    frame: bytes,
    *,
    expect: Predicate | None = None,
    timeout: float = PATIENCE,
) -> bytes:
    """Send a frame and wait until it arrives; returns it as it arrived."""
    sender.send(frame)
    return receiver.recv(timeout, expect or equal_to(frame))


#: How often a sentinel is sent before it is missed: a busy switch may lose one.
_ATTEMPTS = 4


def arrivals(
    receiver: Guest,
    *,
    sent: Sequence[tuple[Sender, bytes]],
    sentinel: tuple[Sender, bytes],
    expect: Predicate | None = None,
    rounds: int = 2,
    timeout: float = PATIENCE,
    fresh: bool = True,
) -> list[bytes]:
    """Send frames and say what arrived, without waiting for what may never come.

    In every round the frames are sent first and the sentinel last; when that arrives the others
    have had their turn. Almost: a switch polls its ports in an order of its own, and may deliver
    one flow's frames before another's within a turn. So the sentinel is sent once more after it has
    arrived: that is a later turn. The second round finds the flows in the switch's caches.

    :param sent: who sends what
    :param sentinel: who sends what is known to arrive
    :param expect: recognises the sentinel on arrival; equality by default
    :param fresh: whether what arrived before is left out
    :returns: all that arrived, sentinels excluded
    :raises Expired: the sentinel did not arrive within ``timeout`` seconds
    """
    wanted = expect or equal_to(sentinel[1])
    if fresh:
        receiver.drain()
    arrived: list[bytes] = []
    for _ in range(rounds):
        for sender, frame in sent:
            sender.send(frame)
        for _ in range(2):
            arrived += _until_it_comes(receiver, sentinel, wanted, timeout)
    return arrived


def _until_it_comes(
    receiver: Guest, sentinel: tuple[Sender, bytes], wanted: Predicate, timeout: float
) -> list[bytes]:
    """What comes before a sentinel, which is sent again if it was lost on its way."""
    seen: list[bytes] = []

    def judge(frame: bytes) -> bool:
        seen.append(frame)
        return wanted(frame)

    for attempt in range(_ATTEMPTS):
        sentinel[0].send(sentinel[1])
        try:
            receiver.collect(timeout / _ATTEMPTS, judge)
        except Expired:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            break
    return seen[:-1]


def assert_only(
    receiver: Guest,
    *,
    forbidden: Sequence[tuple[Sender, bytes]],
    allowed: tuple[Sender, bytes],
    expect: Predicate | None = None,
    leaked: Callable[[bytes, bytes], bool] | None = None,
    rounds: int = 2,
    timeout: float = PATIENCE,
) -> int:
    """Prove that forbidden frames do not arrive while an allowed one does; see :func:`arrivals`.

    :param forbidden: who sends what
    :param allowed: who sends what as the sentinel
    :param leaked: ``leaked(forbidden, arrived)``: is that one which must not be here? equality by
        default
    :returns: how many forbidden frames were sent, all in vain
    :raises AssertionError: one arrived
    """
    arrived = arrivals(
        receiver, sent=forbidden, sentinel=allowed, expect=expect, rounds=rounds, timeout=timeout
    )
    _no_leak(receiver, forbidden, arrived, leaked or (lambda sent, got: equal_to(sent)(got)))
    return rounds * len(forbidden)


def _no_leak(
    receiver: Guest,
    forbidden: Sequence[tuple[Sender, bytes]],
    arrived: Sequence[bytes],
    is_leak: Callable[[bytes, bytes], bool],
) -> None:
    for sender, sent in forbidden:
        for frame in arrived:
            if is_leak(sent, frame):
                raise AssertionError(
                    f"a frame of {sender.name} reached {receiver.name}: {frame.hex()}"
                )


@contextlib.contextmanager
def guests(
    *names: str, ovs: PrivateOvs | None = None, multi_queue: bool = False
) -> Iterator[list[TapGuest]]:
    """Open several taps at once, and close them at the end.

    :param ovs: the switch that the taps are plugged into. When a tap gets its carrier the switch
        sets the port up anew, and loses what was sent until then: wait for that.
    """
    with contextlib.ExitStack() as stack:
        if ovs is not None:
            ovs.wait_for_no_carrier(*names)
        taps = [stack.enter_context(TapGuest(name, multi_queue)) for name in names]
        if ovs is not None:
            ovs.wait_for_carrier(*names)
        yield taps
