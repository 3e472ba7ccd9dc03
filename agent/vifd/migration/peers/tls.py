"""TLS between agents: 1.3, a certificate of either side, and a name that is expected."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Files:
    """Where the certificates are; they are read for each connection, so that they can be renewed.

    :param certificate: of this host, with what leads to the authority
    :param key: its key
    :param authority: the certificates of those who may sign peers'
    """

    certificate: str
    key: str
    authority: str

    def context(self, *, server: bool) -> ssl.SSLContext:
        """:raises OSError: a file cannot be read, or is none of these (:class:`ssl.SSLError`)"""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_verify_locations(self.authority)
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_cert_chain(self.certificate, self.key)
        return made


@dataclass(frozen=True)
class Place:
    """Where an agent is called: a host (a name or an address) and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Place:
        """``host:port`` or ``[address]:port``.

        :raises ValueError: it is neither
        """
        host, colon, port = text.strip().rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not colon or not bare or not port.isascii() or not port.isdecimal():
            raise ValueError(f"{text!r} is not host:port")
        if ":" in bare and bare == host:
            raise ValueError(f"{text!r}: an IPv6 address stands in brackets")
        if not 0 < int(port) < 65536:
            raise ValueError(f"{text!r}: no such port")
        return cls(bare, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def names(certificate: Mapping[str, Any] | None) -> set[str]:
    """The names and addresses that a certificate is for, each in one spelling."""
    found = (certificate or {}).get("subjectAltName", ())
    return {plain(value) for kind, value in found if kind in ("DNS", "IP Address")}


def plain(name: str) -> str:
    """A name or an address in the spelling that is compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def peer_of(certificate: Mapping[str, Any] | None, known: Iterable[Place]) -> str | None:
    """Which of the peers a certificate is of; ``None``: of none, whoever signed it."""
    mine = names(certificate)
    return next((place.host for place in known if plain(place.host) in mine), None)


def keep(sock: socket.socket) -> None:
    """Notice within seconds that the other side is gone, and send at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2),
                          (socket.TCP_KEEPCNT, 3), (socket.TCP_USER_TIMEOUT, 10_000)):  # fmt: skip
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


class Lines:
    """A connection, read by lines of a bounded length."""

    def __init__(self, sock: ssl.SSLSocket, longest: int) -> None:
        self.sock, self._longest, self._rest = sock, longest, b""

    def next(self) -> bytes | None:
        """The next line; ``None`` at the end, or where one is too long."""
        while b"\n" not in self._rest:
            if len(self._rest) > self._longest:
                return None
            more = self.sock.recv(self._longest)
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line if len(line) <= self._longest else None
