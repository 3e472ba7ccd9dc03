"""A daemon without a host, for tests of the API: it keeps ports and resolves on a native thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from support.hosting import FakeHost
from support.portbook import FEATURES, report_of
from support.recycling import Recycling
from support.sidebook import SideBook
from vifd import errors
from vifd.capabilities import enforcement
from vifd.capabilities.enforcement import Enforcement
from vifd.engine.ticket import Ticket
from vifd.explain import Explanation, Subject, explain
from vifd.garbage.view import CollectedView, GarbageView, RestoredView
from vifd.guests import Prepared, Repaired
from vifd.guests.matching import ports_of
from vifd.guests.preparing import PreparedPort
from vifd.hypervisor import GuestInterface
from vifd.model import Attachment, Document, Evidence, PortRecord
from vifd.negotiation import Acceptable, Offer
from vifd.plugin import Advert
from vifd.plugin.inspection import Check, Inspection
from vifd.upgrade.view import UpgradeView


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
        self.machine = FakeHost()
        self.inspected: list[Check] = []

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

    def host(self) -> dict[str, Any]:
        return self.machine.show()

    def refresh_host(self) -> Future[dict[str, Any]]:
        return self.machine.refresh()

    def host_info(self) -> dict[str, Any]:
        return self.offers.host_info()

    def advert(self, plugin: str) -> Advert | None:
        return self.offers.advert if plugin == "fake" else None

    def offer(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Future[Offer]:
        future: Future[Offer] = Future()

        def do() -> None:
            self._running.wait()
            try:
                future.set_result(self.offers.make(attachment, acceptable, contract))
            except errors.VifError as error:
                future.set_exception(error)

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

    def prepare_guest(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, timeout: float
    ) -> Future[Prepared]:
        del request_id, timeout
        future: Future[Prepared] = Future()

        def do() -> None:
            self._running.wait()
            with self._lock:
                ours = ports_of(interfaces, self._records)
            ports = [
                PreparedPort(r.id, device, r.error is None, r.phase, r.error)
                for device, r in ours.items()
            ]
            unknown = [i.device for i in interfaces if i.device not in ours]
            future.set_result(Prepared(guest, all(p.ok for p in ports), ports, unknown))

        self._lane.put(do)
        return future

    def repair(self, port_id: str, request_id: str, timeout: float) -> Future[Repaired]:
        del request_id, timeout
        record = self.port(port_id)
        device = record.names.device if record.names else ""
        future: Future[Repaired] = Future()

        def do() -> None:
            self._running.wait()
            error = self._failures.pop(port_id, None)
            if error is not None:
                future.set_exception(error)
                return
            self.effects.append(f"repair {port_id}")
            text = f"{device} was taken out of guest fake and put back"
            future.set_result(Repaired(record, True, text, "fake", device, 0.2))

        self._lane.put(do)
        return future

    def explain(self, port_id: str) -> Future[Explanation]:
        record = self.port(port_id)
        future: Future[Explanation] = Future()

        def do() -> None:
            self._running.wait()
            report = report_of(record)
            report = msgspec.structs.replace(report, evidence=[*report.evidence, *self.found])
            future.set_result(explain(Subject(record, time.time(), report, asked=True)))

        self._lane.put(do)
        return future

    def recall(self, port_id: str, unasked: str) -> Explanation:
        record = self.port(port_id)
        return explain(Subject(record, time.time(), record.report, unasked=unasked))

    # --- garbage ---

    def garbage(self) -> Future[GarbageView]:
        return self.recycling.garbage()

    def collect(self, ids: Sequence[str] | None, *, force: bool) -> Future[CollectedView]:
        return self.recycling.collect(ids, force=force)

    def undo_garbage(self, ids: Sequence[str] | None) -> Future[RestoredView]:
        return self.recycling.undo_garbage(ids)

    def upgrade(self) -> UpgradeView:
        return self.upgraded

    def approve(self) -> UpgradeView:
        if self.upgraded.affected:
            self.effects.append("approve")
        self.upgraded = UpgradeView("none", self.upgraded.upgraded)
        return self.upgraded

    def adopt(self, doc: Document, request_id: str) -> Ticket:
        """Everything that is asked for is there."""
        self.effects.append(f"adopt {doc.id}")
        return self._plug(doc, request_id)

    def give_back(self, port_id: str, request_id: str, *, force: bool = False) -> Ticket:
        """Every port is another program's, but for what a test says otherwise."""
        ticket = Ticket(port_id, request_id)
        error = None if force else self._failures.pop(port_id, None)
        if port_id not in self._records:
            error = errors.PortNotFound(facts={"port": port_id})
        if error is not None:
            ticket.fail(errors.wrap(error))
            return ticket
        self.effects.append(f"release {port_id}")
        return self._unplug(port_id, request_id)

    def metrics(self) -> bytes:
        return b"# TYPE vifd_ports gauge\nvifd_ports %d\n" % len(self._records)
