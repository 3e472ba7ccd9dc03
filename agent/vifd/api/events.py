"""The event stream: server-sent events straight from the journal.

A reader holds nothing but the id it has reached; new events only wake it and it reads on in the
journal. So a slow reader costs no memory, and between replay and live stream there is no gap.
A reader that does not take what is sent is disconnected by the server's send timeout.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import falcon
import msgspec

from vifd import errors
from vifd.api import query
from vifd.api.described import ALWAYS, Answer, Call, Calls, header, parameter
from vifd.api.resource import Context, Resource
from vifd.model.event import Event

LOG = logging.getLogger(__name__)

STREAM = "text/event-stream"
#: Events read from the journal at once.
PAGE = 256
#: Readers that may follow at the same time.
MAX_FOLLOWERS = 256
MAX_ID = 2**63 - 1

_encode = msgspec.json.Encoder(enc_hook=str).encode


_ASKED = (
    parameter(
        "after", {"type": ["integer", "string"], "pattern": "^([0-9]+|now)$", "minimum": 0},
        "begin after this id; 'now' skips what is past; default 0",
    ),
    parameter("follow", {"type": "boolean", "default": True}, "go on with new events"),
    parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 10_000},
        "with follow=false: how many events at most",
    ),
    header(
        "Last-Event-ID", {"type": "integer", "minimum": 0},
        "like 'after', which it overrules: sent by a reader that connects again",
    ),
)  # fmt: skip


class Events(Resource):
    """``/v1/events``"""

    calls = Calls(
        get=Call(
            "What happens, as it happens",
            {
                200: Answer(
                    "server-sent events with ids; data is an Event", (Event,), "text/event-stream"
                )
            },
            (*ALWAYS, errors.Busy),
            _ASKED,
        )
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.feed = context.feed
        self.keep_alive = context.keep_alive

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
        resp.content_type = STREAM
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
