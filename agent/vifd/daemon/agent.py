"""The daemon as the API and the network service see it."""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from vifd import __version__, errors
from vifd.capabilities import enforcement
from vifd.capabilities.enforcement import Enforcement
from vifd.daemon.hostview import HostView
from vifd.daemon.rereading import Reading
from vifd.engine import Engine, notifications
from vifd.engine.adoption import Adoption
from vifd.engine.counting import Counting
from vifd.engine.decision import Request
from vifd.engine.garbage.collector import Collector
from vifd.engine.metrics import Metrics
from vifd.engine.release import Release
from vifd.engine.setdesk import SetDesk
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.engine.upgrade.guard import Guard, Unguarded
from vifd.explain.examiner import Examiner
from vifd.guests import Guests
from vifd.migration.book import Book, Watched
from vifd.migration.moving import Moves
from vifd.migration.telling import tell, tell_gap
from vifd.migration.timeline import Migration
from vifd.model import Document, Parts, Phase, PortRecord, Role, Side, sides
from vifd.model.comparison import YOUNG, Compared, compared
from vifd.model.event import Event
from vifd.model.plugger import Plugger
from vifd.model.sides import Said
from vifd.model.status import status_of
from vifd.negotiation.token import Claims
from vifd.plugin import CONTRACT_VERSION, Advert, Health, VifPlugin
from vifd.plugin.inspection import Inspection
from vifd.plugin.registry import Found
from vifd.safety import limits, steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)
#: So many ports are named in the status.
_NAMED = 20


