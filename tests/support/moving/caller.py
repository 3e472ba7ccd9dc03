"""Who talks to the guest from a third place: pings every 10 ms, and one TCP connection.

A program of its own: ``python caller.py OUTPUT GUEST [ADDRESS SECONDS]``. The guest calls port 7000
of that address and is sent a line every so many seconds; it sends nothing but what it is asked for.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

#: Seconds between two pings, and between two lines.
PERIOD = 0.01
PORT = 7000
_TIMESTAMPNS = 35


class Heard(NamedTuple):
    """What became of the calls.

    :param sent: by number of a ping, when it was sent
    :param answers: number and time of every answer, in the order in which they came
    :param tcp: when the peer had taken everything that it was sent
    :param ends: what ended a connection, with its time
    """

    sent: dict[int, float]
    answers: list[tuple[int, float]]
    tcp: list[float]
    ends: list[tuple[float, str]]


class Reader:
    """Reads what is written down, and each line once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heard = Heard({}, [], [], [])
        self._read = 0

    def read(self) -> Heard:
        """What was written down so far."""
        if not self._path.exists():
            return self._heard
        with self._path.open() as file:
            file.seek(self._read)
            whole, end, _begun = file.read().rpartition("\n")
        self._read += len(whole + end)
        for line in whole.splitlines():
            self._take(line)
        return self._heard

    def _take(self, line: str) -> None:
        match line.split(maxsplit=2):
            case ["ping", number, at]:
                self._heard.sent[int(number)] = float(at)
            case ["pong", number, at]:
                self._heard.answers.append((int(number), float(at)))
            case ["taken", at]:
                self._heard.tcp.append(float(at))
            case ["end", at, why]:
                self._heard.ends.append((float(at), why))


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return 0xFFFF - ((total + (total >> 16)) & 0xFFFF)


def _request(identity: int, number: int) -> bytes:
    body = struct.pack("!BBHHHQ", 8, 0, 0, identity, number & 0xFFFF, number)
    return body[:2] + struct.pack("!H", _checksum(body)) + body[4:]


def _ping(sock: socket.socket, address: str, period: float, note: Callable[[str], None]) -> None:
    number, due = 0, time.monotonic()
    while True:
        note(f"ping {number} {time.time():.6f}")
        try:
            sock.sendto(_request(os.getpid() & 0xFFFF, number), (address, 0))
        except OSError as error:
            note(f"error {time.time():.6f} {error}")
        number += 1
        due = max(due + period, time.monotonic() - 10 * period)
        time.sleep(max(0.0, due - time.monotonic()))


def _hear(sock: socket.socket, note: Callable[[str], None]) -> None:
    while True:
        packet, ancillary, _, _ = sock.recvmsg(2048, 256)
        (seconds, nanoseconds), *_ = [
            struct.unpack("qq", data) for _, name, data in ancillary if name == _TIMESTAMPNS
        ]
        kind, _, _, identity, _, number = struct.unpack_from("!BBHHHQ", packet, 20)
        if kind == 0 and identity == os.getpid() & 0xFFFF:
            note(f"pong {number} {seconds}.{nanoseconds:09d}")


def _serve(address: str, period: float, note: Callable[[str], None]) -> None:
    server = socket.create_server((address, PORT))
    while True:
        peer, _ = server.accept()
        threading.Thread(target=_talk, args=(peer, period, note), daemon=True).start()


def _talk(peer: socket.socket, period: float, note: Callable[[str], None]) -> None:
    number = 0
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                peer.send(b"%d\n" % number)
                number += 1
                time.sleep(period)
                left = struct.unpack("i", fcntl.ioctl(peer, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
                if left == 0:
                    note(f"taken {time.time():.6f}")
        except OSError as error:
            note(f"end {time.time():.6f} {error}")


def main(output: str, guest: str, address: str = "0.0.0.0", seconds: str = str(PERIOD)) -> None:
    """Talk until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    file = open(output, "a", buffering=1)  # noqa: SIM115 - of the whole program

    def note(line: str) -> None:
        file.write(line + "\n")

    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    sock.bind((address, 0))
    period = float(seconds)
    threading.Thread(target=_serve, args=(address, period, note), daemon=True).start()
    threading.Thread(target=_hear, args=(sock, note), daemon=True).start()
    _ping(sock, guest, period, note)


if __name__ == "__main__":
    main(*sys.argv[1:])
