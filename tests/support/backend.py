"""A daemon without a host, for tests of the API: it keeps ports and resolves on a native thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from support.hosting import FakeHost
from support.moves import FakeMoves
from support.portbook import FEATURES, report_of
from support.recycling import Recycling
from support.setbook import SetBook
from support.sidebook import SideBook
from vifd import errors
from vifd.capabilities import enforcement
from vifd.capabilities.enforcement import Enforcement
from vifd.engine.sums import Sums
from vifd.engine.ticket import Ticket
from vifd.engine.upgrade.view import UpgradeView
from vifd.explain import Explanation, Subject, explain
from vifd.guests import Prepared, Repaired
from vifd.guests.matching import ports_of
from vifd.guests.preparing import PreparedPort
from vifd.hypervisor import GuestInterface
from vifd.migration.timeline import Migration
from vifd.model import Document, Evidence, PortRecord
from vifd.model.counted import Counted, Counters, Passage
from vifd.model.family import Families, Family
from vifd.plugin import Advert
from vifd.plugin.inspection import Check, Inspection
from vifd.testing.wait import PATIENCE


class FakeGuests:
    """Guests that do as they are told."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def prepare(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, timeout: float
    ) -> Future[Prepared]:
        del request_id, timeout
        future: Future[Prepared] = Future()

        def do() -> None:
            self._daemon._running.wait()
            with self._daemon._lock:
                ours = ports_of(interfaces, self._daemon._records)
            ports = [
                PreparedPort(r.id, device, r.error is None, r.phase, r.error)
                for device, r in ours.items()
            ]
            unknown = [i.device for i in interfaces if i.device not in ours]
            future.set_result(Prepared(guest, all(p.ok for p in ports), ports, unknown))

        self._daemon._lane.put(do)
        return future

    def repair(self, port_id: str, request_id: str, timeout: float) -> Future[Repaired]:
        del request_id, timeout
        record = self._daemon.port(port_id)
        device = record.names.device if record.names else ""
        future: Future[Repaired] = Future()

        def do() -> None:
            self._daemon._running.wait()
            error = self._daemon._failures.pop(port_id, None)
            if error is not None:
                future.set_exception(error)
                return
            self._daemon.effects.append(f"repair {port_id}")
            text = f"{device} was taken out of guest fake and put back"
            future.set_result(Repaired(record, True, text, "fake", device, 0.2))

        self._daemon._lane.put(do)
        return future


class FakeMigrations:
    """Migrations that a test says."""

    def __init__(self) -> None:
        self.known: list[Migration] = []

    def all(self) -> list[Migration]:
        return self.known

    def get(self, number: int) -> Migration | None:
        return next((m for m in self.known if m.id == number), None)


class FakeCounting:
    """Counts what a test says."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon
        #: by port
        self.counted: dict[str, Counted] = {}
        self._sums = Sums()

    def ask(self, port_id: str) -> Future[Counters]:
        record = self._daemon.port(port_id)
        future: Future[Counters] = Future()

        def do() -> None:
            self._daemon._running.wait()
            if port_id in self.counted:
                self._sums.add(record.plugin, port_id, self.counted[port_id], time.time())
            future.set_result(self.recall(port_id, ""))

        self._daemon._lane.put(do)
        return future

    def everybody(self) -> dict[str, Future[Counters]]:
        return {record.id: self.ask(record.id) for record in self._daemon.ports()}

    def recall(self, port_id: str, note: str) -> Counters:
        plugin = self._daemon.port(port_id).plugin
        known = self._sums.of(port_id, plugin, note)
        nothing = Passage()
        return known or Counters(
            port=port_id, plugin=plugin, sent=nothing, received=nothing, at=0.0, since=0.0,
            note=note or f"plugin {plugin} counts nothing",
        )  # fmt: skip


class FakeExplainer:
    """Reads a port from its record."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def explain(self, port_id: str) -> Future[Explanation]:
        record = self._daemon.port(port_id)
        future: Future[Explanation] = Future()

        def do() -> None:
            self._daemon._running.wait()
            report = report_of(record)
            report = msgspec.structs.replace(
                report, evidence=[*report.evidence, *self._daemon.found]
            )
            future.set_result(
                explain(Subject(record, time.time(), report, asked=True, trunk=self._trunk(record)))
            )

        self._daemon._lane.put(do)
        return future

    def recall(self, port_id: str, unasked: str) -> Explanation:
        record = self._daemon.port(port_id)
        trunk = self._trunk(record)
        return explain(Subject(record, time.time(), record.report, unasked=unasked, trunk=trunk))

    def _trunk(self, record: PortRecord) -> Family | None:
        return Families(self._daemon.ports).of(record)


