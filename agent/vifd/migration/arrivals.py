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
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

from vifd.hypervisor import Guest, GuestInterface
from vifd.migration.abandoned import Abandoned
from vifd.migration.book import COMING, Book
from vifd.migration.frames import FrameWatch
from vifd.migration.peers.peers import REQUEST as PEER
from vifd.migration.peers.wire import Kind
from vifd.migration.timeline import Time
from vifd.model import Phase, PortRecord, Role
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: What the hypervisor may say by which a guest is known to run here from now on.
RESUMED = frozenset({"resumed: migrated", "resumed: postcopy"})
#: The guest stopped here, to go on elsewhere.
LEFT = frozenset({"suspended: migrated", "suspended: postcopy"})
FAILED = "stopped: failed"
#: A guest has ended. If it was still to come its migration failed: libvirt destroys it where the
#: connection of who moves it is lost, as with the power of the host that it leaves.
ENDED = frozenset({"stopped: destroyed", "stopped: crashed", "stopped: shutdown"})
#: The memory of a guest that leaves is copied.
MOVING = "moving"
#: The request id of what is done on its word.
REQUEST = "libvirt-resumed"
_HEARD = "heard"
#: A guest announces itself at a closed port; the request id of what is done on its word.
_ANNOUNCED = "announced"
FRAME = "guest-frame"


@dataclass(frozen=True)
class Happening:
    """Something that happened to a guest.

    :param what: ``resumed: migrated``, ``suspended: postcopy``, ``stopped: failed``…
    :param at: seconds since the epoch
    :param port: at which it happened, where the guest is not known
    """

    guest: str
    what: str
    at: float
    port: str = ""


def ports_of_guest(
    guest: str, records: Mapping[str, PortRecord], interfaces: Iterable[GuestInterface]
) -> list[PortRecord]:
    """The ports of a guest: by its interfaces, and by the instance that documents name. Pure."""
    mine = [i for i in interfaces if i.guest == guest]
    devices = {i.device for i in mine}
    named = {i.port for i in mine}
    return [
        r for r in records.values()
        if (r.doc.attachment.instance_id == guest or r.id in named or _has(r, devices))
        and not r.removing
    ]  # fmt: skip


def _has(record: PortRecord, devices: AbstractSet[str]) -> bool:
    """Whether a port has one of these. It is asked of every port while a guest waits for its own:
    a generator here costs a millisecond per thousand."""
    wiring, names, vif = record.wiring, record.names, record.vif
    return (
        (wiring is not None and wiring.device in devices)
        or (names is not None and names.device in devices)
        or (vif is not None and vif.socket_path in devices)
    )


def _nothing(*_: object) -> None:
    """For whom nobody is told."""


@dataclass(frozen=True)
class Departures:
    """What is done about guests that leave this host, or try to.

    :param say: tells the agents of other hosts: the port, ``suspended`` or ``resumed``, and since
        when the guest has not sent
    :param announce: has the networks told once more where a port is
    :param deactivate: closes a port: its id and the request's
    """

    say: Callable[[PortRecord, Kind, Time | None], object] = _nothing
    announce: Callable[[PortRecord], object] = _nothing
    deactivate: Callable[[str, str], object] = _nothing


