"""The guests of libvirt on this host, kept in memory.

One native thread connects, listens and reads; it connects again by itself. Answers come from what
it last read, so that nobody waits for libvirt who does not want to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from vifd.errors import HypervisorError, JournalError
from vifd.hypervisor import Guest, GuestInterface, library
from vifd.hypervisor.inbox import Inbox, Mail
from vifd.hypervisor.roster import Roster
from vifd.hypervisor.session import Session
from vifd.hypervisor.swap import Owed, Swaps
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: What the journal calls the interfaces that are owed to guests.
NOTE = "owed to guests"
#: Seconds between attempts to connect: the first pause and the longest.
RETRY = (0.5, 5.0)
#: Seconds after which everything is read anew, whatever events came.
RESYNC = 60.0
#: A call that takes longer than this many seconds is one that nobody answers.
PATIENCE = 10.0


T = TypeVar("T")


class Notes(Protocol):
    """The part of the journal that keeps what concerns no port."""

    def remember(self, name: str, value: object) -> None: ...

    def note(self, name: str, kind: type[T]) -> T | None: ...


class LibvirtHypervisor:
    """A :class:`vifd.hypervisor.Control` by libvirt.

    :param uri: of the connection, ``qemu:///system``
    :param load: gives the binding
    :param notes: where it is kept, over restarts, what was taken out of a guest
    """

    def __init__(
        self, uri: str, *, load: Callable[[], Any] = library.load, notes: Notes | None = None
    ) -> None:
        self._uri = uri
        self._load = load
        self._inbox = Inbox()
        self._roster = Roster()
        self._notes = notes
        self._swaps = Swaps(self._present, self._roster, self._keep)
        self._session: Session | None = None
        self._lives: list[Callable[[str, str, float], None]] = []
        #: of the present connection, in messages
        self._name = object()
        self._capabilities: dict[str, Any] = {}
        self._problem = "not connected yet"
        self._calling_since: float | None = None
        self._stopping = False
        self._thread = Steady(self._run, "libvirt")

    def start(self) -> None:
        try:
            owed = self._notes.note(NOTE, list[Owed]) if self._notes is not None else None
            self._swaps.resume(owed or [])
        except JournalError as error:
            LOG.warning("%s: %s; whether a guest lacks an interface is not known", error.code,
                        error.message)  # fmt: skip
        self._thread.start()

    def _keep(self, owed: list[Owed]) -> None:
        if self._notes is not None:
            self._notes.remember(NOTE, owed)

    def close(self, timeout: float = 2.0) -> None:
        """Let go of libvirt; a call that hangs is left to itself."""
        self._stopping = True
        self._inbox.stop()
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- answers, from memory ---

    def connected(self) -> bool:
        return self._session is not None and not self._hangs()

    def interfaces(self) -> Mapping[str, GuestInterface]:
        return self._roster.interfaces

    def guests(self) -> Mapping[str, Guest]:
        return self._roster.guests

    def facts(self) -> dict[str, Any]:
        connected = self.connected()
        problem = f"no answer for {PATIENCE:g} s" if self._hangs() else self._problem
        return {
            "uri": self._uri,
            "connected": connected,
            "problem": "" if connected else problem,
            "access": self._access(),
            **self._roster.facts(),
            **self._capabilities,
        }

    def _access(self) -> str:
        """What it may be asked for."""
        session = self._session
        if session is None:
            return "none"
        return "read-only" if session.reads_only else "read-write"

    def subscribe(self, callback: Callable[[str], None]) -> None:
        self._roster.subscribe(callback)

    def on_life(self, callback: Callable[[str, str, float], None]) -> None:
        self._lives.append(callback)

    def _happened(self, guest: str, what: str) -> None:
        at = time.time()
        for callback in self._lives:
            callback(guest, what, at)

    def refresh(self, guest: str) -> Future[None]:
        if self._session is not None:
            return self._inbox.wanted(guest)
        future: Future[None] = Future()
        future.set_exception(HypervisorError(facts={"problem": self._problem}, stage="libvirt"))
        return future

    def _hangs(self) -> bool:
        since = self._calling_since
        return since is not None and time.monotonic() - since > PATIENCE

    # --- effects, on the threads of those who want them ---

    def start_guest(self, guest: str) -> None:
        self._present().start(guest)

    def reattach(self, interface: GuestInterface, timeout: float) -> None:
        self._swaps.run(interface, timeout)
        self._inbox.changed(interface.guest)

    def _present(self) -> Session:
        session = self._session
        if session is None:
            raise HypervisorError(facts={"problem": self._problem}, stage="libvirt")
        return session

    # --- the thread ---

    def _run(self) -> None:
        pauses = list(_pauses())
        tried = 0
        while not self._stopping:
            try:
                session = self._connect()
            except library.NotInstalled as error:
                self._absent(str(error))
                return
            if session is None:
                self._stopping = self._inbox.take(pauses[min(tried, len(pauses) - 1)]).stop
                tried += 1
                continue
            tried = 0
            self._use(session)

    def _connect(self) -> Session | None:
        libvirt = self._load()
        try:
            with self._timed():
                name = self._name = object()
                changed, closed = self._inbox.changed, self._inbox.closed
                return Session(libvirt, self._uri, changed, lambda: closed(name), self._happened)
        except HypervisorError as error:
            self._absent(str(error.facts["problem"]))
            return None

    def _use(self, session: Session) -> None:
        """Keep what is known true until the connection is lost."""
        try:
            self._serve(session)
        except HypervisorError as error:
            self._lost(str(error.facts["problem"]))
        except Exception as error:
            LOG.exception("reading the guests failed")
            self._lost(f"unexpected {type(error).__name__}: {error}")
        finally:
            self._session = None
            session.close()
            # Nobody shall wait for a connection that is gone.
            mail = self._inbox.take(0.0)
            mail.refuse("the connection is lost")
            self._stopping = self._stopping or mail.stop

    def _serve(self, session: Session) -> None:
        self._read_all(session)
        self._session, self._problem = session, ""
        LOG.info("connected to libvirt at %s: %d guests, %d of them run", self._uri,
                 *reversed(self._roster.facts().values()))  # fmt: skip
        if session.reads_only:
            LOG.info("libvirt lets vifd read guests and not act on them (%s): none is started at "
                     "boot, none repaired. Next: docs/boot.md, if that is wanted",
                     session.reads_only)  # fmt: skip
        self._roster.tell_all()
        threading.Thread(
            target=self._read_facts, args=(session,), name="libvirt-facts", daemon=True
        ).start()
        read_at = time.monotonic()
        while True:
            mail = self._inbox.take(max(0.1, read_at + RESYNC - time.monotonic()))
            if mail.stop or self._name in mail.closed:
                mail.refuse("the connection is lost")
                self._stopping = self._stopping or mail.stop
                self._lost("libvirt closed it, or gave no sign of life")
                return
            if time.monotonic() - read_at >= RESYNC:
                self._read_all(session)
                read_at = time.monotonic()
            self._read(session, mail)

    def _read(self, session: Session, mail: Mail) -> None:
        try:
            with self._timed():
                found = {guest: session.guest(guest) for guest in mail.guests}
        except HypervisorError as error:
            mail.refuse(str(error.facts["problem"]))
            if not session.alive():
                raise
            LOG.warning("guests cannot be read: %s", error.message)
            return
        self._roster.merge(found)
        mail.done()
        self._swaps.look()

    def _read_all(self, session: Session) -> None:
        with self._timed():
            guests = session.guests()
        self._roster.replace(guests)
        self._swaps.look()

    def _read_facts(self, session: Session) -> None:
        try:
            self._capabilities = session.facts()
        except HypervisorError as error:
            LOG.info("the capabilities of libvirt cannot be read: %s", error.message)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """While a call runs it is known since when."""
        self._calling_since = time.monotonic()
        try:
            yield
        finally:
            self._calling_since = None

    def _absent(self, problem: str) -> None:
        """Say once why there is no connection."""
        if problem != self._problem:
            LOG.info("no connection to libvirt at %s: %s; vifd goes on without it", self._uri,
                     problem)  # fmt: skip
        self._problem = problem

    def _lost(self, problem: str) -> None:
        self._problem = problem
        if not self._stopping:
            LOG.warning("the connection to libvirt is lost: %s; its guests run on", problem)


def _pauses() -> Iterator[float]:
    pause, longest = RETRY
    while pause < longest:
        yield pause
        pause *= 2
    yield longest
