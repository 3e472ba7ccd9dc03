"""Writes down every frame of some devices with the kernel's time of it; a program of its own.

It runs in the network namespace of the devices: ``python wire.py OUTPUT DEVICE…``.
"""

from __future__ import annotations

import select
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ALL = 0x0003
_TIMESTAMPNS = 35
_OUTGOING = 4
_VXLAN, _GENEVE = 4789, 6081
_TYPES = {0x0806: "arp", 0x8035: "rarp", 0x86DD: "ipv6"}


class Seen(NamedTuple):
    """One frame.

    :param at: seconds since the epoch
    :param out: it was given to the device by this host; else it came from the device
    :param kind: ``arp``, ``rarp``, ``request:N``, ``reply:N``, ``tcp``, ``ipv4``, ``ipv6``…
    """

    at: float
    device: str
    out: bool
    source: str
    destination: str
    kind: str


def inner(frame: bytes) -> bytes:
    """The frame without its VLAN tag, or what a packet of VXLAN or Geneve carries."""
    if frame[12:14] == b"\x81\x00":
        frame = frame[:12] + frame[16:]
    is_udp = frame[12:14] == b"\x08\x00" and frame[23:24] == b"\x11"
    port = int.from_bytes(frame[36:38], "big") if is_udp else 0
    if port == _VXLAN:
        return frame[50:]
    # the length of its options is in words of 4 bytes
    return frame[50 + 4 * (frame[42] & 0x3F) :] if port == _GENEVE else frame


def kind_of(frame: bytes) -> str:
    """What a frame is, as far as it matters here."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype != 0x0800:
        return _TYPES.get(ethertype, f"{ethertype:04x}")
    protocol = frame[23] if len(frame) > 23 else 0
    if protocol == 1 and frame[34:35] in (b"\x08", b"\x00"):
        name = "request" if frame[34] == 8 else "reply"
        return f"{name}:{int.from_bytes(frame[40:42], 'big')}"
    return "tcp" if protocol == 6 else "ipv4"


def read(path: Path) -> Iterator[Seen]:
    """What was written down so far."""
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 6:
            at, device, out, source, destination, kind = words
            yield Seen(float(at), device, out == "out", source, destination, kind)


def _address(raw: bytes) -> str:
    return raw.hex(":")


def _line(sock: socket.socket, device: str) -> str:
    frame, ancillary, _, where = sock.recvmsg(2048, 256)
    seconds, nanoseconds = next(
        struct.unpack("qq", data) for _, name, data in ancillary if name == _TIMESTAMPNS
    )
    frame = inner(frame)
    way = "out" if where[2] == _OUTGOING else "in"
    return (
        f"{seconds}.{nanoseconds:09d} {device} {way} {_address(frame[6:12])} "
        f"{_address(frame[:6])} {kind_of(frame)}\n"
    )


def _open(device: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((device, 0))
    sock.setblocking(False)
    return sock


def main(output: str, *devices: str) -> None:
    """Write until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sockets = {_open(device): device for device in devices}
    with open(output, "a") as file:
        file.write("ready\n")
        file.flush()
        while True:
            for sock in select.select(list(sockets), [], [])[0]:
                try:
                    file.write(_line(sock, sockets[sock]))
                except (BlockingIOError, OSError):
                    # the device goes down, or is gone
                    continue
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
