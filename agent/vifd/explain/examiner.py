"""Reads the host for an explanation: a check on the plugin's lane that changes and records nothing.

A lane that hangs is not waited for; then the last report is what is known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypedDict

from msgspec.structs import replace

from vifd import errors
from vifd.capabilities import enforcement
from vifd.capabilities.enforcement import Level
from vifd.drivers import hangs
from vifd.engine import Engine, awaiting
from vifd.explain import causes, unrecorded
from vifd.explain.explainer import explain
from vifd.explain.explanation import Explanation
from vifd.explain.subject import Serving, Subject
from vifd.explain.unmade import explain_unmade
from vifd.hypervisor import Hypervisor, NoHypervisor
from vifd.model import Evidence, Parts, Phase, PortRecord, Report, limited
from vifd.model.event import Event
from vifd.model.family import Families
from vifd.model.status import wants_open
from vifd.plugin import Item
from vifd.safety.holders import Holder, holders, stranger
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds that the switch and its database have for an answer, and that a lane has for a reading
#: where one of them gives none.
PULSE, PATIENCE = 0.3, 0.7

#: So many of the last events are looked at for those of a port: on the lane, and by who must not
#: be kept waiting.
_EVENTS, _FEW_EVENTS = 4000, 500


class Service(Protocol):
    """What must be known of the way to the network service."""

    @property
    def name(self) -> str:
        """The driver's name."""

    @property
    def problem(self) -> str:
        """Why it takes nothing just now; empty while it does."""


@dataclass(frozen=True)
class Nobody:
    """Where no network service is told anything."""

    name: str = ""
    problem: str = ""


class Delivery(TypedDict):
    """The part of a subject that the journal and the way to the network service tell."""

    waiting: str
    unreachable: str
    service: str
    events: Sequence[Event]