@dataclass
class Arrivals:
    """The thread.

    :param records: the ports of this host
    :param interfaces: those of all guests, from memory
    :param guests: all guests, from memory
    :param activate: opens a port: its id and the request's
    :param enabled: whether ports are opened on the hypervisor's word
    :param abandoned: what becomes of ports whose incoming migration failed
    :param frames: looks when the last frame leaves a port, and when the first one passes
    :param hears: whether the hypervisor can be heard, so that what is known of guests is so
    """

    book: Book
    records: Callable[[], Mapping[str, PortRecord]]
    interfaces: Callable[[], Iterable[GuestInterface]]
    guests: Callable[[], Iterable[Guest]]
    activate: Callable[[str, str], object]
    enabled: Callable[[], bool] = lambda: True
    departures: Departures = field(default_factory=Departures)
    abandoned: Abandoned = field(default_factory=Abandoned)
    frames: FrameWatch | None = None
    hears: Callable[[], bool] = lambda: True
    #: ports whose guest stopped here to go on elsewhere
    _left: set[str] = field(default_factory=set)
    _queue: SimpleQueue[Happening | None] = field(default_factory=SimpleQueue)
    _thread: Steady | None = None

    def start(self) -> None:
        self.abandoned.resume()
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

    def announced(self, port_id: str) -> None:
        """Told of each port at which a guest announces itself; never blocks."""
        self._queue.put(Happening("", _ANNOUNCED, time.time(), port_id))

    def _run(self) -> None:
        while True:
            try:
                one = self._queue.get(timeout=self.abandoned.pause())
            except Empty:
                self._attempt("ports of failed migrations", self._sweep)
                continue
            if one is None:
                return
            self._attempt(f"what happened to guest {one.guest}", partial(self.take, one))

    @staticmethod
    def _attempt(what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            LOG.exception("%s: not acted on", what)

    def _sweep(self) -> None:
        self.abandoned.sweep(self.records(), self._used() if self.hears() else None)

    def _used(self) -> set[str]:
        return {i.device for i in self.interfaces()}

    def take(self, one: Happening) -> None:
        """Note what happened, and open the ports of a guest that runs here now."""
        if one.what == _HEARD:
            for guest in self.guests():
                if guest.arrived:
                    self._found(guest, one.at)
            self._missed()
            return
        if one.what == _ANNOUNCED:
            self._spoke(one)
            return
        for record in ports_of_guest(one.guest, self.records(), self.interfaces()):
            if one.what in ENDED and not self.abandoned.expects(record.id):
                continue
            self._follow(record, one)
            if one.what == MOVING:
                continue
            self.book.guest(record.id, one.what, one.at)
            if one.what == COMING and record.role is Role.INACTIVE:
                self.abandoned.expect(record)
            elif one.what in RESUMED:
                self.abandoned.came(record.id)
            if record.role is Role.ACTIVE:
                self._of_active(record, one)
            elif one.what in RESUMED and self.enabled():
                LOG.info("guest %s runs here now (%s): its port is opened. port=%s", one.guest,
                         one.what, record.id)  # fmt: skip
                self.activate(record.id, REQUEST)
            elif one.what == FAILED or one.what in ENDED:
                self._failed(record, one)

    def _follow(self, record: PortRecord, one: Happening) -> None:
        """Have the frames of a guest that is about to move looked at."""
        if self.frames is None or record.wiring is None:
            return
        coming = one.what == COMING and record.role is Role.INACTIVE
        if coming or (one.what == MOVING and record.role is Role.ACTIVE):
            self.frames.follow(record.id, record.wiring.device, coming=coming)
        elif one.what.startswith("stopped"):
            self.frames.forget(record.id)

    def _quiet(self, record: PortRecord) -> Time | None:
        return self.frames.quiet(record.id) if self.frames is not None else None

    def _of_active(self, record: PortRecord, one: Happening) -> None:
        """A guest leaves, or does not after all; or one that was expected does not come."""
        if one.what in LEFT:
            self._left.add(record.id)
            self.departures.say(record, "suspended", self._quiet(record))
        elif one.what in RESUMED and record.id in self._left:
            self._left.discard(record.id)
            LOG.warning("guest %s runs on here: its migration failed; the networks are told anew "
                        "where it is. port=%s", one.guest, record.id)  # fmt: skip
            self.departures.say(record, "resumed", None)
            self.departures.announce(record)
        elif one.what.startswith("stopped"):
            self._left.discard(record.id)
            came_not = one.what == FAILED or one.what in ENDED
            if came_not and record.request_id.startswith(PEER):
                self.departures.deactivate(record.id, record.request_id)
                self._failed(record, one)

    def _failed(self, record: PortRecord, one: Happening) -> None:
        wait = self.abandoned.note(record)
        LOG.warning(
            "guest %s: the migration to this host failed; its port stays here, closed%s. Next: who "
            "asked for it unplugs it (nova does), or vifctl port unplug %s. port=%s", one.guest,
            f", and goes in {wait:g} s if nobody uses it" if wait else "", record.id, record.id,
        )  # fmt: skip

    def _spoke(self, one: Happening) -> None:
        """A guest announces itself at a port; that is opened where its binding waits for it."""
        record = self.records().get(one.port)
        if record is None or record.role is not Role.INACTIVE or record.phase is not Phase.READY:
            return
        problem = self._unlikely(record)
        if problem:
            LOG.warning("a guest announces itself at a port that waits for its guest, and %s: the "
                        "port stays closed. Next: vifctl port activate %s, if it is its guest. "
                        "port=%s", problem, record.id, record.id)  # fmt: skip
            return
        LOG.info("the guest announces itself: its port is opened. port=%s", record.id)
        self.book.guest(record.id, "announced itself", one.at)
        self.activate(record.id, FRAME)

    def _unlikely(self, record: PortRecord) -> str:
        """Why a guest at a port is not the one that it waits for; empty where it may be."""
        if not self.hears() or self.abandoned.expects(record.id):
            return ""
        for guest in self.guests():
            mine = ports_of_guest(guest.id, {record.id: record}, guest.interfaces)
            if mine and guest.running:
                return "" if guest.arrived else f"libvirt says that {guest.name} was started here"
        return "libvirt knows of none that runs there"

    def _missed(self) -> None:
        """Guests were on their way here and are gone: nobody was there to hear that they failed."""
        if not self.hears():
            return
        records, used = self.records(), self._used()
        for record in records.values():
            if self._of_peer(record) and not self.abandoned.uses(record, used):
                self.departures.deactivate(record.id, record.request_id)
                self._lost(record)
        for record in self.abandoned.missed(records, used):
            self._lost(record)

    def _of_peer(self, record: PortRecord) -> bool:
        """Whether a port was opened on a peer's word alone, for a guest that is still to come."""
        told = record.role is Role.ACTIVE and record.request_id.startswith(PEER)
        return told and self.abandoned.expects(record.id)

    def _lost(self, record: PortRecord) -> None:
        self._failed(record, Happening(record.doc.attachment.instance_id, FAILED, time.time()))

    def _found(self, guest: Guest, at: float) -> None:
        """A guest had come before it could be heard. A port that was open here and was closed since
        is not for that to open."""
        for record in ports_of_guest(guest.id, self.records(), self.interfaces()):
            self.abandoned.came(record.id)
            waits = record.role is Role.INACTIVE and record.phase is Phase.READY
            if waits and self.enabled():
                LOG.info("guest %s runs here since a migration: its port is opened. port=%s",
                         guest.id, record.id)  # fmt: skip
                self.book.guest(record.id, "found running: migrated", at)
                self.activate(record.id, REQUEST)
