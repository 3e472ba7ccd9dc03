"""Waiting for descriptors of any number.

The ``ovs`` package waits with select(), for the sake of patched programs, and select() refuses
descriptors from 1024 on: a daemon with as many clients would lose its database for good. Nothing
is patched here, so poll() does.
"""

from __future__ import annotations

import select
from typing import Protocol

import ovs.poller


class HasFileno(Protocol):
    """A socket or a file."""

    def fileno(self) -> int:
        """Its number."""


class Poll:
    """What the package asks of its poll object."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}

    def register(self, descriptor: int | HasFileno, events: int) -> None:
        """Wait for these events as well; ``select.poll`` by itself would forget earlier ones."""
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        self._masks[number] = self._masks.get(number, 0) | events

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Wait for at most so many milliseconds, -1 for ever."""
        poll = select.poll()
        for number, events in self._masks.items():
            poll.register(number, events)
        return poll.poll(timeout)


def install() -> None:
    """Have every poller of the package that is made from now on use it."""
    ovs.poller.SelectPoll = Poll
