"""Holds the daemon back after an upgrade until it is known, and allowed, what it would change.

At first nothing is changed at all: every port is read back. What would be changed of ports that
pass traffic is counted; ports that pass nothing, as after a reboot, have nothing to lose. Within
the limits the daemon goes on by itself. Above them it serves what touches no such port, and waits.
Once approved, one port is brought to the new version and proven, then all others are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from vifd import errors
from vifd.engine import Engine
from vifd.engine.differing import differences
from vifd.engine.upgrade.installed import InstalledVersions
from vifd.engine.upgrade.installed import differences as upgraded
from vifd.engine.upgrade.options import Settings
from vifd.engine.upgrade.view import Affected, State, UpgradeView, affected
from vifd.model import Document, PortRecord, Report
from vifd.model.lifecycle import Step
from vifd.model.status import settled, wants_open
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Under this name the journal remembers who installed what is on the host.
NOTE = "installed"


class Unguarded:
    """Where nothing is held back."""

    state = State.NONE

    def view(self) -> UpgradeView:
        return UpgradeView(self.state.value)

    def approve(self) -> UpgradeView:
        return self.view()

    def refuse(self, _doc: Document) -> errors.ApprovalNeeded | None:
        return None


class Guard:
    """One start's guard; asked by lanes, the API and the watcher.

    :param installed: what runs now
    :ivar state: where it is
    """

    def __init__(
        self, engine: Engine, journal: Journal, settings: Settings, installed: InstalledVersions
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._settings = settings
        self._installed = installed
        self.state = State.NONE
        self._upgraded: list[str] = []
        self._waiting: set[str] = set()
        self._exceeded = False
        #: the ports that passed traffic perhaps, with the reports of the last run
        self._before: dict[str, Report | None] = {}
        self._first: str | None = None
        self._error: dict[str, object] | None = None
        self._lock = threading.RLock()

    # --- life ---

    def begin(self) -> None:
        """Before the engine starts: is this an upgrade, and is there anything to lose?"""
        records = self._journal.records()
        used = {r.plugin for r in records.values() if r.wiring is not None}
        old = self._journal.note(NOTE, InstalledVersions)
        self._upgraded = upgraded(old, self._installed, used) if used else []
        if not self._upgraded or not self._settings.guard:
            self._remember()
            return
        LOG.warning("upgrade: %s; ports are read back before any is changed",
                    "; ".join(self._upgraded))  # fmt: skip
        self._before = {i: r.report for i, r in records.items()
                        if r.wiring and r.plugin in self._installed.plugins}  # fmt: skip
        self.state = State.MEASURING
        self._engine.restrain(on=True)

    @property
    def measuring(self) -> bool:
        """Whether it is not known yet what would change; the daemon is not ready then."""
        return self.state is State.MEASURING

    @property
    def careful(self) -> bool:
        """Whether plugins shall leave alone what they were not called for."""
        return self.state is not State.NONE

    def turn(self) -> None:
        """Now and then: judge once every port was looked at, and go on where nothing stands against
        it any more."""
        with self._lock:
            if self.state is State.MEASURING and self._engine.unsettled.ids <= self._waiting:
                self._judge()
            elif self.state is State.HELD and self._unneeded():
                self._release("what differed is gone")

    def _unneeded(self) -> bool:
        found = self._affected()
        if self._exceeded or self._unread():
            return not found and not self._unread()
        return self._settings.allow(len(found), len(self._journal.records()))

    def _judge(self) -> None:
        found, total = self._affected(), len(self._journal.records())
        unread = self._unread()
        self._exceeded = not self._settings.allow(len(found), total)
        if not self._exceeded and not unread:
            self._release(f"{len(found)} of {total} ports will be changed, which is within limits")
            return
        self.state = State.HELD
        self._engine.restrain(on=True, restore=True)
        error = self._refusal()
        LOG.error("%s: %s%s; nothing of them is touched. Next: %s", error.code, error.message,
                  f", and {len(unread)} cannot be read" if unread else "", error.hint)  # fmt: skip
        # Ports that pass nothing, and new ones that concern no affected network, are served.
        self._engine.unsettled.drop(self._waiting)
        self._engine.again(self._journal.records())

    def _unread(self) -> list[str]:
        """Ports that could not be read back since the start: they may pass traffic."""
        return [i for i, report in self._before.items()
                if (r := self._journal.get(i)) is not None and r.report is report]  # fmt: skip

    def _release(self, why: str) -> None:
        self.state = State.NONE
        self._waiting.clear()
        LOG.warning("upgrade: %s; going on", why)
        self._remember()
        records = self._journal.records()
        self._engine.unsettled.expect([i for i, r in records.items() if _unproven(r)])
        self._engine.restrain(on=False)
        self._engine.again(records)

    def _remember(self) -> None:
        try:
            if self._journal.note(NOTE, InstalledVersions) != self._installed:
                self._journal.remember(NOTE, self._installed)
        except errors.JournalError as error:
            LOG.warning("%s: %s; it is asked again after the next start",
                        error.code, error.message)  # fmt: skip

    # --- who may do what ---

    def may(self, step: Step, record: PortRecord) -> bool:
        """Whether a step of a port may be taken now; on a lane."""
        if step is Step.CHECK:
            return True
        with self._lock:
            free = not self.careful or (not self.measuring and self._harmless(step, record))
            (self._waiting.discard if free else self._waiting.add)(record.id)
            return free

    def _harmless(self, step: Step, record: PortRecord) -> bool:
        """Whether a step leaves alone what passes traffic in the old way: what is asked for must
        be, removing and roles are, and so is what has nothing in common with such a port."""
        stopped = record.report is not None and record.report.passing is False
        if record.wiring is not None and record.applied and record.open != wants_open(record):
            return True
        return step is not Step.PLUG or stopped or not self._shares(record.doc)

    def _shares(self, doc: Document) -> bool:
        """Whether ports of the document's network pass traffic in the old way, or may do so."""
        network = doc.attachment.network.id
        if any(a.network == network for a in self._affected()):
            return True
        unread = (self._journal.get(i) for i in self._unread())
        return any(r is not None and r.doc.attachment.network.id == network for r in unread)

    def holds(self, port_id: str) -> bool:
        """Whether a port waits for approval, to be changed or made; on any thread."""
        if not self.careful:
            return False
        record = self._journal.get(port_id)
        return port_id in self._waiting or (record is not None and affected(record) is not None)

    def refuse(self, doc: Document) -> errors.ApprovalNeeded | None:
        """Why a document cannot be taken now; on any thread."""
        if self.state is State.NONE:
            return None
        present = self._journal.get(doc.id)
        if present is not None and set(differences(present.doc, doc)) <= {"role"}:
            return None
        if self.state is not State.MEASURING and not self._shares(doc):
            return None
        return self._refusal(port=doc.id)

    def _refusal(self, port: str = "") -> errors.ApprovalNeeded:
        facts = {"ports": len(self._affected()), "total": len(self._journal.records()),
                 "upgraded": "; ".join(self._upgraded)}  # fmt: skip
        return errors.ApprovalNeeded(facts=facts, stage="upgrade", port=port)

    def _affected(self) -> list[Affected]:
        served = (
            r for r in self._journal.records().values() if r.plugin in self._installed.plugins
        )
        return [a for r in served if (a := affected(r)) is not None]

    # --- approval ---

    def view(self) -> UpgradeView:
        """What the API tells."""
        records = self._journal.records()
        shown = self._affected() if self.state is not State.NONE else []
        total = len(records)
        share = int(total * self._settings.max_percent / 100.0)
        return UpgradeView(
            state=self.state.value,
            upgraded=self._upgraded,
            total=total,
            allowed=max(self._settings.max_ports, share),
            affected=shown,
            waiting=sorted(self._waiting),
            unread=sorted(self._unread()) if shown or self.careful else [],
            first=self._first,
            error=self._error,
        )

    def approve(self) -> UpgradeView:
        """Begin, with one port; where nothing waits for it, nothing happens."""
        with self._lock:
            found = self._affected()
            if self.state is State.HELD and found:
                self.state, self._error = State.FIRST, None
                self._first = _first(found)
                LOG.warning("upgrade approved; port %s first, then %d others",
                            self._first, len(found) - 1)  # fmt: skip
                self._engine.lanes.plug_now(self._first, self._proven)
        return self.view()

    def _proven(self, record: PortRecord | None) -> None:
        """The first port was brought to the new version, or was not; on its lane."""
        with self._lock:
            if record is None or record.removing:
                # It went before it was proven: another one is the first.
                self.state = State.HELD
                self.approve()
                return
            if _unproven(record):
                self.state = State.HELD
                self._error = record.error
                LOG.error("upgrade: port %s, the first, is not as wanted: %s; the others stay as "
                          "they are. Next: vifctl port show %s, then --approve again",
                          record.id, (record.error or {}).get("message"), record.id)  # fmt: skip
                return
            self._release(f"port {self._first} is proven in the new way")


def _unproven(record: PortRecord) -> bool:
    clean = record.report is not None and record.report.clean
    return not (clean and record.error is None and settled(record)) and not record.removing


def _first(found: list[Affected]) -> str:
    """A port that shares its network with as few others as possible."""
    members: Mapping[str, int] = {
        a.network: sum(b.network == a.network for b in found) for a in found
    }
    return min(found, key=lambda a: (members[a.network], a.port)).port