class Agent:
    """Answers questions from memory and hands requests to the engine; no call blocks. What another
    room answers is asked of it: ``host``, ``offers``, ``explainer``, ``counting``, ``guests``,
    ``garbage``, ``upgrades``, ``adoption``, ``releases``.

    :param found: every plugin that discovery saw, admitted or refused
    :param guests: what is done about the guests behind the ports
    :param host: what is known of the host
    :param guard: holds back what an upgrade would change
    :param reading: what came of reading the configuration
    :param examiner: answers why a port works or does not
    :param budget: seconds that the opening of a port may take in a migration; 0 for no limit
    :param peers: the agents that are told of migrations, and why one cannot be told
    :param service: the name of the network service, and why it can be neither told nor heard
    :param ahead: whether the service has ports made ahead of compute, and why, as a sentence
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        metrics: Metrics,
        found: Sequence[Found],
        host: HostView | None = None,
        examiner: Examiner | None = None,
        guests: Guests | None = None,
        collector: Collector | None = None,
        guard: Guard | None = None,
        reading: Callable[[], Reading] = lambda: Reading(0.0),
        budget: Callable[[], float] = lambda: 0.0,
        peers: Callable[[], Mapping[str, str]] = dict,
        service: Callable[[], tuple[str, str]] = lambda: ("", ""),
        ahead: Callable[[], str] = lambda: "",
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._metrics = metrics
        self._found = found
        self.guests = guests or Guests(engine, journal)
        self.garbage = collector or Collector.of(engine, journal)
        self.upgrades = guard or Unguarded()
        self._reading = reading
        self._peers = peers
        self._service = service
        self._ahead = ahead
        self.adoption = Adoption(engine, journal)
        self.releases = Release(engine, journal)
        self.host = host or HostView(engine)
        self.explainer = examiner or Examiner(engine, journal)
        self.offers = engine.offering
        self.counting = Counting(engine, journal)
        #: shared sets
        self.sets = SetDesk(engine.submit_sets, journal.sets, engine.refreshes.waiting)
        #: arrivals of guests
        self.migrations = Book(Watched(journal.get, self._arrived, self._gap), budget=budget)
        #: ports that change their back end
        self.moves = Moves(engine, journal, metrics.moved.observe, self._migrating)
        self._started = time.time()

    # --- questions ---

    def status(self) -> dict[str, Any]:
        records = {record.id: record for record in self.ports()}
        upgrade = self.upgrades.state.value
        service, unheard = self._service()
        return {
            "live": not steady.stuck(),
            "threads": steady.problems(),
            "limits": limits.problems(),
            "ready": self._engine.ready and upgrade != "measuring" and not self._engine.stopping,
            "stopping": self._engine.stopping,
            "version": __version__,
            "contract_version": CONTRACT_VERSION,
            "host": socket.gethostname(),
            "started_at": self._started,
            "plugins": {p["name"]: p["state"] for p in self.plugins()},
            "ports": self._phases(records.values()),
            "statuses": dict(Counter(status_of(r).value for r in records.values())),
            "network_service": service,
            "network_problem": unheard or None,
            "network_ahead": self._ahead() or None,
            "outbox": self._journal.outbox_size(),
            "sets": {kind.value: n for kind, n in self._journal.sets.counts().items()},
            "repair": self._engine.settings.repair,
            "upgrade": upgrade,
            "hypervisor": self.guests.status(),
            "peers": dict(self._peers()),
            "journal_problem": self._journal.problem or None,
            "journal_set_aside": str(self._journal.set_aside or "") or None,
            "journal_in_doubt": self._journal.in_doubt,
            "unrecorded": self._unrecorded(),
            "unreadable": sorted(self._journal.unreadable),
            "configuration_problem": self._reading().problem or None,
            "configuration_read_at": self._reading().at,
            "configuration_unknown": self._reading().unknown,
            "configuration_pending": self._reading().pending,
        }

    def _unrecorded(self) -> dict[str, Any]:
        """Ports that only marks on this host know: how many, and the first of them."""
        found = self.garbage.unrecorded()
        return {"count": len(found), "ports": found[:_NAMED]}

    def _phases(self, records: Iterable[PortRecord]) -> dict[str, int]:
        """How many ports are in each phase, those among them that cannot be made yet."""
        waiting = Counter("FAILED" if p.error else "WAITING" for p in self.waiting().values())
        return dict(Counter(r.phase.value for r in records) + waiting)

    def plugins(self) -> list[dict[str, Any]]:
        return [self._plugin(found) for found in self._found]

    def _plugin(self, found: Found) -> dict[str, Any]:
        head: dict[str, Any] = {
            "name": found.name,
            "distribution": found.distribution,
            "entry_point": found.target,
        }
        plugin = self._engine.plugins.get(found.name)
        if found.refusal is not None or plugin is None:
            error = found.refusal or errors.PluginMissing(facts={"wanted": found.name, "have": []})
            refused = {"state": "refused", "reasons": [error.message], "error": error.to_dict()}
            return {**head, **refused, "version": None}
        return {**head, **self._admitted(found.name, plugin)}

    def _admitted(self, name: str, plugin: VifPlugin) -> dict[str, Any]:
        probe = self._engine.probes[name]
        lane = self._engine.lanes[name]
        advert = self._engine.adverts[name]
        busy = lane.busy
        return {
            "version": plugin.plugin_version,
            "contract_version": plugin.contract_version,
            "state": Health.UNAVAILABLE.value if lane.quarantined else probe.health.value,
            "reasons": probe.reasons,
            "facts": probe.facts,
            "quarantined": lane.quarantined,
            "busy": None if busy is None else {"what": busy.what, "ports": len(busy.ports)},
            "queue": lane.waiting,
            "vif_types": list(advert.vif_types),
            "vnic_types": list(advert.vnic_types),
            "network_types": list(advert.network_types),
            "tunnels": {kind: way.local_ip for kind, way in probe.tunnels.items()},
            "features": sorted(advert.features),
            "in_place": sorted(advert.in_place),
        }

    def verify_plugin(self, name: str) -> Future[Inspection]:
        """See :meth:`vifd.api.backend.Backend.verify_plugin`."""
        found = next((f for f in self._found if f.name == name), None)
        if found is not None and found.refusal is not None:
            raise found.refusal.copy()
        if name not in self._engine.plugins:
            have = sorted(self._engine.plugins)
            raise errors.PluginMissing(facts={"wanted": name, "have": have}, stage="plugin")
        lane = self._engine.lanes[name]
        if lane.quarantined:
            reason = "; ".join(self._engine.probes[name].reasons)
            facts = {"plugin": name, "reason": reason}
            raise errors.PluginUnhealthy(facts=facts, stage="plugin")
        return self._engine.lanes.inspect(name)

    def ports(self) -> list[PortRecord]:
        return [self._engine.unwritten.shown(r) for _, r in sorted(self._journal.records().items())]

    def port(self, port_id: str) -> PortRecord:
        record = self._journal.get(port_id)
        if record is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        return self._engine.unwritten.shown(record)

    def enforcement(self, record: PortRecord) -> list[Enforcement]:
        """See :meth:`vifd.api.backend.Backend.enforcement`."""
        advert = self._engine.adverts.get(record.plugin) or Advert(vif_types=())
        wanted, vif_type = record.doc.attachment, record.vif_type
        found = enforcement.report(
            wanted, advert, plugin=record.plugin, vif_type=vif_type,
            logs=self._journal.sets.logs(),
        )  # fmt: skip
        return enforcement.as_made(found, record.vif)

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        return self._journal.events(after, limit)

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        return self._engine.bus.listen(callback)

    def metrics(self) -> bytes:
        return self._metrics.render(self.gauge)

    def _migrating(self, port_id: str) -> bool:
        """Whether a guest is on its way to a port."""
        return any(one.port == port_id and not one.ended for one in self.migrations.all())

    def _arrived(self, one: Migration) -> None:
        """A migration has ended: count it, and say so."""
        tell(one, self._metrics, self._engine.post, journal=self._journal)

    def _gap(self, one: Migration) -> None:
        """The network gap of a migration is known."""
        tell_gap(one, self._metrics, self._engine.post, journal=self._journal)

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        counts = Counter(self._phases(self._journal.records().values()))
        for phase in Phase:
            self._metrics.ports.labels(phase.value).set(counts.get(phase.value, 0))
        for name, lane in self._engine.lanes.items():
            self._metrics.queue.labels(name).set(lane.waiting)
        for thread, number in steady.failures().items():
            self._metrics.threads.labels(thread).set(number)
        self._metrics.outbox.set(self._journal.outbox_size())
        self._metrics.shared(self._journal.sets.counts(), self._journal.sets.pieces)
        reading = self._reading()
        self._metrics.configured(
            good=not reading.problem, at=reading.at, unknown=len(reading.unknown)
        )
        self.guests.gauge(self._metrics)
        self._metrics.counted(self.counting.sums.totals())
        self.counting.refresh()

    # --- requests ---

    def plug(
        self,
        docs: Sequence[Document],
        request_id: str,
        claims: Mapping[str, Claims] | None = None,
        *,
        taking: bool = False,
    ) -> list[Ticket]:
        tickets = [Ticket(doc.id, request_id) for doc in docs]
        known = claims or {}
        requests = []
        for doc, ticket in zip(docs, tickets, strict=True):
            if (refusal := self.upgrades.refuse(doc)) is not None:
                ticket.fail(refusal)
            else:
                requests.append(
                    Request(Kind.PLUG, ticket, doc=doc, claims=known.get(doc.id), taking=taking)
                )
        self._engine.submit(requests)
        return tickets

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        tickets = [Ticket(port_id, request_id) for port_id in port_ids]
        self._engine.submit([Request(Kind.UNPLUG, ticket) for ticket in tickets])
        return tickets

    def say(self, said: Said, request_id: str, *, taking: bool = False) -> Ticket:
        """See :meth:`vifd.api.backend.Backend.say`."""
        ticket = Ticket(said.port, request_id)
        kind = Kind.UNPLUG if said.part is None else Kind.PLUG
        self._engine.submit([Request(kind, ticket, said=said, taking=taking)])
        return ticket

    def parts(self, port_id: str) -> Parts | None:
        """See :meth:`vifd.api.backend.Backend.parts`."""
        return sides.known(self._journal.parts(port_id), self._journal.get(port_id))

    def waiting(self) -> Mapping[str, Parts]:
        """See :meth:`vifd.api.backend.Backend.waiting`."""
        records = self._journal.records()
        return {i: p for i, p in self._journal.all_parts().items() if i not in records}

    def compare(
        self, side: Side, owner: str | None, ids: Sequence[str], request_id: str, *, remove: bool,
        force: bool, made: float | None = None,
    ) -> Compared:  # fmt: skip
        """See :meth:`vifd.api.backend.Backend.compare` and :meth:`vifd.network.Inbox.compare`."""
        made = time.time() - YOUNG if made is None else made
        known = {i: self.parts(i) for i in (*self._journal.records(), *self.waiting())}
        every = {i: parts for i, parts in known.items() if parts is not None}
        found = compared(every, side, owner, ids, made)
        if found.stale:
            LOG.warning(
                "%s does not list %d ports that it had here: %s. Next: %s. request=%s",
                owner or side.value, len(found.stale), ", ".join(found.stale[:5]),
                "they go now" if remove else "look at them; repeat the call with remove",
                request_id,
            )  # fmt: skip
        if not remove or not found.stale:
            return found
        excess = self.garbage.settings.limits.exceeded(len(found.stale), len(every))
        if excess and not force:
            facts = {"count": len(found.stale), "total": len(every), "reason": excess}
            raise errors.GarbageLimit(facts=facts, stage="compare")
        for port_id in found.stale:
            self.say(Said(port_id, side), request_id)
        return Compared(found.stale, found.missing, removed=True)

    def awaited(self, port_id: str, request_id: str) -> Ticket:
        """See :meth:`vifd.api.backend.Backend.awaited`."""
        ticket = Ticket(port_id, request_id)
        present = self._journal.get(port_id)
        if present is None and self.parts(port_id) is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        self._engine.tickets.add(Kind.PLUG, ticket)
        # A lane may have been faster than this thread.
        now = self._journal.get(port_id)
        if present is not None or now is not None:
            self._engine.tickets.settle(port_id, present, now, None)
        return ticket

    @property
    def plugger(self) -> Plugger | None:
        """See :attr:`vifd.network.Inbox.plugger`."""
        return self._engine.prewiring.plugger

    @property
    def hostname(self) -> str:
        """See :meth:`vifd.api.backend.Backend.hostname`."""
        return self._engine.settings.hostname

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        ticket = Ticket(port_id, request_id)
        self._engine.submit([Request(Kind.PLUG, ticket, role=role)])
        return ticket

    def check(self, port_id: str, request_id: str) -> Future[PortRecord]:
        ticket = Ticket(port_id, request_id)
        self._engine.submit([Request(Kind.CHECK, ticket)])
        return ticket.done

    def notify(self) -> None:
        """See :meth:`vifd.network.Inbox.notify`."""
        self._engine.hooks.outbox_changed()

    def untold(self) -> set[str]:
        """See :meth:`vifd.network.Inbox.untold`."""
        return {status.port_id for status in self._journal.outbox()}

    def reassert(self) -> None:
        """Put every status into the outbox again."""
        self._journal.reassert(notifications.outgoing)
