"""Ports that were made for a guest that never came: they go where nobody else sees to it.

A compute service unplugs in its rollback, and may be dead; a tap that nobody knows of would stay
for ever. What is said of the port meanwhile, or a guest that uses it, keeps it.

That a guest is on its way and that it failed are facts of no record: the journal keeps them beside
the ports, so that a restart of vifd changes nothing, and a migration that failed while it was down
is known as one whose guest is not here any more.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from vifd.errors import JournalError
from vifd.model import PortRecord, Role
from vifd.safety import holders

LOG = logging.getLogger(__name__)

#: The id of the request by which they go.
REQUEST = "migration-failed"
#: Seconds until the hypervisor is asked again, where it cannot be heard.
UNHEARD = 10.0
#: Seconds in which a port that was opened for its guest is closed again, and between two looks.
CLOSING, AGAIN = 30.0, 0.2
#: What the journal calls these ports.
NOTE = "guests that were to come"

T = TypeVar("T")


class Notes(Protocol):
    """The part of the journal that keeps what concerns no port."""

    def remember(self, name: str, value: object) -> None: ...

    def note(self, name: str, kind: type[T]) -> T | None: ...


class Expected(msgspec.Struct, frozen=True):
    """A port of an incoming migration.

    :param wanted: what was said of it, see :func:`wanted`
    :param failed: when the migration failed, seconds since the epoch; ``None``: it is under way
    """

    wanted: str
    failed: float | None = None


def in_use(device: str) -> bool:
    """Whether a process has a tap open, whoever that is."""
    try:
        carrier = Path("/sys/class/net", device, "carrier").read_text().strip() == "1"
    except OSError:
        carrier = False
    return carrier or holders.held(device)


@dataclass
class Abandoned:
    """Of one thread.

    :param after: seconds until such a port goes; 0 for never
    :param unplug: takes a port away: its id and the request's
    :param notes: keeps them over restarts
    :param held: whether a process has a device open
    """

    after: Callable[[], float] = lambda: 0.0
    unplug: Callable[[str, str], object] = lambda _port, _request: None
    notes: Notes | None = None
    held: Callable[[str], bool] = in_use
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _expected: dict[str, Expected] = field(default_factory=dict)
    #: by port: when it goes
    _due: dict[str, float] = field(default_factory=dict)
    _unwritten: bool = False

    # --- what is heard ---

    def expect(self, record: PortRecord) -> None:
        """A guest was started, paused, for an incoming migration."""
        self._due.pop(record.id, None)
        self._expected[record.id] = Expected(wanted(record))
        self._write()

    def expects(self, port_id: str) -> bool:
        """Whether a guest is on its way to a port."""
        one = self._expected.get(port_id)
        return one is not None and one.failed is None

    def came(self, port_id: str) -> None:
        """The guest is here. Written at the next pause: it waits for its port."""
        self._due.pop(port_id, None)
        self._unwritten |= self._expected.pop(port_id, None) is not None

    def note(self, record: PortRecord) -> float:
        """An incoming migration failed; the seconds until its port goes, 0 for never."""
        wait = self.after()
        if wait:
            self._due[record.id] = self.clock() + wait
            self._expected[record.id] = Expected(wanted(record), self.wall())
        else:
            self._expected.pop(record.id, None)
        self._write()
        return wait

    # --- over restarts ---

    def resume(self) -> None:
        """Take up what an earlier life of the daemon kept."""
        if self.notes is None:
            return
        try:
            kept = self.notes.note(NOTE, dict[str, Expected])
        except JournalError as error:
            LOG.warning("%s: %s; ports of migrations that failed stay until somebody unplugs them",
                        error.code, error.message)  # fmt: skip
            return
        self._expected = kept or {}
        for port_id, one in self._expected.items():
            wait = self.after()
            if one.failed is not None and wait:
                passed = min(max(0.0, self.wall() - one.failed), wait)
                self._due[port_id] = self.clock() + wait - passed

    def missed(self, records: Mapping[str, PortRecord], used: AbstractSet[str]) -> list[PortRecord]:
        """The ports of guests that were on their way and are not here any more, now that the
        hypervisor can be heard again."""
        gone = []
        for port_id, one in list(self._expected.items()):
            record = records.get(port_id)
            if one.failed is not None or (record is not None and self.uses(record, used)):
                continue
            if record is not None and self._stands(record, one):
                gone.append(record)
            else:
                self.came(port_id)
        return gone

    # --- what is done ---

    def pause(self) -> float | None:
        """Seconds until there may be something to do."""
        if self._unwritten:
            return 1.0
        if not self._due:
            return None
        return max(0.0, min(self._due.values()) - self.clock())

    def sweep(self, records: Mapping[str, PortRecord], used: AbstractSet[str] | None) -> None:
        """Take away what is due and still stands as it was.

        :param used: devices and sockets of guests, running or not; ``None``: it is not known
        """
        now = self.clock()
        for port_id in [p for p, at in self._due.items() if at <= now]:
            if used is None:
                self._due[port_id] = now + UNHEARD
                continue
            one, record = self._expected.get(port_id), records.get(port_id)
            if record is not None and one is not None and self._closing(record, one):
                self._due[port_id] = now + AGAIN
                continue
            self.came(port_id)
            if record is None or one is None or not self._stands(record, one):
                continue
            if self.uses(record, used):
                continue
            LOG.warning("the guest did not come and nobody unplugged its port: it goes. port=%s",
                        port_id)  # fmt: skip
            self.unplug(port_id, REQUEST)
        if self._unwritten:
            self._write()

    def _closing(self, record: PortRecord, one: Expected) -> bool:
        """Whether a port that had been opened for its guest is still being closed."""
        lately = one.failed is not None and self.wall() - one.failed < self.after() + CLOSING
        return lately and record.open and wanted(record) == one.wanted

    @staticmethod
    def _stands(record: PortRecord, one: Expected) -> bool:
        closed = record.role is Role.INACTIVE and not record.removing and not record.open
        return closed and wanted(record) == one.wanted

    def uses(self, record: PortRecord, used: AbstractSet[str]) -> bool:
        """Whether somebody has a port's device.

        :param used: devices and sockets of guests, running or not
        """
        device = record.wiring.device if record.wiring is not None else ""
        path = record.vif.socket_path if record.vif is not None else ""
        return bool({device, path} & used - {""}) or (bool(device) and self.held(device))

    def _write(self) -> None:
        self._unwritten = False
        if self.notes is None:
            return
        try:
            self.notes.remember(NOTE, self._expected)
        except JournalError as error:
            LOG.warning("%s: %s; a restart forgets which migrations failed", error.code,
                        error.message)  # fmt: skip


def wanted(record: PortRecord) -> str:
    """What somebody says of a port, but for its role: a digest of it."""
    said = {k: v for k, v in record.doc.raw.items() if k != "role"}
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()
