"""The engine: everything between a request and its record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from vifd import errors
from vifd.engine import outcome, trunks
from vifd.engine.bus import Bus
from vifd.engine.decision import Request
from vifd.engine.hooks import Hooks
from vifd.engine.intake import Intake
from vifd.engine.intents import Intents
from vifd.engine.lanes import Lanes, lane_settled
from vifd.engine.metrics import Metrics
from vifd.engine.prewiring import Prewiring
from vifd.engine.probes import Probes, told
from vifd.engine.quarantine import Quarantine, hanging
from vifd.engine.recording import NO_PARTS, Recorder
from vifd.engine.recovery import Recovery
from vifd.engine.refreshes import Refreshes
from vifd.engine.retries import Retries
from vifd.engine.setrequest import SetRequest
from vifd.engine.settings import Settings
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind, Tickets
from vifd.engine.unsettled import Unsettled, unserved
from vifd.engine.unwritten import Unwritten
from vifd.engine.worker import Worker, ledger
from vifd.engine.worker.ahead import opens
from vifd.model import Document, Evidence, Parts, PortRecord, Role
from vifd.model.event import Event
from vifd.model.setrecord import SetUpdate
from vifd.model.status import wants_open
from vifd.negotiation import Choice
from vifd.negotiation.offering import Negotiator, Offering
from vifd.negotiation.secondlook import SecondLook
from vifd.negotiation.token import Claims
from vifd.plugin import Health, Probe, VifPlugin
from vifd.plugin.guarded import does, guarded
from vifd.store import Change, Journal, Records

LOG = logging.getLogger(__name__)

#: Seconds that plugins may take to tell for the first time what this host can do, once the drivers
#: have what they need: so long a port is not refused for it.
FIRST_LOOK = 5.0


@dataclass
class Engine:
    """Everything between a request and its record.

    :param hooks: whom the engine calls
    :param plugins: admitted plugins by name, in order of preference
    """

    plugins: Mapping[str, VifPlugin]
    journal: Journal
    metrics: Metrics
    settings: Settings = field(default_factory=Settings)
    hooks: Hooks = field(default_factory=Hooks)
    bus: Bus = field(default_factory=Bus)

    def __post_init__(self) -> None:
        self.plugins = {name: guarded(plugin) for name, plugin in self.plugins.items()}
        self.tickets = Tickets()
        self.refreshes = Refreshes(
            self.plugins, self.journal, self.metrics, run=self._refresh, again=self.again,
            held=lambda: self.restrained, wake=lambda: self.hooks.wake(),
        )  # fmt: skip
        self.intake = Intake(self, self.journal, self.tickets, self.refreshes.follow)
        self.probes = Probes(self.plugins)
        #: held while names are chosen and written
        self.naming = threading.Lock()
        self.adverts = {name: plugin.describe() for name, plugin in self.plugins.items()}
        self.negotiator = Negotiator(
            self.plugins, self.adverts, self._health, self.journal.get,
            inventory=lambda: self.hooks.inventory(),
        )  # fmt: skip
        self.negotiator.terms = self.settings.terms
        self.negotiator.changed(self.journal.records())
        self.offering = Offering(self.negotiator, self.intake.early.wait)
        self.retries = Retries()
        self.prewiring = Prewiring(
            self.journal, lambda: self.settings.prewire, lambda r: self.hooks.holder(r),
            lambda r: does(self.plugins[r.plugin], "release"),
            lambda request: self.submit([request]),
        )  # fmt: skip
        self.recovery = Recovery(
            self.plugins, self.journal, self._take_back, lambda: ledger(self.journal)
        )
        self._restrained = self._restoring = False
        #: the daemon ends: nothing new is taken
        self.stopping = False
        self._limits = self.settings.limits
        self.intents = Intents(self.settings.intents)
        self.lanes = Lanes({n: self._worker_for(p) for n, p in self.plugins.items()}, self.journal)
        self.tickets.held = self.lanes.held
        self._quarantine = Quarantine(self, self.tickets, self.lanes.probe)
        self.unsettled = Unsettled(
            lambda report: self._limits.repairs(report), lambda: self.hooks.wake()
        )
        self.unwritten = Unwritten(self.journal)
        self._recorder = Recorder(
            self.journal, self.unwritten, self.tickets, self.bus, self.retries, self.unsettled,
            changed=self.negotiator.changed, gone=self.intake.gone, later=self.later,
            statuses=lambda old, new: self.hooks.statuses(old, new),
            outbox_changed=lambda: self.hooks.outbox_changed(),
            refreshed=self._refreshed, released=self._released,
        )  # fmt: skip

    def _refreshed(self, sets: Sequence[SetUpdate], old: Records, new: Records) -> None:
        self.refreshes.sets(sets)
        self.refreshes.ports(old, new)
        self.again(trunks.woken(old, new))
        self.prewiring.seen(new)
        if moving := [r for r in new.values() if r is not None and r.origin is not None]:
            self.hooks.moved(moving)

    def _released(self) -> None:
        if self.journal.sets.needless():
            self.intake.sweep()

    def _refresh(self, plugin: str) -> None:
        self.lanes[plugin].urgent("refresh", partial(self.refreshes.tell, plugin))

    def _worker_for(self, plugin: VifPlugin) -> Worker:
        worker = Worker(plugin, self.journal, self, self.metrics, self._limits, naming=self.naming)
        worker.may = lambda step, record: self.hooks.may(step, record)
        worker.noted = lambda *note: self.hooks.noted(*note)
        worker.ahead.intents = self.intents
        return worker

    # --- life ---

    def start(self, *, recover: bool = False, settled: Callable[[], bool] = lambda: True) -> None:
        """Begin to serve: probe every plugin, then bring every port of the journal back.

        :param recover: take ports back from the marks on the host, for a journal that was lost
        :param settled: whether the drivers have what they need; waited for, ``settings.patience``
            seconds at most, so that ports are not called broken while a connection is being made
        """
        records = self.journal.records()
        self.prewiring.said(self.journal.all_parts())
        self.prewiring.seen(records)
        self.unsettled.expect(i for i, r in records.items() if r.plugin in self.plugins)
        if lost := unserved(records, list(self.plugins)):
            self.record({i: outcome.failed(e) for i, e in lost.items()}, lost)
        for name, lane in self.lanes.items():
            lane.urgent("settle", partial(lane_settled, lane, settled, self.settings.patience))
            if recover:
                self.recovery.want([name])
                lane.urgent("recover", partial(self.recovery.run, name))
            self.lanes.probe(name)
        # before anything is read back
        self._open_on(records)
        for lane in self.lanes.values():
            lane.start()
        self.intake.start(self.settings.patience + FIRST_LOOK)
        self.again(records)

    def _open_on(self, records: Mapping[str, PortRecord]) -> None:
        """Go on with what was being opened when the daemon died."""
        left = self.intents.left()
        for port_id, request_id in left.items():
            if (record := records.get(port_id)) is None or wants_open(record):
                self.intents.done(port_id)
                continue
            LOG.warning("it was being opened when vifd died: opened now. port=%s request=%s",
                        port_id, request_id)  # fmt: skip
            ticket = Ticket(port_id, request_id)
            self.submit([Request(Kind.PLUG, ticket, role=Role.ACTIVE)])

    def stop(self, timeout: float) -> None:
        """Finish what runs and end; ports are left as they are."""
        end = time.monotonic() + timeout
        self.offering.stop()
        self.intake.stop(timeout)
        for lane in self.lanes.values():
            if not lane.stop(max(0.1, end - time.monotonic())):
                LOG.warning("lane %s is still busy: %s; leaving it", lane.name, lane.busy)
        self.tickets.close(errors.Stopping())
        self.refreshes.close(errors.Stopping())

    def configure(self, settings: Settings) -> None:
        """Take other times, from the next batch on."""
        self.settings = settings
        self.negotiator.terms = settings.terms
        self._limit(repair=settings.repair and not self._restrained)

    def _limit(self, *, repair: bool) -> None:
        self._limits = replace(
            self.settings.limits, repair=repair, restore=self._restrained and self._restoring
        )
        self.lanes.limit(self._limits)

    def restrain(self, *, on: bool, restore: bool = False) -> None:
        """Only read ports back, and repair nothing; or go on as the settings say.

        :param restore: a port that passes nothing is repaired all the same
        """
        self._restrained, self._restoring = on, restore
        self._limit(repair=self.settings.repair and not on)
        if not on:
            self.refreshes.go_on()

    @property
    def restrained(self) -> bool:
        """Whether ports are only read back: an upgrade is being judged, or waits for approval."""
        return self._restrained

    @property
    def ready(self) -> bool:
        """Whether every port that was in the journal at start is proven or has its error."""
        return not self.unsettled and self.probes.complete

    # --- requests ---

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; never blocks."""
        if self.stopping:
            for request in requests:
                request.ticket.fail(errors.Stopping())
            return
        self.retries.afresh(request.ticket.port_id for request in requests)
        for request in requests:
            port_id = request.ticket.port_id
            opening = opens(request, self.journal.get(port_id), self.journal.parts(port_id))
            if opening or request.role is Role.ACTIVE:
                self.hooks.noted(port_id, "asked", time.time(), request.ticket.request_id)
            if opening:
                self.lanes.open_first(request.ticket)
            self.prewiring.asked(request)
        self.intake.submit(requests)

    def serving(self) -> None:
        """:raises errors.Stopping: nothing new is taken any more"""
        if self.stopping:
            raise errors.Stopping()

    def submit_sets(self, requests: Sequence[SetRequest]) -> None:
        """Queue requests for shared sets; never blocks."""
        if self.stopping:
            for request in requests:
                request.ticket.fail(errors.Stopping())
            return
        self.intake.submit(requests)

    def reconsider(self, look: SecondLook) -> None:
        """Have the host read once more before anything is refused for what it is."""
        self.intake.look = self.offering.look = look

    def choose(self, doc: Document, claims: Claims | None = None) -> Choice:
        """Which plugin serves this document now."""
        return self.negotiator.choose(doc.attachment, claims)

    def objections(self, present: PortRecord, doc: Document) -> list[errors.VifError]:
        """What another document of a served port would make worse."""
        return self.negotiator.objections(present, doc.attachment)

    def _health(self, name: str) -> Probe:
        """What is known of a plugin's health."""
        lane = self.lanes[name]
        return hanging(lane) if lane.quarantined else self.probes[name]

    def extra_evidence(self, record: PortRecord) -> list[Evidence]:
        """What is known of a port besides what its plugin reads back; from memory."""
        return self.hooks.extra_evidence(record)

    def take_over(self, request: Request, doc: Document) -> None:
        """Look for a port that another program plugged; it is made where there is none."""
        self.hooks.adopt(request, doc)

    def sufficient(self, *, perhaps: bool) -> str:
        """The plugin by which what compute says of a port is all that is needed on this host; empty
        where the network service has its say.

        :param perhaps: whether the plugin can work here need not be known yet
        """
        if not self.settings.alone:
            return ""
        names = (n for n, advert in self.adverts.items() if advert.compute_suffices)
        able = (n for n in names if perhaps or self.probes[n].health is not Health.UNAVAILABLE)
        return next(able, "")

    @property
    def hostname(self) -> str:
        """The name by which the network service knows this host."""
        return self.settings.hostname

    # --- results ---

    def accept(
        self, changes: Mapping[str, Change], parts: Mapping[str, Parts | None] = NO_PARTS,
        sets: Sequence[SetUpdate] = (),
    ) -> Records:  # fmt: skip
        """Put what callers want on disk; it survives the machine.

        :raises errors.JournalError: nothing was changed
        """
        new = self._recorder.accept(changes, parts, sets)
        if any(said is not None and said.network is None for said in parts.values()):
            self.hooks.awaited()
        self.prewiring.said(parts)
        return new

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
        """
        return self._recorder.record(changes, errors_by_port, tried, durable=durable)

    def detached(self, port_id: str) -> None:
        """A port that is being removed is closed, and its device is gone; the rest follows."""
        self.tickets.detached(port_id)

    def post(self, event: Event) -> None:
        """Tell the event stream of something that is no change of a record."""
        self._recorder.post(event)

    def later(self, port_id: str) -> None:
        """Have a port served again after a pause, which grows."""
        if self.journal.get(port_id) is None:
            return
        first, longest = self.settings.retry_first, self.settings.retry_longest
        self.retries.later(port_id, first=first, longest=longest)
        self.hooks.wake()

    def probed(self, plugin: str, probe: Probe) -> None:
        """Take a plugin's health; a change is an event and starts its ports anew."""
        before = self.probes[plugin]
        self.probes[plugin] = probe
        self.adverts[plugin] = self.plugins[plugin].describe().on(probe.unenforced)
        if self.probes.complete:
            self.intake.early.end()
        self.metrics.healthy.labels(plugin).set(probe.health is not Health.UNAVAILABLE)
        if plugin in self.recovery.waiting and probe.health is not Health.UNAVAILABLE:
            self.lanes[plugin].urgent("recover", partial(self.recovery.run, plugin))
        if before == probe:
            return
        self.hooks.health_changed()
        if before.health is not probe.health:
            self._recorder.post(told(plugin, probe))
        if probe.health is not Health.UNAVAILABLE:
            self.intake.host_changed()
        if before.health is Health.UNAVAILABLE and probe.health is not Health.UNAVAILABLE:
            self.refreshes.go_on()
            self.again(i for i, r in self.journal.records().items() if r.plugin == plugin)

    # --- what to do next ---

    def again(self, port_ids: Iterable[str]) -> None:
        """Have ports served by their lanes."""
        self.lanes.again(port_ids)

    def tick(self) -> float:
        """Do what is due; returns the seconds until something may be due again."""
        now = time.monotonic()
        self.hooks.on_tick()
        due, following = self.retries.take(now)
        self.again(due)
        following = min(following, self.refreshes.due(now), now + self.prewiring.due())
        for lane in self.lanes.values():
            self._quarantine.watch(lane, now, self.settings.hang)
        return max(0.0, following - now)

    def _take_back(self, changes: Mapping[str, Change]) -> bool:
        """Ports that a lost journal knew: on disk again, and looked at."""
        self.unsettled.expect(changes)
        if not self.record(changes, None, durable=True):
            return False
        self.again(changes)
        return True
