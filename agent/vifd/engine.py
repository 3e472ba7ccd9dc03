"""The engine: lanes, the intake, retries, and the one place where results are recorded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

from vifd import errors, news, outcome
from vifd.bus import Bus
from vifd.decision import Request
from vifd.inspection import Inspection, inspect
from vifd.intake import Intake
from vifd.lane import Busy, Lane
from vifd.metrics import Metrics
from vifd.model import Document, Evidence, PortRecord
from vifd.negotiation import Choice
from vifd.negotiation.token import Claims
from vifd.offering import Negotiator, Offering, Terms
from vifd.plan import Step
from vifd.plugin import UNPROBED, Advert, Health, Probe, VifPlugin
from vifd.recovery import Recovery
from vifd.retries import Retries
from vifd.store import Change, Journal, Records
from vifd.ticket import Event
from vifd.tickets import Tickets
from vifd.worker import Limits, Worker

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Times in seconds.

    :param repair: whether what another hand changed is brought back; else it is only reported
    :param verify: how long a port may take from made to proven
    :param hang: how long a plugin may take for one call before its lane is quarantined
    :param patience: how long a start waits for its drivers
    :param retry_first: pause before the first retry; it doubles up to ``retry_longest``
    :param terms: of offers
    """

    verify: float = 10.0
    hang: float = 60.0
    patience: float = 3.0
    retry_first: float = 1.0
    retry_longest: float = 60.0
    repair: bool = True
    terms: Terms = field(default_factory=Terms)

    @property
    def limits(self) -> Limits:
        """The part that concerns the lanes."""
        return Limits(verify=self.verify, repair=self.repair)


#: The reasons of a plugin that has not answered yet.
_UNPROBED = UNPROBED.reasons


