"""What the hypervisor says of guests that come, go, or stay after all.

libvirt's events come on its own thread, which may neither block nor log: they are put into a queue,
and one thread acts on them. That a guest runs here is a fact and no opinion: a port whose binding
is INACTIVE is opened for it, whoever has yet to say so. A guest that was only started for an
incoming migration is paused and says nothing of this.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue

from vifd.hypervisor import Guest, GuestInterface
from vifd.migration.book import Book
from vifd.model import Phase, PortRecord, Role
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: What the hypervisor may say by which a guest is known to run here from now on.
RESUMED = frozenset({"resumed: migrated", "resumed: postcopy"})
FAILED = "stopped: failed"
#: The request id of what is done on its word.
REQUEST = "libvirt-resumed"
_HEARD = "heard"


@dataclass(frozen=True)
class Happening:
    """Something that happened to a guest.

    :param what: ``resumed: migrated``, ``suspended: postcopy``, ``stopped: failed``…
    :param at: seconds since the epoch
    """

    guest: str
    what: str
    at: float


def ports_of_guest(
    guest: str, records: Mapping[str, PortRecord], interfaces: Iterable[GuestInterface]
) -> list[PortRecord]:
    """The ports of a guest: by its interfaces, and by the instance that documents name. Pure."""
    mine = [i for i in interfaces if i.guest == guest]
    devices = {i.device for i in mine}
    named = {i.port for i in mine}
    return [
        r for r in records.values()
        if not r.removing and (
            r.doc.attachment.instance_id == guest or r.id in named
            or any(d.device in devices for d in (r.wiring, r.names) if d is not None)
            or (r.vif is not None and r.vif.socket_path in devices)
        )
    ]  # fmt: skip


@dataclass
class Arrivals:
    """The thread.

    :param records: the ports of this host
    :param interfaces: those of all guests, from memory
    :param guests: all guests, from memory
    :param activate: opens a port: its id and the request's
    :param enabled: whether ports are opened on the hypervisor's word
    """

    book: Book
    records: Callable[[], Mapping[str, PortRecord]]
    interfaces: Callable[[], Iterable[GuestInterface]]
    guests: Callable[[], Iterable[Guest]]
    activate: Callable[[str, str], object]
    enabled: Callable[[], bool] = lambda: True
    _queue: SimpleQueue[Happening | None] = field(default_factory=SimpleQueue)
    _thread: Steady | None = None

    def start(self) -> None:
        self._thread = Steady(self._run, "arrivals")
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._queue.put(None)
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(timeout)

    def happened(self, guest: str, what: str, at: float) -> None:
        """Told of each event; never blocks."""
        self._queue.put(Happening(guest, what, at))

    def changed(self, device: str) -> None:
        """Told of changes of guests; the empty string stands for all, as when the hypervisor can be
        heard again: what it said meanwhile is lost."""
        if not device:
            self._queue.put(Happening("", _HEARD, time.time()))

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            try:
                self.take(one)
            except Exception:
                LOG.exception("what happened to guest %s is not acted on", one.guest)

    def take(self, one: Happening) -> None:
        """Note what happened, and open the ports of a guest that runs here now."""
        if one.what == _HEARD:
            for guest in self.guests():
                if guest.arrived:
                    self._found(guest, one.at)
            return
        for record in ports_of_guest(one.guest, self.records(), self.interfaces()):
            self.book.guest(record.id, one.what, one.at)
            if one.what in RESUMED and self.enabled() and record.role is Role.INACTIVE:
                LOG.info("guest %s runs here now (%s): its port is opened. port=%s", one.guest,
                         one.what, record.id)  # fmt: skip
                self.activate(record.id, REQUEST)
            elif one.what == FAILED and record.role is Role.INACTIVE:
                LOG.warning(
                    "guest %s: the migration to this host failed; its port stays here, closed. "
                    "Next: who asked for it unplugs it (nova does), or vifctl port unplug %s. "
                    "port=%s", one.guest, record.id, record.id,
                )  # fmt: skip

    def _found(self, guest: Guest, at: float) -> None:
        """A guest had come before it could be heard. A port that was open here and was closed since
        is not for that to open."""
        for record in ports_of_guest(guest.id, self.records(), self.interfaces()):
            waits = record.role is Role.INACTIVE and record.phase is Phase.READY
            if waits and self.enabled():
                LOG.info("guest %s runs here since a migration: its port is opened. port=%s",
                         guest.id, record.id)  # fmt: skip
                self.book.guest(record.id, "found running: migrated", at)
                self.activate(record.id, REQUEST)