@dataclass
class Examiner:
    """Answers "why" for ports of the journal.

    :param held: whether a port waits until somebody approves what an upgrade changes
    :param clock: seconds since the epoch
    :param openers: who has a device open
    """

    engine: Engine
    journal: Journal
    service: Service = field(default_factory=Nobody)
    hypervisor: Hypervisor = field(default_factory=NoHypervisor)
    held: Callable[[str], bool] = lambda _port_id: False
    clock: Callable[[], float] = time.time
    openers: Callable[[str], list[Holder]] = holders

    def __post_init__(self) -> None:
        for name, plugin in self.engine.plugins.items():
            causes.learn(name, plugin)
        self._lock = threading.RLock()
        #: one reading per port at a time, however many ask
        self._asked: dict[str, Future[Explanation]] = {}

    def explain(self, port_id: str) -> Future[Explanation]:
        """Read the port back and explain what was found. Of a port that is in no journal the
        answer raises what the host knows of it.

        :raises errors.PortNotFound: there is no such port
        """
        if (unmade := self._unmade(port_id)) is not None:
            known: Future[Explanation] = Future()
            known.set_result(explain_unmade(port_id, unmade, unheard=self._unheard))
            return known
        record = self.journal.get(port_id)
        if record is None:
            return unrecorded.look(self.engine, port_id)
        why_not = self._unaskable(record)
        if why_not:
            done: Future[Explanation] = Future()
            done.set_result(self._explained(record, None, why_not))
            return done
        with self._lock:
            future = self._asked.get(port_id)
            if future is None or future.done():
                lane = self.engine.lanes[record.plugin]
                future = lane.ask(f"explain {port_id}", partial(self._surely, port_id))
                self._asked[port_id] = future
                future.add_done_callback(partial(self._forget, port_id))
                work = partial(self._feel, record, future)
                threading.Thread(target=work, name="pulse", daemon=True).start()
        return future

    def _feel(self, record: PortRecord, future: Future[Explanation]) -> None:
        """Whether what the plugin works through answers; where it does not, its lane may wait for
        it for long, and who asks shall not: then what is known has to do, with its age."""
        began = time.monotonic()
        silent = self._silent(record)
        if not silent:
            return
        with contextlib.suppress(TimeoutError, CancelledError, errors.VifError):
            future.result(max(0.0, PATIENCE - (time.monotonic() - began)))
            return
        with contextlib.suppress(InvalidStateError, errors.PortNotFound):
            future.set_result(self._known(record.id, silent))

    def _silent(self, record: PortRecord) -> list[Evidence]:
        """What the plugin of a port works through and does not answer now."""
        try:
            return self.engine.plugins[record.plugin].pulse(PULSE)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.warning("plugin %s: its pulse cannot be felt: %s", record.plugin, error)
            return []

    def _known(self, port_id: str, silent: Sequence[Evidence]) -> Explanation:
        """What the last report tells, beside what does not answer."""
        record = self._record(port_id)
        told = {evidence.fact for evidence in silent}
        last = record.report
        rest = [e for e in last.evidence if e.fact not in told] if last is not None else []
        report = Report([*silent, *rest], at=last.at if last is not None else 0.0)
        who = " and ".join(map(causes.of(record.plugin).who, silent))
        subject = self._subject(record, None, f"{who}: {silent[0].have}")
        return explain(dataclasses.replace(subject, report=report))

    def recall(self, port_id: str, unasked: str) -> Explanation:
        """Explain from the last report.

        :param unasked: why the host is not read
        :raises errors.PortNotFound: there is no such port
        """
        if (unmade := self._unmade(port_id)) is not None:
            return explain_unmade(port_id, unmade, unasked, self._unheard)
        return self._explained(self._record(port_id), None, unasked)

    @property
    def _unheard(self) -> str:
        """Why the network service says nothing just now."""
        problem = self.service.problem
        return f"the network service {self.service.name!r}: {problem}" if problem else ""

    def _unmade(self, port_id: str) -> Parts | None:
        """What the sides say of a port that is not made; ``None`` for one that has a record."""
        return self.journal.parts(port_id) if self.journal.get(port_id) is None else None

    def _record(self, port_id: str) -> PortRecord:
        record = self.journal.get(port_id)
        if record is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        return self.engine.unwritten.shown(record)

    def _unaskable(self, record: PortRecord) -> str:
        """Why the host cannot be read for a port, or the empty string."""
        lane = self.engine.lanes.get(record.plugin)
        if lane is None:
            return f"there is no plugin {record.plugin} to read it with"
        if lane.quarantined:
            return f"plugin {record.plugin} hangs"
        if record.wiring is None:
            return "nothing of it is on the host"
        return ""

    def _surely(self, port_id: str) -> Explanation:
        """Whoever waits must hear of what goes wrong."""
        try:
            return self._read(port_id)
        except Exception as error:
            LOG.exception("port %s cannot be explained", port_id)
            raise errors.wrap(error, stage="explain", port=port_id) from error

    def _forget(self, port_id: str, future: Future[Explanation]) -> None:
        with self._lock:
            if self._asked.get(port_id) is future:
                del self._asked[port_id]

    def _read(self, port_id: str) -> Explanation:
        """On the lane: the port as it is now, and as the host has it."""
        record = self._record(port_id)
        if record.wiring is None:
            return self._explained(record, None, "nothing of it is on the host")
        silent = self._silent(record)
        if any(hangs(str(evidence.have)) for evidence in silent):
            # what hangs would be waited for, or read from memory as if it were well
            return self._known(record.id, silent)
        item = Item(
            record.doc.attachment, record.names or record.wiring, record.wiring,
            open=_shall_be_open(record), thorough=True, settled=True,
        )  # fmt: skip
        try:
            report = self.engine.plugins[record.plugin].check([item]).get(port_id)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return self._explained(record, None, f"reading it failed: {error}")
        if report is not None:
            more = [
                *self._holder(record, item, report), *self.engine.extra_evidence(record),
                *awaiting.evidence(
                    record.doc.attachment, self.engine.adverts.get(record.plugin), self.journal.sets
                ),
            ]  # fmt: skip
            found = limited.judged([*report.evidence, *more], record.doc.attachment)
            report = replace(report, evidence=found)
        return self._explained(record, report, "the plugin gave no report")

    def _holder(self, record: PortRecord, item: Item, report: Report) -> list[Evidence]:
        """Who has the device open, and whether that is a guest of the port."""
        made = record.wiring or record.names
        if made is None:
            return []
        carrier, found = _carrier(report), self.openers(made.device)
        if carrier is False and found:
            # opened since it was read: what is read after it was open is what counts
            carrier, found = self._carrier_again(record, item), self.openers(made.device)
        if carrier is not True:
            return _without_carrier(found) if carrier is False else []
        unknown = self.hypervisor.connected() and made.device not in self.hypervisor.interfaces()
        instance = record.doc.attachment.instance_id or ""
        wrong = stranger(found, instance, unknown=unknown)
        if wrong is not None:
            return [Evidence("guest.holder", str(wrong), "the guest of the port", ok=False,
                             source="proc", repairable=False)]  # fmt: skip
        return [Evidence("guest.holder", [str(h) for h in found], source="proc")] if found else []

    def _carrier_again(self, record: PortRecord, item: Item) -> bool | None:
        try:
            report = self.engine.plugins[record.plugin].check([item]).get(record.id)
        except Exception:  # noqa: BLE001 - a plugin may raise anything
            return None
        return _carrier(report) if report is not None else None

    def _explained(self, record: PortRecord, report: Report | None, unasked: str) -> Explanation:
        return explain(self._subject(record, report, unasked))

    def _subject(self, record: PortRecord, report: Report | None, unasked: str) -> Subject:
        events = _FEW_EVENTS if report is None else _EVENTS
        now = self.clock()
        fresh = replace(report, at=report.at or now) if report is not None else None
        interfaces = self.hypervisor.interfaces()
        return Subject(
            record=record, now=now, report=fresh or record.report, asked=fresh is not None,
            unasked=unasked, serving=self._serving(record.plugin),
            repair=self.engine.settings.repair, held=self.held(record.id),
            unwritable=self.journal.problem,
            retry_in=self.engine.retries.remaining(record.id),
            hypervisor=self.hypervisor.connected(),
            guest=next((interfaces[d] for d in _ends(record) if d in interfaces), None),
            unenforced=self._unenforced(record), trunk=Families(self._everybody).of(record),
            **self._delivery(record.id, events),
        )  # fmt: skip

    def _everybody(self) -> Iterator[PortRecord]:
        return map(self.engine.unwritten.shown, self.journal.records().values())

    def _serving(self, plugin: str) -> Serving:
        """The plugin as the engine knows it."""
        lane, probe = self.engine.lanes.get(plugin), self.engine.probes.get(plugin)
        if lane is None or probe is None:
            have = list(self.engine.plugins)
            missing = errors.PluginMissing(facts={"wanted": plugin, "have": have})
            return Serving(refusal=missing.to_dict())
        busy, hangs = lane.busy, ""
        if lane.quarantined:
            hangs = f"in {busy.what}" if busy is not None else "in a call"
        return Serving(probe.health.value, tuple(probe.reasons), hangs=hangs)

    def _unenforced(self, record: PortRecord) -> list[str]:
        """What the document asks for in vain."""
        advert = self.engine.adverts.get(record.plugin)
        if advert is None:
            return []
        wanted = record.doc.attachment
        found = enforcement.report(
            wanted, advert, plugin=record.plugin, vif_type=record.vif_type,
            logs=self.journal.sets.logs(),
        )  # fmt: skip
        found = enforcement.as_made(found, record.vif)
        return [e.feature for e in found if e.level is Level.NONE and e.requested is not False]

    def _delivery(self, port_id: str, events: int) -> Delivery:
        """What the journal says beside the record; without it there is an explanation all the same.

        Who answers "why" at night must not fail because the disk does.
        """
        told = Delivery(
            waiting="", unreachable=self.service.problem, service=self.service.name, events=()
        )
        with contextlib.suppress(errors.JournalError):
            outgoing = self.journal.waiting(port_id)
            told["waiting"] = outgoing.status if outgoing is not None else ""
            told["events"] = self.journal.history(port_id, events)
        return told


def _shall_be_open(record: PortRecord) -> bool:
    """What a reading is held against: a degraded port is one that was opened, whatever a check made
    of it since."""
    return record.open or (record.phase is Phase.DEGRADED and wants_open(record))


def _ends(record: PortRecord) -> list[str]:
    """What a guest may hold of a port: its device, or its socket."""
    made = record.wiring or record.names
    return [made.device, str(made.details.get("socket") or "")] if made is not None else []


def _carrier(report: Report) -> bool | None:
    """Whether the port's tap has a carrier, where it was read."""
    seen = (e.have for e in report.evidence if e.fact == "device.carrier")
    return next((have for have in seen if isinstance(have, bool)), None)


def _without_carrier(found: Sequence[Holder]) -> list[Evidence]:
    """The kernel gives a tap its carrier when it is opened; only somebody takes it from one."""
    if not found:
        return []
    return [Evidence("guest.carrier", str(found[0]), ok=False, source="proc", repairable=False)]