@dataclass
class Engine:
    """Everything between a request and its record.

    :param plugins: admitted plugins by name, in order of preference
    :param mail: called when the outbox has something new
    :param nudge: called when :meth:`tick` has something to do earlier than it said
    :param health_changed: called when a plugin's probe answers something else
    :param may: whether a step of a port may be taken now; see :attr:`Worker.may`
    :param chore: called with every :meth:`tick`
    :param witness: what is known of a port besides what its plugin reads back; from memory
    """

    plugins: Mapping[str, VifPlugin]
    journal: Journal
    metrics: Metrics
    settings: Settings = field(default_factory=Settings)
    bus: Bus = field(default_factory=Bus)
    mail: Callable[[], None] = lambda: None
    nudge: Callable[[], None] = lambda: None
    health_changed: Callable[[], None] = lambda: None
    witness: Callable[[PortRecord], list[Evidence]] = lambda _record: []
    may: Callable[[Step, PortRecord], bool] = lambda _step, _record: True
    chore: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.tickets = Tickets()
        self.intake = Intake(self, self.journal, self.tickets)
        self.probes: dict[str, Probe] = {
            name: Probe(Health.UNAVAILABLE, list(_UNPROBED)) for name in self.plugins
        }
        self.lanes: dict[str, Lane] = {}
        self._workers: dict[str, Worker] = {}
        #: held while names are chosen and written
        self.naming = threading.Lock()
        self._adverts = {name: plugin.describe() for name, plugin in self.plugins.items()}
        self.negotiator = Negotiator(self.plugins, self._adverts, self._health, self.journal.get)
        self.negotiator.terms = self.settings.terms
        self.negotiator.changed(self.journal.records())
        self.offering = Offering(self.negotiator)
        self._retries = Retries()
        self._recovery = Recovery(self.plugins, self.journal, self._take_back)
        self._unsettled: set[str] = set()
        self._restrained = self._restoring = False
        self._limits = self.settings.limits
        for name, plugin in self.plugins.items():
            self._hire(name, plugin)

    def _hire(self, name: str, plugin: VifPlugin) -> None:
        worker = Worker(plugin, self.journal, self, self.metrics, self._limits, naming=self.naming)
        worker.may = lambda step, record: self.may(step, record)
        lane = Lane(name, worker)
        worker.changed = lane.changed
        self._workers[name] = worker
        self.lanes[name] = lane

    # --- life ---

    def start(self, *, recover: bool = False, settled: Callable[[], bool] = lambda: True) -> None:
        """Begin to serve: probe every plugin, then bring every port of the journal back.

        :param recover: take ports back from the marks on the host, for a journal that was lost
        :param settled: whether the drivers have what they need; waited for, ``settings.patience``
            seconds at most, so that ports are not called broken while a connection is being made
        """
        records = self.journal.records()
        self._unsettled = {i for i, r in records.items() if r.plugin in self.plugins}
        self._refuse_unserved(records)
        for name, lane in self.lanes.items():
            lane.errand("settle", partial(self._settle, lane, settled))
            if recover:
                self._recovery.want([name])
                lane.errand("recover", partial(self._recovery.run, name))
            lane.errand("probe", self._workers[name].probe)
            lane.start()
        self.intake.start()
        self.again(records)

    def _settle(self, lane: Lane, settled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.settings.patience
        while not settled() and (left := deadline - time.monotonic()) > 0:
            lane.changed.clear()
            lane.changed.wait(min(left, 0.02))

    def _refuse_unserved(self, records: Mapping[str, PortRecord]) -> None:
        """Ports whose plugin is not admitted any more say so, and wait."""
        lost = {i: r for i, r in records.items() if r.plugin not in self.plugins}
        if lost:
            refusals: dict[str, errors.VifError] = {
                i: errors.PluginMissing(facts={"wanted": r.plugin, "have": list(self.plugins)})
                for i, r in lost.items()
            }
            self.record({i: outcome.failed(e) for i, e in refusals.items()}, refusals)

    def stop(self, timeout: float) -> None:
        """Finish what runs and end; ports are left as they are."""
        end = time.monotonic() + timeout
        self.offering.stop()
        self.intake.stop(timeout)
        for lane in self.lanes.values():
            if not lane.stop(max(0.1, end - time.monotonic())):
                LOG.warning("lane %s is still busy: %s; leaving it", lane.name, lane.busy)
        self.tickets.close(errors.Stopping())

    def configure(self, settings: Settings) -> None:
        """Take other times, from the next batch on."""
        self.settings = settings
        self.negotiator.terms = settings.terms
        self._limit(repair=settings.repair and not self._restrained)

    def _limit(self, *, repair: bool) -> None:
        self._limits = replace(
            self.settings.limits, repair=repair, restore=self._restrained and self._restoring
        )
        for worker in self._workers.values():
            worker.limits = self._limits

    def restrain(self, *, on: bool, restore: bool = False) -> None:
        """Only read ports back, and repair nothing; or go on as the settings say.

        :param restore: a port that passes nothing is repaired all the same
        """
        self._restrained, self._restoring = on, restore
        self._limit(repair=self.settings.repair and not on)

    @property
    def restrained(self) -> bool:
        """Whether ports are only read back: an upgrade is being judged, or waits for approval."""
        return self._restrained

    def plug_now(self, port_id: str, done: Callable[[PortRecord | None], None]) -> None:
        """Bring one port to its document on its lane, whatever else is restrained.

        :param done: called there with the record afterwards; ``None`` where it is gone
        """
        record = self.journal.get(port_id)
        if record is None or record.plugin not in self.lanes:
            done(None)
            return
        worker = self._workers[record.plugin]

        def work() -> None:
            present = self.journal.get(port_id)
            try:
                if present is not None and not present.removing:
                    worker.plug([present])
            finally:
                done(self.journal.get(port_id))

        self.lanes[record.plugin].errand(f"plug {port_id}", work)

    @property
    def unsettled(self) -> frozenset[str]:
        """Ports of the journal at start that are neither proven nor given up for now."""
        return frozenset(self._unsettled)

    def settle(self, port_ids: Iterable[str], *, settled: bool = True) -> None:
        """Count ports as settled for now, or wait for them again."""
        change = self._unsettled.difference_update if settled else self._unsettled.update
        change(port_ids)

    @property
    def ready(self) -> bool:
        """Whether every port that was in the journal at start is proven or has its error."""
        return not self._unsettled and self._all_probed()

    @property
    def recovering(self) -> tuple[str, ...]:
        """The plugins that have yet to take ports back after a journal was lost."""
        return self._recovery.waiting

    def _all_probed(self) -> bool:
        return len(self.probed_plugins()) == len(self.probes)

    def probed_plugins(self) -> dict[str, Probe]:
        """The last answers of the plugins' probes, of those that have answered."""
        known = dict(self.probes)
        return {name: probe for name, probe in known.items() if probe.reasons != _UNPROBED}

    # --- requests ---

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; never blocks."""
        self._retries.afresh(request.ticket.port_id for request in requests)
        self.intake.submit(requests)

    def choose(self, doc: Document, claims: Claims | None = None) -> Choice:
        """Which plugin serves this document now; see :class:`vifd.offering.Negotiator`."""
        return self.negotiator.choose(doc.attachment, claims)

    def objections(self, present: PortRecord, doc: Document) -> list[errors.VifError]:
        """What another document of a served port would make worse."""
        return self.negotiator.objections(present, doc.attachment)

    def _health(self, name: str) -> Probe:
        """What is known of a plugin's health."""
        lane = self.lanes[name]
        if not lane.quarantined:
            return self.probes[name]
        reason = f"it hangs in {lane.busy.what}" if lane.busy else ""
        return Probe(Health.UNAVAILABLE, [reason])

    def adverts(self) -> Mapping[str, Advert]:
        return self._adverts

    # --- results ---

    def accept(self, changes: Mapping[str, Change]) -> Records:
        """Put what callers want on disk; it survives the machine.

        :raises errors.JournalError: nothing was changed
        """
        try:
            return self._commit(changes, {}, durable=True)
        except errors.JournalError as error:
            LOG.error("%s: %s. Next: %s", error.code, error.message, error.hint)
            raise

    def record(
        self,
        changes: Mapping[str, Change],
        errors_by_port: Mapping[str, errors.VifError] | None,
        *,
        durable: bool = False,
    ) -> Records:
        """Commit changes and tell everybody whom they concern.

        Where the journal cannot be written, nothing changes, the callers get that error, and the
        ports are tried again later; the answer is then empty.
        """
        try:
            return self._commit(changes, errors_by_port or {}, durable=durable)
        except errors.JournalError as error:
            LOG.error("%s: %s. Next: %s", error.code, error.message, error.hint)
            self.tickets.fail(dict.fromkeys(changes, error))
            for port_id in changes:
                self._later(port_id)
            return {}

    def _commit(
        self,
        changes: Mapping[str, Change],
        failures: Mapping[str, errors.VifError],
        *,
        durable: bool,
    ) -> Records:
        done = self.journal.commit(
            changes, events=news.events, outgoing=news.statuses, durable=durable
        )
        self.negotiator.changed(done.new)
        for port_id, record in done.new.items():
            self._after(port_id, done.old[port_id], record, failures.get(port_id))
        gone = [port_id for port_id, record in done.new.items() if record is None]
        if gone:
            self.intake.gone(gone)
        self.bus.publish(done.events)
        if done.mail:
            self.mail()
        return done.new

    def _after(
        self,
        port_id: str,
        old: PortRecord | None,
        new: PortRecord | None,
        error: errors.VifError | None,
    ) -> None:
        if new is not None and error is not None:
            self._later(port_id)
        elif new is None or (new.applied and new.error is None):
            self._retries.done(port_id)
        if error is not None or new is None or new.error is None:
            self._seen(port_id, old, new, error)
        self.tickets.settle(port_id, old, new, error)

    def _seen(
        self,
        port_id: str,
        old: PortRecord | None,
        new: PortRecord | None,
        error: errors.VifError | None,
    ) -> None:
        """A port of the journal was proven, given up for now, or removed: it counts as settled."""
        read = new is not None and (old is None or new.report is not old.report)
        # A report that tells of something missing is no proof: its repair comes next.
        repair = self._limits.repairs(new.report if new else None)
        proven = read and not outcome.unfinished(new, repair=repair)
        if port_id in self._unsettled and (error is not None or new is None or proven):
            self._unsettled.discard(port_id)
            if not self._unsettled:
                self.nudge()

    def _later(self, port_id: str) -> None:
        if self.journal.get(port_id) is None:
            return
        first, longest = self.settings.retry_first, self.settings.retry_longest
        self._retries.later(port_id, first=first, longest=longest)
        self.nudge()

    def probed(self, plugin: str, probe: Probe) -> None:
        """Take a plugin's health; a change is an event and starts its ports anew."""
        before = self.probes[plugin]
        self.probes[plugin] = probe
        self.metrics.healthy.labels(plugin).set(probe.health is not Health.UNAVAILABLE)
        if plugin in self._recovery.waiting and probe.health is not Health.UNAVAILABLE:
            self.lanes[plugin].errand("recover", partial(self._recovery.run, plugin))
        if before == probe:
            return
        self.health_changed()
        if before.health is not probe.health:
            level = logging.INFO if probe.health is Health.READY else logging.WARNING
            reasons = "; ".join(probe.reasons) or "nothing lacks"
            LOG.log(level, "plugin %s is %s: %s", plugin, probe.health.value, reasons)
            event = Event(0, "plugin-status-changed", time.time(), plugin=plugin,
                          status=probe.health.value)  # fmt: skip
            try:
                self.bus.publish(self.journal.post([event]))
            except errors.JournalError as error:
                LOG.warning("%s: %s", error.code, error.message)
        if before.health is Health.UNAVAILABLE and probe.health is not Health.UNAVAILABLE:
            self.again(i for i, r in self.journal.records().items() if r.plugin == plugin)

    # --- what to do next ---

    def again(self, port_ids: Iterable[str]) -> None:
        """Have ports served by their lanes."""
        by_lane: dict[str, list[str]] = {}
        for port_id in port_ids:
            record = self.journal.get(port_id)
            if record is not None and record.plugin in self.lanes:
                by_lane.setdefault(record.plugin, []).append(port_id)
        for name, ids in by_lane.items():
            self.lanes[name].mark(ids)

    def inspect(self, plugin: str) -> Future[Inspection]:
        """Have a plugin held against its contract on its lane, without touching a port."""
        future: Future[Inspection] = Future()

        def work() -> None:
            future.set_result(inspect(self.plugins[plugin]))

        self.lanes[plugin].errand(f"inspection {id(future)}", work)
        return future

    def reconnected(self, bridge: str) -> None:
        """A switch restarted: have each plugin bring back at once what it lost."""
        for name, lane in self.lanes.items():
            lane.errand(f"return of {bridge}", partial(self._workers[name].reconnected, bridge))

    def probe_all(self) -> None:
        """Have every plugin's health read again."""
        for name, lane in self.lanes.items():
            lane.errand("probe", self._workers[name].probe)

    def probe_now(self) -> list[Future[None]]:
        """The same; each future is done once a lane has read its plugin's health."""
        self.probe_all()
        done: list[Future[None]] = []
        for lane in self.lanes.values():
            future: Future[None] = Future()
            lane.errand(f"probed {id(future)}", partial(future.set_result, None))
            done.append(future)
        return done

    def retry_in(self, port_id: str) -> float | None:
        """Seconds until the next attempt of a port whose last one failed."""
        return self._retries.remaining(port_id)

    def tick(self) -> float:
        """Do what is due; returns the seconds until something may be due again."""
        now = time.monotonic()
        self.chore()
        due, following = self._retries.take(now)
        self.again(due)
        for lane in self.lanes.values():
            self._watch(lane, now)
        return max(0.0, following - now)

    def _watch(self, lane: Lane, now: float) -> None:
        """Quarantine a lane that hangs; nobody has to wait for it, the work itself does."""
        busy = lane.busy
        if busy is None or now - busy.since < self.settings.hang:
            return
        error = errors.PluginTimeout(
            facts={"plugin": lane.name, "verb": busy.what, "seconds": round(now - busy.since, 1)}
        )
        if not lane.quarantined:
            lane.quarantined = True
            self._quarantine(lane, busy, error)
        self.tickets.fail({p: error.copy().at(port=p) for p in lane.pending()})

    def _quarantine(self, lane: Lane, busy: Busy, error: errors.PluginTimeout) -> None:
        LOG.error(
            "%s: %s; %d ports wait. Next: %s", error.code, error.message,
            len(busy.ports) + lane.waiting, error.hint,
        )  # fmt: skip
        self.probed(lane.name, Probe(Health.UNAVAILABLE, [error.message]))
        failures = {p: error.copy().at(port=p) for p in busy.ports}
        self.record({p: outcome.failed(e) for p, e in failures.items()}, failures)
        self.tickets.fail(failures)
        lane.errand("probe", self._workers[lane.name].probe)

    def _take_back(self, changes: Mapping[str, Change]) -> bool:
        """Ports that a lost journal knew: on disk again, and looked at."""
        self._unsettled.update(changes)
        if not self.record(changes, None, durable=True):
            return False
        self.again(changes)
        return True