class FakeUpgrades:
    """An upgrade that a test says."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def view(self) -> UpgradeView:
        return self._daemon.upgraded

    def approve(self) -> UpgradeView:
        if self._daemon.upgraded.affected:
            self._daemon.effects.append("approve")
        self._daemon.upgraded = UpgradeView("none", self._daemon.upgraded.upgraded)
        return self._daemon.upgraded


class FakeAdoption:
    """Everything that is asked for is there."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def take_over(self, doc: Document, request_id: str) -> Ticket:
        self._daemon.effects.append(f"adopt {doc.id}")
        return self._daemon._plug(doc, request_id)


class FakeRelease:
    """Gives every port back."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def give_back(self, port_id: str, request_id: str, *, force: bool = False) -> Ticket:
        """Every port is another program's, but for what a test says otherwise."""
        ticket = Ticket(port_id, request_id)
        error = None if force else self._daemon._failures.pop(port_id, None)
        if port_id not in self._daemon._records:
            error = errors.PortNotFound(facts={"port": port_id})
        if error is not None:
            ticket.fail(errors.wrap(error))
            return ticket
        self._daemon.effects.append(f"release {port_id}")
        return self._daemon._unplug(port_id, request_id)


class FakeDaemon(SideBook):
    """A :class:`vifd.api.backend.Backend` that keeps state.

    :ivar orphans: what a look finds, by id
    :ivar inspected: what the inspection of a plugin finds besides
    :ivar machine: what is known of its host
    """

    def __init__(self) -> None:
        super().__init__()
        self.recycling = Recycling(self.effects)
        self.orphans, self.removed = self.recycling.orphans, self.recycling.removed
        #: what an explanation finds besides
        self.found: list[Evidence] = []
        self.upgraded = UpgradeView("none")
        self.machine = self.host = FakeHost()
        self.garbage = self.recycling
        self.guests, self.explainer = FakeGuests(self), FakeExplainer(self)
        self.counting = FakeCounting(self)
        self.migrations = FakeMigrations()
        self.upgrades = FakeUpgrades(self)
        self.adoption, self.releases = FakeAdoption(self), FakeRelease(self)
        self.moves = FakeMoves(self)
        self.inspected: list[Check] = []
        self.setbook = SetBook(self._soon)
        self.sets = self.setbook.desk()

    def _soon(self, work: Callable[[], None]) -> None:
        def do() -> None:
            self._running.wait()
            work()

        self._lane.put(do)

    def done(self) -> int:
        """How many effects there are, once everything that was asked for is done."""
        rest = threading.Event()
        self._lane.put(rest.set)
        assert rest.wait(PATIENCE), "the lane is held, or dead"
        return len(self.effects)

    # --- the backend ------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        phases: dict[str, int] = {}
        for record in self.ports():
            phases[record.phase] = phases.get(record.phase, 0) + 1
        return {
            "live": True,
            "ready": True,
            "version": "0",
            "plugins": {"fake": "ready"},
            "ports": phases,
        }

    def plugins(self) -> list[dict[str, Any]]:
        good = {"name": "fake", "distribution": "vifd", "version": "0", "state": "ready"}
        bad = {"name": "broken", "distribution": "elsewhere", "version": "1", "state": "refused"}
        return [{**good, "reasons": []}, {**bad, "reasons": ["ImportError: no module named x"]}]

    def verify_plugin(self, name: str) -> Future[Inspection]:
        if name == "broken":
            facts = {"plugin": name, "distribution": "elsewhere", "reason": "ImportError"}
            raise errors.PluginRefused(facts=facts, stage="load")
        if name != "fake":
            raise errors.PluginMissing(facts={"wanted": name, "have": ["fake"]}, stage="plugin")
        future: Future[Inspection] = Future()
        checks = [Check("contract.version", ok=True, detail="1.0"), *self.inspected]
        ok = all(check.ok for check in checks)

        def do() -> None:
            self._running.wait()
            future.set_result(Inspection("fake", "0", "1.0", ok, checks))

        self._lane.put(do)
        return future

    def enforcement(self, record: PortRecord) -> list[Enforcement]:
        wanted, advert = record.doc.attachment, Advert((record.vif_type,), features=FEATURES)
        return enforcement.report(wanted, advert, plugin=record.plugin)

    def check(self, port_id: str, request_id: str) -> Future[PortRecord]:
        record = self.port(port_id)
        future: Future[PortRecord] = Future()

        def do() -> None:
            future.set_result(msgspec.structs.replace(record, report=report_of(record)))

        self._lane.put(do)
        return future

    def metrics(self) -> bytes:
        return b"# TYPE vifd_ports gauge\nvifd_ports %d\n" % len(self._records)
