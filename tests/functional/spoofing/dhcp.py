"""A real DHCP client on a port, and whoever answers it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from functional.spoofing.case import Station
from vifd.testing import frames as f
from vifd.testing.guests import TapGuest
from vifd.testing.netns import Namespace, link_up
from vifd.testing.sandbox import program

_TUNSETIFF = 0x400454CA
_TAP = 0x1002
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_OPTIONS = 240
_SCRIPT = '#!/bin/sh\n[ "$1" = bound ] && echo "$ip from $serverid" > {}\nexit 0\n'
_BIGGEST = 65_600


@dataclass
class Server:
    """Answers DHCP from a port.

    :param patience: so many discovers it lets pass before it answers
    """

    guest: TapGuest
    who: Station
    offers: str
    sport: int = 67
    patience: int = 0
    asked: int = 0

    def hear(self, frame: bytes) -> None:
        """Answer what is a message of a client."""
        message = frame[42:]
        if frame[23:24] != b"\x11" or frame[36:38] != b"\0\x43" or message[:1] != b"\1":
            return
        kind = _kind(message)
        self.asked += kind == _DISCOVER
        if self.asked <= self.patience or kind not in (_DISCOVER, _REQUEST):
            return
        self.guest.send(self._answer(message, _OFFER if kind == _DISCOVER else _ACK))

    def _answer(self, message: bytes, kind: int) -> bytes:
        head = b"\2" + message[1:4] + message[4:8] + bytes(4) + bytes(4)
        head += f.ip_bytes(self.offers) + f.ip_bytes(self.who.ip4) + bytes(4) + message[28:44]
        options = b"\x63\x82\x53\x63" + bytes((53, 1, kind, 54, 4)) + f.ip_bytes(self.who.ip4)
        options += bytes((51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 255))
        body = head + bytes(192) + options
        return f.udp(
            self.who.mac, f.BROADCAST, self.who.ip4, "255.255.255.255", body,
            sport=self.sport, dport=68,
        )  # fmt: skip


def _kind(message: bytes) -> int:
    at = _OPTIONS
    while at + 2 < len(message) and message[at] not in (53, 255):
        at += 1 if message[at] == 0 else 2 + message[at + 1]
    return message[at + 2] if message[at : at + 1] == b"\x35" else 0


@contextmanager
def _device(space: Namespace, mac: str) -> Iterator[int]:
    """A device in a namespace; what leaves it is read from the descriptor."""

    def make() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"guest0", _TAP))
        space_ip = [program("ip") or "ip", "link", "set", "guest0", "address", mac]
        subprocess.run(space_ip, check=True, timeout=60)
        link_up("guest0")
        return fd

    fd = space.run(make)
    try:
        yield fd
    finally:
        os.close(fd)


def lease(
    space: Namespace, client: TapGuest, mac: str, servers: list[Server], directory: Path
) -> str:
    """What busybox's client on the port gets, as ``address from server``; empty for nothing.

    :param space: where the client lives
    """
    told, script = directory / "lease", directory / "script"
    script.write_text(_SCRIPT.format(told))
    script.chmod(0o755)
    argv = [program("busybox") or "", "udhcpc", "-i", "guest0", "-f", "-n", "-q", "-t", "8", "-T",
            "1", "-s", str(script)]  # fmt: skip
    with _device(space, mac) as fd:
        process = space.run(
            lambda: subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        try:
            _carry(fd, client, servers, lambda: process.poll() is not None)
        finally:
            process.kill()
            process.wait()
    return told.read_text().strip() if told.exists() else ""


def _carry(fd: int, client: TapGuest, servers: list[Server], over: Callable[[], bool]) -> None:
    """Carry frames between the client and its port, and have the servers hear theirs."""
    deadline = time.monotonic() + 120
    hear = {server.guest.fd: server.hear for server in servers}
    hear |= {fd: client.send, client.fd: lambda frame: _put(fd, frame)}
    while not over():
        assert time.monotonic() < deadline, "the client does not end"
        for ready in select.select(list(hear), [], [], 0.05)[0]:
            hear[ready](os.read(ready, _BIGGEST))


def _put(fd: int, frame: bytes) -> None:
    os.write(fd, frame)
