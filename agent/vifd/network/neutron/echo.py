"""Whether what is told under each topic reaches this host.

Each topic is listened to by a connection of its own, which comes back by itself after the bus was
away, and later than the one by which the server is asked: what is told in between is lost, and
nobody says so. So this host sends itself a message under each topic. What is read after that came
back misses nothing.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable


class Echo:
    """May be used by any thread.

    :param send: sends this host alone a message under a topic, with a word; raises what the bus
        raises
    """

    def __init__(self, send: Callable[[str, str], None]) -> None:
        self._send = send
        self._word = ""
        self._silent: set[str] = set()
        self._changed = threading.Condition()

    @property
    def silent(self) -> list[str]:
        """The topics under which nothing came back yet."""
        with self._changed:
            return sorted(self._silent)

    def call(self, topics: Iterable[str]) -> None:
        """Begin: what comes back from now on was sent from now on.

        :raises Exception: the bus is away
        """
        with self._changed:
            self._word, self._silent = uuid.uuid4().hex, {*topics}
        self.repeat()

    def repeat(self) -> None:
        """Send once more what did not come back: where nobody listened it is lost.

        :raises Exception: the bus is away
        """
        for topic in self.silent:
            self._send(topic, self._word)

    def heard(self, topic: str, word: str) -> None:
        """Something came back."""
        with self._changed:
            if word == self._word:
                self._silent.discard(topic)
                self._changed.notify_all()

    def forget(self, topics: Iterable[str]) -> None:
        """These are listened to no more."""
        with self._changed:
            self._silent.difference_update(topics)
            self._changed.notify_all()

    def complete(self, timeout: float = 0.0) -> bool:
        """Whether all came back, within some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._silent, timeout)
