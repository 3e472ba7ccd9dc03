"""The daemon as the API and the network service see it."""

from __future__ import annotations

import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from vifd import __version__, errors
from vifd.decision import Request
from vifd.engine import Engine, outgoing
from vifd.inspection import Inspection
from vifd.metrics import Metrics
from vifd.model import Document, Phase, PortRecord, Role
from vifd.plugin import CONTRACT_VERSION, Health, VifPlugin
from vifd.registry import Found
from vifd.status import status_of
from vifd.store import Journal
from vifd.ticket import Event, Ticket
from vifd.tickets import Kind


class Agent:
    """Answers questions from memory and hands requests to the engine; no call blocks.

    :param found: every plugin that discovery saw, admitted or refused
    :param facts: what is known of the host beyond the plugins' probes
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        metrics: Metrics,
        found: Sequence[Found],
        facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._metrics = metrics
        self._found = found
        self._facts = facts
        self._started = time.time()
        self.stopping = False

    # --- questions ---

    def status(self) -> dict[str, Any]:
        records = self._journal.records()
        return {
            "live": True,
            "ready": self._engine.ready and not self.stopping,
            "stopping": self.stopping,
            "version": __version__,
            "contract_version": CONTRACT_VERSION,
            "host": socket.gethostname(),
            "started_at": self._started,
            "plugins": {p["name"]: p["state"] for p in self.plugins()},
            "ports": dict(Counter(r.phase.value for r in records.values())),
            "statuses": dict(Counter(status_of(r).value for r in records.values())),
            "outbox": self._journal.outbox_size(),
            "journal_set_aside": str(self._journal.set_aside or "") or None,
        }

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
        advert = self._engine.adverts()[name]
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
        return self._engine.inspect(name)

    def host(self) -> dict[str, Any]:
        system = platform.uname()
        return {
            "host": socket.gethostname(),
            "kernel": system.release,
            "machine": system.machine,
            "python": platform.python_version(),
            "vifd": __version__,
            **self._facts(),
            "plugins": {
                name: {"state": probe.health.value, "reasons": probe.reasons, "facts": probe.facts}
                for name, probe in self._engine.probes.items()
            },
        }

    def ports(self) -> list[PortRecord]:
        return [record for _, record in sorted(self._journal.records().items())]

    def port(self, port_id: str) -> PortRecord:
        record = self._journal.get(port_id)
        if record is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        return record

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        return self._journal.events(after, limit)

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        return self._engine.bus.listen(callback)

    def metrics(self) -> bytes:
        counts = Counter(r.phase.value for r in self._journal.records().values())
        return self._metrics.render([p.value for p in Phase], counts, self._gauges)

    def _gauges(self) -> None:
        for name, lane in self._engine.lanes.items():
            self._metrics.queue.labels(name).set(lane.waiting)
        self._metrics.outbox.set(self._journal.outbox_size())

    # --- requests ---

    def plug(self, docs: Sequence[Document], request_id: str) -> list[Ticket]:
        tickets = [Ticket(doc.id, request_id) for doc in docs]
        pairs = zip(docs, tickets, strict=True)
        self._submit([Request(Kind.PLUG, ticket, doc=doc) for doc, ticket in pairs])
        return tickets

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        tickets = [Ticket(port_id, request_id) for port_id in port_ids]
        self._submit([Request(Kind.UNPLUG, ticket) for ticket in tickets])
        return tickets

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        ticket = Ticket(port_id, request_id)
        self._submit([Request(Kind.PLUG, ticket, role=role)])
        return ticket

    def check(self, port_id: str, request_id: str) -> Future[PortRecord]:
        ticket = Ticket(port_id, request_id)
        self._submit([Request(Kind.CHECK, ticket)])
        return ticket.done

    def _submit(self, requests: Sequence[Request]) -> None:
        if self.stopping:
            for request in requests:
                request.ticket.fail(errors.Stopping())
        else:
            self._engine.submit(requests)

    def reassert(self) -> None:
        """Put every status into the outbox again."""
        self._journal.reassert(outgoing)
