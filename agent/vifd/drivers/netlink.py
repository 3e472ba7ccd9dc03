"""A netlink socket and attributes, for messages that are packed here and not by a library.

A batch needs it: a device's message takes a library ten times as long to decode as the kernel needs
to write it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from vifd.steady import advance

ROUTE, NETFILTER = 0, 12

ERROR, DONE = 2, 3
REQUEST, ACK, DUMP_INTERRUPTED = 0x1, 0x4, 0x10
REPLACE, EXCL, CREATE, APPEND, DUMP = 0x100, 0x200, 0x400, 0x800, 0x300

HEADER = struct.Struct("IHHII")
_ATTR = struct.Struct("HH")
_S32 = struct.Struct("i")
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
#: Seconds after which an answer is given up; the kernel answers before ``send`` returns.
_TIMEOUT = 10.0
#: Questions per datagram: their answers must fit the socket's buffer.
_CHUNK = 64
_RECEIVE = 1 << 16

#: Type, flags, sequence number and payload.
Answer = tuple[int, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """A message without its sequence number.

    :param what: what it does and to what, for the error
    """

    type: int
    flags: int
    body: bytes
    what: str = ""


# --- attributes -----------------------------------------------------------------------------------


def attribute(number: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTR.pack(4 + len(value), number) + value + b"\0" * (-len(value) % 4)


def text(number: int, value: str) -> bytes:
    """A string."""
    return attribute(number, value.encode() + b"\0")


def nest(number: int, value: bytes) -> bytes:
    """Attributes within an attribute."""
    return attribute(number | _NESTED, value)


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Number and value of each attribute."""
    unpack, end = _ATTR.unpack_from, len(data) - 3
    while offset < end:
        size, number = unpack(data, offset)
        if size < 4:
            return
        yield number & _TYPE_MASK, data[offset + 4 : offset + size]
        offset += (size + 3) & ~3


def pick(data: bytes, offset: int, wanted: Container[int]) -> dict[int, bytes]:
    """The values of the attributes that are wanted, by number."""
    unpack, end = _ATTR.unpack_from, len(data) - 3
    found = {}
    while offset < end:
        size, number = unpack(data, offset)
        if size < 4:
            break
        number &= _TYPE_MASK
        if number in wanted:
            found[number] = data[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return found


def string(value: bytes) -> str:
    """The text of a string."""
    return value.rstrip(b"\0").decode(errors="replace")


def failure(payload: bytes) -> int:
    """The error number in an error message; 0 for an acknowledgement."""
    return -int(_S32.unpack_from(payload)[0])


# --- the socket -----------------------------------------------------------------------------------


class Socket:
    """A socket of the network namespace of the thread that makes it; use it on one at a time."""

    def __init__(self, protocol: int) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self._socket.settimeout(_TIMEOUT)
        with contextlib.suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        self._socket.bind((0, 0))
        #: The socket's netlink address.
        self.address: int = self._socket.getsockname()[0]
        self._sequence = 0
        self._room = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def numbers(self, count: int) -> int:
        """Reserve sequence numbers; the first of them."""
        first = self._sequence + 1
        self._sequence += count
        return first

    def ask(self, messages: Sequence[Message]) -> list[bytes | int]:
        """Send messages that have one answer each.

        :returns: for each the payload of the answer, or an error number, 0 for success
        """
        answers: list[bytes | int] = []
        for start in range(0, len(messages), _CHUNK):
            answers += self._ask(messages[start : start + _CHUNK])
        return answers

    def _ask(self, messages: Sequence[Message]) -> list[bytes | int]:
        first = self.numbers(len(messages))
        packed = [
            pack(number, message.type, REQUEST | message.flags, message.body)
            for number, message in enumerate(messages, first)
        ]
        self.send(b"".join(packed))
        answers: dict[int, bytes | int] = {}
        for kind, _, sequence, payload in self.receive():
            if sequence >= first:
                answers[sequence - first] = failure(payload) if kind == ERROR else payload
            if len(answers) == len(messages):
                break
        return [answers[i] for i in range(len(messages))]

    def dump(self, message: Message) -> list[bytes]:
        """The payloads of all answers; begun anew when something changed meanwhile.

        :raises OSError: the kernel refuses
        """
        for _ in range(8):
            found, consistent = self._dump(message)
            if consistent:
                return found
        raise OSError(errno.EINTR, "what is asked for does not stop changing")

    def _dump(self, message: Message) -> tuple[list[bytes], bool]:
        asked = self.numbers(1)
        self.send(pack(asked, message.type, REQUEST | DUMP | message.flags, message.body))
        found: list[bytes] = []
        consistent = True
        for kind, flags, sequence, payload in self.receive():
            if sequence != asked:
                continue
            consistent &= not flags & DUMP_INTERRUPTED
            if kind == DONE:
                break
            if kind == ERROR:
                number = failure(payload)
                if number == errno.EINTR:
                    return [], False
                raise OSError(number, os.strerror(number))
            found.append(payload)
        return found, consistent

    def send(self, data: bytes) -> None:
        """Send a datagram; the buffer must have room for it and its bookkeeping."""
        if len(data) > self._room:
            self._room = max(2 * len(data), 1 << 18)
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, self._room)
        advance()
        self._socket.send(data)

    def receive(self) -> Iterator[Answer]:
        """Answers, without end."""
        while True:
            data = self._socket.recv(_RECEIVE)
            offset = 0
            while offset + HEADER.size <= len(data):
                size, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
                if size < HEADER.size:
                    break
                yield kind, flags, sequence, data[offset + HEADER.size : offset + size]
                offset += (size + 3) & ~3


def pack(sequence: int, kind: int, flags: int, body: bytes) -> bytes:
    """The bytes of a message."""
    size = HEADER.size + len(body)
    return HEADER.pack(size, kind, flags, sequence, 0) + body + b"\0" * (-size % 4)
