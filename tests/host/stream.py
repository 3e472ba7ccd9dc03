"""Guests that talk to each other: run on the host that boots, with its own Python and nothing else.

``stream.py FILE``: FILE has ``{"pairs": [[device, device, frame as hex], …]}``. Each pair's first
device sends its frame with a running number at the end, and the second one counts what arrives.
``FILE.ready`` says that every pair has been heard and counting began, ``FILE.stop`` ends it, and
``FILE.result`` has what was sent, what arrived, and the longest silence of any pair in ms.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import selectors
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 2, 0x1000
#: Seconds between two frames of a pair, and for the last ones to arrive.
PAUSE, LAST = 0.04, 60.0


@functools.cache
def opened(device: str) -> int:
    """The guest's end of a tap."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    return fd


class Pair:
    """A guest that sends and one that counts."""

    def __init__(self, sender: str, receiver: str, frame: str) -> None:
        self.sender, self.receiver, self.frame = (
            opened(sender),
            opened(receiver),
            bytes.fromhex(frame),
        )
        self.name = f"{sender} to {receiver}"
        self.reset()

    def reset(self) -> None:
        self.sent, self.silence, self.heard = 0, 0.0, time.monotonic()
        self.arrived: set[bytes] = set()

    def send(self) -> None:
        number = struct.pack("!Q", self.sent)
        os.write(self.sender, self.frame[:-8] + number)
        self.sent += 1

    def read(self) -> None:
        while True:
            try:
                frame = os.read(self.receiver, 2048)
            except BlockingIOError:
                return
            if frame[:-8] == self.frame[:-8]:
                now = time.monotonic()
                self.silence, self.heard = max(self.silence, now - self.heard), now
                self.arrived.add(frame[-8:])


def run(path: str) -> None:
    """See the module."""
    with open(path) as file:
        pairs = [Pair(*pair) for pair in json.load(file)["pairs"]]
    selector = selectors.DefaultSelector()
    for pair in pairs:
        selector.register(pair.receiver, selectors.EVENT_READ, pair.read)
    while not all(pair.arrived for pair in pairs):
        turn(selector, pairs)
    settle(selector, pairs)
    for pair in pairs:
        pair.reset()
    open(path + ".ready", "w").close()
    while not os.path.exists(path + ".stop"):
        turn(selector, pairs)
    settle(selector, pairs)
    tell(path + ".result", pairs)


def turn(selector: selectors.BaseSelector, pairs: list[Pair]) -> None:
    """One frame of each pair."""
    for pair in pairs:
        pair.send()
    listen(selector, PAUSE)


def settle(selector: selectors.BaseSelector, pairs: list[Pair]) -> None:
    """Wait for what is under way; give up on it only after long."""
    end = time.monotonic() + LAST
    while any(len(p.arrived) < p.sent for p in pairs) and time.monotonic() < end:
        if not listen(selector, PAUSE) and time.monotonic() > end - LAST + 5:
            return


def listen(selector: selectors.BaseSelector, seconds: float) -> bool:
    """Take what arrives for so long."""
    end, some = time.monotonic() + seconds, False
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            key.data()
            some = True
    return some


def tell(path: str, pairs: list[Pair]) -> None:
    """Write the counts."""
    lost = {p.name: p.sent - len(p.arrived) for p in pairs if p.sent != len(p.arrived)}
    counts = {"sent": sum(p.sent for p in pairs), "arrived": sum(len(p.arrived) for p in pairs),
              "lost": lost, "silence_ms": round(1000 * max(p.silence for p in pairs))}  # fmt: skip
    with open(path + ".new", "w") as file:
        json.dump(counts, file)
    os.rename(path + ".new", path)


if __name__ == "__main__":
    run(sys.argv[1])
