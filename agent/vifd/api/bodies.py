"""Large bodies: decoded on a thread of their own, and only so many at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from vifd import errors
from vifd.api.auth import Access
from vifd.api.hub import Hub
from vifd.safety.steady import Steady

T = TypeVar("T")

#: Large bodies that are read or decoded at a time. Each may take so much memory that those who may
#: only read must not have all of it.
PLACES = {Access.WRITE: 16, Access.NETWORK: 16, Access.COMPUTE: 8, Access.READ: 4}
#: Seconds after which one that is asked to come again may do so.
SOON = 1.0


class Bodies:
    """Has large bodies decoded while the event loop goes on."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._taken: Counter[Access] = Counter()
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: Steady | None = None

    @contextmanager
    def place(self, access: Access) -> Iterator[None]:
        """Take one of the places.

        :raises errors.Busy: there is none
        """
        limit = PLACES.get(access, 0)
        if self._taken[access] >= limit:
            raise errors.Busy(facts={"limit": limit, "what": "large bodies"}, retry_after=SOON)
        self._taken[access] += 1
        try:
            yield
        finally:
            self._taken[access] -= 1

    def apart(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises; other green threads go on meanwhile."""
        if self._thread is None:
            self._thread = Steady(self._run, "bodies")
            self._thread.start()
        future: Future[T] = Future()
        self._work.put((future, work))
        return self._hub.wait(future)

    def stop(self) -> None:
        """End the thread after what waits."""
        if self._thread is not None:
            self._work.put(None)

    def _run(self) -> None:
        while (job := self._work.get()) is not None:
            future, work = job
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)
