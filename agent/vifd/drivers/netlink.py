"""The socket that everything of netlink is asked by, and the attributes of its messages.

pyroute2 has the numbers. Its own exchange decodes every answer
whole, which takes ten times as long as the kernel needs to write it (``bench/codec_costs.py``), and
it knows no transaction of nf_tables: batches, and what is read of an answer, are packed here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

from pyroute2.netlink import NETLINK_GENERIC as GENERIC
from pyroute2.netlink import NETLINK_NETFILTER as NETFILTER
from pyroute2.netlink import NETLINK_ROUTE as ROUTE
from pyroute2.netlink import NLM_F_ACK as ACK
from pyroute2.netlink import NLM_F_APPEND as APPEND
from pyroute2.netlink import NLM_F_CREATE as CREATE
from pyroute2.netlink import NLM_F_DUMP as DUMP
from pyroute2.netlink import NLM_F_DUMP_INTR as DUMP_INTERRUPTED
from pyroute2.netlink import NLM_F_EXCL as EXCL
from pyroute2.netlink import NLM_F_REPLACE as REPLACE
from pyroute2.netlink import NLM_F_REQUEST as REQUEST
from pyroute2.netlink import NLMSG_DONE as DONE
from pyroute2.netlink import NLMSG_ERROR as ERROR

from vifd.safety.steady import advance

__all__ = [
    "ACK", "APPEND", "CREATE", "DONE", "DUMP", "ERROR", "EXCL", "GENERIC", "HEADER", "NETFILTER",
    "REPLACE", "REQUEST", "ROUTE", "Answer", "Message", "Socket", "attribute", "attributes",
    "failure", "messages", "nest", "open_socket", "pack", "pick", "string", "text",
]  # fmt: skip


HEADER = struct.Struct("IHHII")
_ATTR = struct.Struct("HH")
_S32 = struct.Struct("i")
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
#: Seconds after which an answer is given up; the kernel answers before ``send`` returns.
_TIMEOUT = 10.0
#: Questions per datagram: their answers must fit the socket's buffer.
_CHUNK = 32
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

    def pack(self, sequence: int) -> bytes:
        """The bytes of the request with this sequence number."""
        return pack(sequence, self.type, REQUEST | self.flags, self.body)


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


def open_socket(
    protocol: int, *, groups: int = 0, buffer: int = 4 << 20,
    prepare: Callable[[socket.socket], object] = lambda _: None,
) -> socket.socket:  # fmt: skip
    """A socket of the network namespace of the calling thread, to be closed.

    :param groups: whose announcements it hears
    :param buffer: bytes that it may hold; for those without CAP_NET_ADMIN the system's limit
        applies
    :param prepare: called before it hears anything
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_NETLINK, kind, protocol)
    try:
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
        prepare(made)
        made.bind((0, groups))
    except BaseException:
        made.close()
        raise
    return made


class Socket:
    """A socket of the network namespace of the thread that makes it; use it on one at a time."""

    def __init__(self, protocol: int) -> None:
        self._socket = open_socket(protocol)
        self._socket.settimeout(_TIMEOUT)
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
        self.send(b"".join(m.pack(number) for number, m in enumerate(messages, first)))
        answers: dict[int, bytes | int] = {}
        for kind, _, sequence, payload in self.receive():
            if sequence >= first:
                answers[sequence - first] = failure(payload) if kind == ERROR else payload
            if len(answers) == len(messages):
                break
        return [answers[i] for i in range(len(messages))]

    def dump(self, message: Message, *, settled: bool = True) -> list[bytes]:
        """The payloads of all answers; begun anew when something changed meanwhile.

        :param settled: whether it fails where that does not end; else the last answers are good
            enough
        :raises OSError: the kernel refuses
        """
        for again in reversed(range(8 if settled else 3)):
            found, consistent = self._dump(message)
            if consistent or not (settled or again):
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
            yield from messages(self._socket.recv(_RECEIVE))


def messages(data: bytes) -> Iterator[Answer]:
    """The messages of a datagram."""
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


def index_of(name: str) -> int:
    """The device's index, 0 where there is none: also where the name is an altname, which the
    kernel answers to as well.

    :raises OSError: the kernel cannot be asked, because this process may open nothing more
    """
    try:
        index = socket.if_nametoindex(name)
        return index if socket.if_indextoname(index) == name else 0
    except OSError:
        # it is asked through a socket, and why there is no index is not told
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC).close()
        return 0
