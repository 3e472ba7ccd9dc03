"""The event stream: server-sent events straight from the journal.

A reader holds nothing but the id it has reached; new events only wake it and it reads on in the
journal. So a slow reader costs no memory, and between replay and live stream there is no gap.
A reader that does not take what is sent is disconnected by the server's send timeout.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import falcon
import msgspec

from vifd import errors
from vifd.api import query
from vifd.api.backend import Backend
from vifd.api.hub import Hub
from vifd.model.event import Event

LOG = logging.getLogger(__name__)

#: Seconds of silence after which a comment is sent.
KEEP_ALIVE = 15.0
#: Events read from the journal at once.
PAGE = 256
#: Readers that may follow at the same time.
MAX_FOLLOWERS = 256
MAX_ID = 2**63 - 1

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Feed:
    """Wakes everybody who waits for the next event."""

    def __init__(self, hub: Hub, backend: Backend) -> None:
        self._hub = hub
        self._backend = backend
        self._waiting: set[Future[None]] = set()
        self._announced = False
        self.stopping = False
        self.followers = 0
        self._unsubscribe: Callable[[], None] = backend.on_event(self._on_event)

    def _on_event(self, _event: Event) -> None:
        """On a native thread: one call in the hub for any number of events."""
        if not self._announced:
            self._announced = True
            self._hub.call_soon(self._wake)

    def _wake(self) -> None:
        self._announced = False
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            future.set_result(None)

    def next(self) -> Future[None]:
        """Done at the next event. Ask before reading the journal, so that none is missed."""
        future: Future[None] = Future()
        self._waiting.add(future)
        return future

    def wait(self, news: Future[None], seconds: float) -> bool:
        """Park until there is something new; whether there is."""
        try:
            self._hub.wait(news, seconds)
        except TimeoutError:
            self._waiting.discard(news)
            return False
        return True

    def look_again(self) -> None:
        """Have every reader see whether it may go on. From the hub's thread."""
        self._wake()

    def last_id(self) -> int:
        """The id of the newest event in the journal."""
        after = 0
        while page := self._backend.events(after, 1000):
            after = page[-1].id
        return after

    def stop(self) -> None:
        """End all streams."""
        self.stopping = True
        self._unsubscribe()
        self._wake()


class Events:
    """``/v1/events``"""

    def __init__(self, backend: Backend, feed: Feed, keep_alive: float = KEEP_ALIVE) -> None:
        self.backend = backend
        self.feed = feed
        self.keep_alive = keep_alive

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = query.params(req, ("after", "follow", "limit"))
        after = self._after(req, given)
        self.backend.events(after, 1)  # a journal that cannot be read is an error, not a stream
        follow = query.boolean("follow", given.get("follow", "true"))
        limit = query.integer("limit", given.get("limit", "10000"), 1, 100_000)
        if follow and self.feed.followers >= MAX_FOLLOWERS:
            raise errors.Busy(
                facts={"limit": MAX_FOLLOWERS, "what": "readers of the event stream"}, retry_after=5
            )
        resp.content_type = "text/event-stream"
        resp.set_header("Cache-Control", "no-store")
        allowed = req.context.allowed
        resp.stream = self.follow(after, allowed) if follow else self.replay(after, limit)

    def _after(self, req: falcon.Request, given: dict[str, str]) -> int:
        """Where to begin: what a browser's EventSource sends on reconnection wins."""
        last = req.get_header("Last-Event-ID")
        if last is not None:
            if not (last.isascii() and last.isdigit() and len(last) < 20):
                raise errors.BadDocument.at_field("header.Last-Event-ID", "must be a number")
            return min(int(last), MAX_ID)
        if given.get("after") == "now":
            return self.feed.last_id()
        return query.integer("after", given.get("after", "0"), 0, MAX_ID)

    def replay(self, after: int, limit: int) -> Iterator[bytes]:
        """What the journal holds now, at most ``limit`` events."""
        while limit > 0:
            page = self.backend.events(after, min(PAGE, limit))
            if not page:
                return
            yield b"".join(map(frame, page))
            after = page[-1].id
            limit -= len(page)

    def follow(self, after: int, allowed: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
        """What the journal holds, then every event as it comes, until the reader leaves.

        :param allowed: whether the reader may still read
        """
        self.feed.followers += 1
        try:
            yield b"retry: 1000\n\n"
            while not self.feed.stopping and allowed():
                news = self.feed.next()
                page = self.backend.events(after, PAGE)
                if page:
                    yield b"".join(map(frame, page))
                    after = page[-1].id
                elif not self.feed.wait(news, self.keep_alive):
                    yield b": keep-alive\n\n"
            if not allowed():
                yield b": no longer allowed\n\n"
        except errors.VifError as error:
            LOG.warning("an event stream ends after event %d: %s", after, error)
        finally:
            self.feed.followers -= 1


def frame(event: Event) -> bytes:
    """One event in the format of server-sent events; JSON has no line breaks."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.id, event.event.encode(), _encode(event))
