"""Whether what is told under each topic reaches this host.

Each topic is listened to by a connection of its own, which comes back by itself after the bus was
away, and later than the one by which the server is asked: what is told in between is lost, and
nobody says so. So this host sends itself a message under each topic. What is read after that came
back misses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable

LOG = logging.getLogger(__name__)

#: So many words of one's own are known when they come late.
KEPT = 100
#: Seconds in which words may come that an earlier life of this daemon sent.
YOUNG = 30.0
#: Seconds for which a word of somebody else says that he is there: agents say one at every reading.
LATELY = 1300.0


class Echo:
    """May be used by any thread.

    :param send: sends this host alone a message under a topic, with a word; raises what the bus
        raises
    """

    def __init__(
        self, send: Callable[[str, str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        self._send = send
        self._clock = clock
        self._began = clock()
        self._words: deque[str] = deque(maxlen=KEPT)
        #: when a word was heard that this daemon did not send
        self._strange: float | None = None
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
            self._words.append(self._word)
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
            elif word not in self._words and self._clock() - self._began > YOUNG:
                if not self.stranger:
                    LOG.warning("neutron: another agent is on the bus as this host. Next: give one "
                                "of the two another [DEFAULT] host, or stop it")  # fmt: skip
                self._strange = self._clock()

    @property
    def stranger(self) -> bool:
        """Whether another agent is spoken to by this host's name: some of what is sent to the one
        reaches the other."""
        return self._strange is not None and self._clock() - self._strange < LATELY

    def forget(self, topics: Iterable[str]) -> None:
        """These are listened to no more."""
        with self._changed:
            self._silent.difference_update(topics)
            self._changed.notify_all()

    def complete(self, timeout: float = 0.0) -> bool:
        """Whether all came back, within some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._silent, timeout)
