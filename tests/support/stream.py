"""Frames at an even pace between two guests, numbered: how many were lost, and for how long."""

from __future__ import annotations

import contextlib
import itertools
import select
import threading
import time
from collections.abc import Callable
from types import TracebackType

from vifd.testing.guests import TapGuest

#: Seconds between two frames.
PACE = 0.010
#: What the number is found behind in a frame that arrived.
_MARK = b"vifd-stream:"


def numbered(number: int) -> bytes:
    """The payload of frame ``number``."""
    return _MARK + number.to_bytes(8)


class Stream:
    """Sends a frame every 10 ms from one guest to another until it is closed.

    :param make: makes the frame that carries a payload
    :param pace: seconds between two frames. A switch in user space reads at most 32 of a port in a
        turn, and the kernel keeps about 90 for it: more slack for one whose turns are long
    """

    def __init__(
        self, sender: TapGuest, receiver: TapGuest, make: Callable[[bytes], bytes],
        pace: float = PACE,
    ) -> None:  # fmt: skip
        self._sender, self._receiver, self._make = sender, receiver, make
        self._pace = pace
        self._ending = threading.Event()
        self._silent = False
        #: monotonic time of every frame that was sent, by its number
        self.sent: list[float] = []
        #: monotonic time of arrival, by number
        self.arrived: dict[int, float] = {}
        self._threads = [
            threading.Thread(target=run, name=f"stream-{run.__name__}", daemon=True)
            for run in (self._send, self._receive)
        ]

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self, patience: float = 20.0) -> None:
        """Stop sending, and wait for what is under way, ``patience`` seconds at most."""
        self._ending.set()
        self._threads[0].join()
        end = time.monotonic() + patience
        while len(self.sent) - 1 not in self.arrived and time.monotonic() < end:
            time.sleep(0.005)
        self._silent = True
        self._threads[1].join()

    @property
    def lost(self) -> list[int]:
        """The numbers of the frames that never arrived; to be read after the end."""
        return [number for number in range(len(self.sent)) if number not in self.arrived]

    @property
    def gap(self) -> float:
        """The longest time in seconds between two frames that arrived one after the other."""
        times = sorted(self.arrived.values())
        return max((b - a for a, b in itertools.pairwise(times)), default=float("inf"))

    def _send(self) -> None:
        due = time.monotonic()
        while not self._ending.is_set():
            frame = self._make(numbered(len(self.sent)))
            self.sent.append(time.monotonic())
            with contextlib.suppress(OSError):  # the device is down: lost, as a guest's would be
                self._sender.send(frame)
            due = max(due + self._pace, time.monotonic() - self._pace)
            self._ending.wait(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        while not self._silent:
            select.select([self._receiver.fd], [], [], 0.05)
            now = time.monotonic()
            for frame in self._receiver.drain():
                _, found, rest = frame.partition(_MARK)
                if found:
                    self.arrived.setdefault(int.from_bytes(rest[:8]), now)
