"""The one place where results become visible."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from vifd import errors
from vifd.engine import notifications
from vifd.engine.bus import Bus
from vifd.engine.retries import Retries
from vifd.engine.tickets import Tickets
from vifd.engine.unsettled import Unsettled
from vifd.engine.unwritten import Unwritten
from vifd.model import Document, Parts, PortRecord
from vifd.model.event import Event
from vifd.model.setrecord import SetUpdate
from vifd.store import Change, Journal, Outgoing, Records

LOG = logging.getLogger(__name__)

#: After so many seconds the same failure is told once more.
AGAIN = 600.0
#: Without a failure for so many seconds, the next one is another one.
OVER = 120.0
NO_PARTS: Mapping[str, Parts | None] = MappingProxyType({})


class Failing:
    """What was told of a journal that cannot be written: every attempt of every port meets it, and
    the log may be on the same disk. Small changes may get through in between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text, self._told, self._last = "", 0.0, 0.0

    def is_new(self, text: str) -> bool:
        """Whether this is to be told: it is another failure, the last one was long ago, or it was
        last told long ago."""
        now, last = self._clock(), self._last
        self._last = now
        if text == self._text and now - last < OVER and now - self._told < AGAIN:
            return False
        self._text, self._told = text, now
        return True


@dataclass(frozen=True)
class Recorder:
    """Puts changes into the journal, and tells everybody whom they concern.

    :param changed: told of ports that are new, other, or gone
    :param gone: told of ports that are gone
    :param later: has a port that failed tried again after a pause
    :param statuses: what the network service shall hear of changed records
    :param outbox_changed: called when the outbox has something new
    :param refreshed: told of changes of shared sets, and of ports that sets may have a say in
    :param released: called when sets may be there that nothing refers to any more
    """

    journal: Journal
    unwritten: Unwritten
    tickets: Tickets
    bus: Bus
    retries: Retries
    unsettled: Unsettled
    changed: Callable[[Iterable[str]], None]
    gone: Callable[[Iterable[str]], None]
    later: Callable[[str], None]
    statuses: Callable[[Records, Records], Sequence[Outgoing]]
    outbox_changed: Callable[[], None]
    refreshed: Callable[[Sequence[SetUpdate], Records, Records], None]
    released: Callable[[], None]
    failing: Failing = field(default_factory=Failing)

    def accept(
        self, changes: Mapping[str, Change], parts: Mapping[str, Parts | None] = NO_PARTS,
        sets: Sequence[SetUpdate] = (),
    ) -> Records:  # fmt: skip
        """Put what callers want on disk; it survives the machine.

        :param parts: what the sides of ports say now; ``None`` forgets it
        :param sets: what becomes of shared sets
        :raises errors.JournalError: nothing was changed
        """
        try:
            return self._commit(changes, {}, {}, durable=True, parts=parts, sets=sets)
        except errors.JournalError as error:
            LOG.error("%s: %s. Next: %s", error.code, error.message, error.hint)
            raise

    def record(
        self,
        changes: Mapping[str, Change],
        errors_by_port: Mapping[str, errors.VifError] | None,
        tried: Mapping[str, Document] | None = None,
        *,
        durable: bool = False,
    ) -> Records:
        """Commit changes and tell everybody whom they concern.

        Where the journal cannot be written, nothing changes, the callers get that error, and the
        ports are tried again later; the answer is then empty.

        :param tried: the documents that the errors are about; whoever has replaced one since is not
            answered with its error, for the next attempt is about theirs
        """
        try:
            return self._commit(changes, errors_by_port or {}, tried or {}, durable=durable)
        except errors.JournalError as error:
            if self.failing.is_new(error.message):
                LOG.error("%s: %s. Next: %s", error.code, error.message, error.hint)
            self.unwritten.note(changes)
            self.tickets.fail(dict.fromkeys(changes, error))
            for port_id in changes:
                self.later(port_id)
            return {}

    def post(self, event: Event) -> None:
        """Tell the event stream of something that is no port's."""
        try:
            self.bus.publish(self.journal.post([event]))
        except errors.JournalError as error:
            LOG.warning("%s: %s", error.code, error.message)

    def _commit(
        self,
        changes: Mapping[str, Change],
        failures: Mapping[str, errors.VifError],
        tried: Mapping[str, Document],
        *,
        durable: bool,
        parts: Mapping[str, Parts | None] = NO_PARTS,
        sets: Sequence[SetUpdate] = (),
    ) -> Records:
        done = self.journal.commit(
            changes,
            events=notifications.events,
            outgoing=self.statuses,
            durable=durable,
            parts=parts,
            sets=sets,
            told=notifications.set_events,
        )
        self.unwritten.forget(done.new)
        self.changed(done.new)
        self.refreshed(done.sets, done.old, done.new)
        if done.released or done.sets:
            self.released()
        for port_id, record in done.new.items():
            error = failures.get(port_id)
            if _overtaken(record, tried.get(port_id)):
                error = None
            self._after(port_id, done.old[port_id], record, error)
        gone = [port_id for port_id, record in done.new.items() if record is None]
        if gone:
            self.gone(gone)
        self.bus.publish(done.events)
        if done.outgoing_count:
            self.outbox_changed()
        return done.new

    def _after(
        self,
        port_id: str,
        old: PortRecord | None,
        new: PortRecord | None,
        error: errors.VifError | None,
    ) -> None:
        if new is not None and error is not None:
            self.later(port_id)
        elif new is None or (new.applied and new.error is None):
            self.retries.done(port_id)
        self.unsettled.seen(port_id, old, new, error)
        self.tickets.settle(port_id, old, new, error)


def _overtaken(record: PortRecord | None, tried: Document | None) -> bool:
    """Whether another document has replaced the one that an attempt was about: that is tried next,
    and answers whoever waits."""
    return record is not None and not record.removing and tried not in (None, record.doc)
