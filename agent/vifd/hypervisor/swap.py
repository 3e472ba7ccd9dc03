"""Taking an interface out of a running guest and putting the same one back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from msgspec import Struct

from vifd.errors import GuestRepairFailed, HypervisorError, JournalError
from vifd.hypervisor import GuestInterface
from vifd.hypervisor.roster import Roster
from vifd.hypervisor.session import Session

LOG = logging.getLogger(__name__)

#: Pauses in seconds before the interface is offered to the guest again.
_AGAIN = (0.2, 0.5, 1.0, 2.0, 4.0)


class Owed(Struct, frozen=True):
    """An exchange as the journal keeps it: what must be in the guest again.

    :param xml: the interface as libvirt described it
    """

    interface: GuestInterface
    xml: str


class Swap:
    """One such exchange. The interface's XML is kept until it is back in the guest.

    :ivar asked: whether the guest was asked to let go; from then on it may, at any time
    :ivar given_up: nobody waits for the guest any more
    :ivar inherited: a daemon before this one began it
    """

    def __init__(self, interface: GuestInterface, xml: str) -> None:
        self.interface = interface
        self.xml = xml
        self.asked = self.given_up = self.inherited = False

    def take_out(self, session: Session, roster: Roster, timeout: float) -> None:
        """Ask the guest to let go, and wait until it has.

        :raises HypervisorError: libvirt refused; nothing was changed
        :raises GuestRepairFailed: the guest keeps the device
        """
        deadline = time.monotonic() + timeout
        session.detach(self.interface.guest, self.xml)
        self.asked = True
        with roster.changed:
            left = max(0.0, deadline - time.monotonic())
            if not roster.changed.wait_for(lambda: roster.without(self.interface), left):
                self.given_up = True
                raise self._failed(f"the guest did not let go of it within {timeout:.1f} s; it has "
                                   "been left as it was")  # fmt: skip

    def put_back(self, session: Callable[[], Session]) -> None:
        """Attach the interface, again and again where it fails.

        :param session: the present connection, or :class:`HypervisorError`
        :raises GuestRepairFailed: it is out of the guest and cannot be put back
        """
        failure = HypervisorError(facts={"problem": "not tried"})
        for pause in (0.0, *_AGAIN):
            time.sleep(pause)
            try:
                session().attach(self.interface.guest, self.xml)
            except HypervisorError as error:
                failure = error
            else:
                return
        problem = f"it was taken out, and cannot be put back: {failure.facts['problem']}"
        raise self._failed(problem) from failure

    def _failed(self, problem: str) -> GuestRepairFailed:
        facts = {
            "device": self.interface.device,
            "guest": self.interface.name or self.interface.guest,
            "problem": problem,
            "interface": self.xml,
        }
        return GuestRepairFailed(facts=facts, stage="guest")


class Swaps:
    """Every exchange that is under way.

    A guest that was asked to let go of a device may do so after everybody has given up waiting: it
    would then be without it. So the exchange is kept, and ended whenever that happens; also by the
    next daemon, where this one is killed in the middle.

    :param session: the present connection, or :class:`HypervisorError`
    :param keep: puts all that is owed to guests on disk, before anything is taken out
    """

    def __init__(
        self, session: Callable[[], Session], roster: Roster, keep: Callable[[list[Owed]], None]
    ) -> None:
        self._session = session
        self._roster = roster
        self._keep = keep
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Swap] = {}

    def resume(self, owed: Iterable[Owed]) -> None:
        """Take over what a daemon before this one owed; ended once its guest is read."""
        for each in owed:
            swap = Swap(each.interface, each.xml)
            swap.asked = swap.given_up = swap.inherited = True
            self._open[each.interface.guest, each.interface.mac] = swap

    def run(self, interface: GuestInterface, timeout: float) -> None:
        """See :meth:`vifd.hypervisor.Control.reattach`."""
        session = self._session()
        swap = Swap(interface, session.definition(interface))
        key = (interface.guest, interface.mac)
        with self._lock:
            present = self._open.get(key)
            if present is not None and not present.given_up:
                problem = f"a repair of {interface.device} is under way"
                raise HypervisorError(facts={"problem": problem}, stage="guest")
            self._open[key] = swap
        try:
            self._write()
            swap.take_out(session, self._roster, timeout)
            self._put_back(swap)
        finally:
            if not swap.given_up:
                self._end(key)

    def _put_back(self, swap: Swap) -> None:
        """A guest stays without it where libvirt fails or is away: it is owed until it is back."""
        try:
            swap.put_back(self._session)
        except GuestRepairFailed:
            swap.given_up = True
            raise

    def look(self) -> None:
        """End what was given up and is possible now; on the thread that reads the guests."""
        for key, swap in list(self._open.items()):
            guest = self._roster.guests.get(key[0])
            if not swap.given_up:
                continue
            if guest is None or not guest.running:
                self._end(key)
            elif self._roster.without(swap.interface):
                swap.given_up = False
                threading.Thread(target=self._finish, args=(key, swap), name="guest-late").start()
            elif swap.inherited:
                # Taken out by somebody later, it shall stay out.
                self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._open.pop(key, None)
        try:
            self._write()
        except JournalError as error:
            # The next daemon finds the interface in its guest, and has nothing to do.
            LOG.warning("%s: %s", error.code, error.message)

    def _write(self) -> None:
        with self._lock:
            self._keep([Owed(s.interface, s.xml) for s in self._open.values()])

    def _finish(self, key: tuple[str, str], swap: Swap) -> None:
        where = swap.interface
        try:
            self._put_back(swap)
            LOG.warning("guest %s let go of %s late; it is back", where.name, where.device)
        except GuestRepairFailed as error:
            LOG.error(
                "%s: %s. Next: %s. The interface: %s", error.code, error.message, error.hint,
                swap.xml,
            )  # fmt: skip
        else:
            self._end(key)
