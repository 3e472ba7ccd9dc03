"""Check: read ports back, in the order of the path that a frame of the guest takes."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from vifd.drivers import Drivers, PortRow
from vifd.errors import VifError
from vifd.model import Evidence, Report
from vifd.model.evidence import fact
from vifd.plugin import Host, Item, claimed
from vifd_ovs.bridge import (
    beyond,
    evidence,
    limits,
    marks,
    proofs,
    puton,
    ruleproofs,
    settings,
    settled,
    thorough,
    tunnelchecks,
)
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.evidence import FlowReader
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.silence import PATIENCE, Silence, listen
from vifd_ovs.bridge.strangers import Strangers
from vifd_ovs.bridge.switch import Switch


class PortChecking(abc.ABC):
    """One ``check`` call. Changes nothing. A plugin adds what its guests are connected by."""

    def __init__(
        self, plugin: str, host: Host, bridges: Bridges, switches: dict[str, Switch],
        strangers: Strangers, items: Sequence[Item],
    ) -> None:  # fmt: skip
        self.strangers = strangers
        self.plugin = plugin
        self.drivers: Drivers = host.drivers
        self.flags = settled.PortFlags(host.drivers.openflow)
        self.clock = host.clock
        self.ledger = host.ledger
        self.bridges = bridges
        self.sets = host.sets
        self.ways = tunnelchecks.Ways(host.drivers, bridges)
        self.switches = switches
        self.batch = Batch.of(items)
        self.silence = Silence()
        #: seconds that the switch has for a word
        self.answer_within = PATIENCE

    #: whether threads of their own move the frames of these ports
    polled: ClassVar[bool] = False

    @abc.abstractmethod
    def prepare(self) -> None:
        """Read once what many ports are judged by."""

    @abc.abstractmethod
    def guest_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """What lies between the guest and the switch port."""

    def row_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """The port in the switch's database."""
        if row is None:
            return [evidence.missing_evidence(self.drivers.ovsdb, work.device)]
        ids = marks.external_ids(work.item.attachment, work.names, self.plugin)
        tag = work.names.row_tag(opened=work.item.open)
        facts = evidence.row_evidence(row, work.names, tag, ids)
        return facts + evidence.plugged_evidence(row, work.item.attachment)

    def run(self) -> dict[str, Report]:
        """A report for every port, of the time at which the reading began: what changes meanwhile
        is newer than it."""
        began = self.clock()
        reports = {
            port_id: Report([Evidence("wiring", have=error.message, wanted="readable", ok=False)],
                            at=began)
            for port_id, error in self.batch.failed.items()
        }  # fmt: skip
        at_rest = all(w.item.settled or w.item.thorough for w in self.batch.works)
        self.silence = listen(self.drivers, at_rest=at_rest, patience=self.answer_within)
        self.prepare()
        for name, works in self.batch.bridges().items():
            ports = self.switches[name].effective({
                w.id: switch_port(w.item.attachment, w.names, opened=w.item.open) for w in works
            })  # fmt: skip
            reader = self._reader(name, works, ports)
            found: dict[str, tuple[list[Evidence], bool | None]] = {}
            judge = partial(self._judge, name, works, ports, reader, found)
            asked = [w for w in works if w.item.deep and self._readable(reader, w.item)]
            traces = self._traces(name, [(ports[w.id], w.item.thorough) for w in asked], judge)
            mode = evidence.mode_evidence(self.bridges, name)
            for work in works:
                row = self.drivers.ovsdb.port(work.device)
                facts = self.guest_side(work, row) + self._switch_evidence(work, row) + mode
                flows, passing = found[work.id]
                if passing is not None:
                    flows += self._beside(work, ports[work.id])
                facts += flows + (traces.get(work.id, []) if passing is not None else [])
                if work.item.thorough and passing is not None:
                    facts += self._beyond(work, ports[work.id])
                reports[work.id] = Report(self.silence.judged(facts), at=began, passing=passing)
        return reports

    def _traces(
        self, bridge: str, ports: Sequence[tuple[SwitchPort, bool]], meanwhile: Callable[[], None]
    ) -> dict[str, list[Evidence]]:
        """What the switch itself says of frames of these ports, and of such that their rules are
        about.

        :param ports: each with whether to be thorough
        :param meanwhile: called once, while the switch is at work
        """
        switch = self.switches[bridge]
        asked = []
        for port, thorough_ in ports:
            if port.sub is not None and port.via is None:
                continue  # its frames come in nowhere
            of_rules = ruleproofs.frames(port, switch.probes(port) if port.is_open else ())
            asked.append((port, [*proofs.frames(port, thorough=thorough_), *of_rules]))
        found = proofs.traces(self.drivers.tracer, bridge, asked, meanwhile)
        switch.proven(port_id for port_id, facts in found.items() if all(f.ok for f in facts))
        return found

    def _reader(
        self, bridge: str, works: Sequence[Work], ports: Mapping[str, SwitchPort]
    ) -> FlowReader | None:
        """Who reads the flows of these ports; nobody where the switch is not asked."""
        if self.silence.unread:
            return None
        interim = all(w.item.interim for w in works)
        return FlowReader(self.switches[bridge], ports, interim=interim)

    def _readable(self, reader: FlowReader | None, item: Item) -> bool:
        # without its database the switch answers nobody; who asks why shall not wait for that
        unasked = reader is None or (item.thorough and not self.drivers.ovsdb.connected())
        return not unasked and reader is not None and reader.read()

    def _judge(
        self, bridge: str, works: Sequence[Work], ports: Mapping[str, SwitchPort],
        reader: FlowReader | None, found: dict[str, tuple[list[Evidence], bool | None]],
    ) -> None:  # fmt: skip
        """Note the facts of each port's flows, and whether it was found open."""
        if reader is None:
            said = self.silence.flows(self.drivers, bridge, polled=self.polled)
            found.update({w.id: ([said], None) for w in works})
        else:
            found.update({w.id: self._flow_evidence(reader, ports[w.id], w.item) for w in works})

    def _beside(self, work: Work, port: SwitchPort) -> list[Evidence]:
        """Flows of others, and the frames that were counted."""
        found, name = [], work.names.bridge
        if work.item.settled or work.item.thorough:
            found += settled.flow_evidence(self.strangers, self.bridges, name, port)
            found += settled.port_evidence(work, self.bridges, self.flags)
        if work.item.settled and not work.item.thorough:
            way = thorough.way(work, self.bridges, port)
            found += self.strangers.passages.evidence(self.drivers.tracer, self.bridges, way)
        if work.item.thorough:
            found += thorough.flow_evidence(self.drivers.openflow, name, port)
            found += thorough.tags(self.switches[name], port)
        return found

    def _beyond(self, work: Work, port: SwitchPort) -> list[Evidence]:
        """Traces from the port to the card, and to the port."""
        way = thorough.way(work, self.bridges, port)
        neighbour = self.switches[work.names.bridge].neighbour(port)
        forwarding = self.sets.forwarding(work.names.network_id)
        return [
            *beyond.evidence(self.drivers.tracer, way, neighbour),
            *tunnelchecks.trace_evidence(self.drivers, self.bridges, work, port, forwarding),
        ]

    def _switch_evidence(self, work: Work, row: PortRow | None) -> list[Evidence]:
        names = work.names
        facts = [self.silence.connected(self.drivers)]
        if self.silence.never:
            return facts
        facts += evidence.bridge_evidence(self.bridges, names.bridge, row)
        facts += self.row_side(work, row)
        facts += evidence.network_evidence(self.bridges, work.item.attachment, names)
        facts += tunnelchecks.port_evidence(work, self.bridges)
        if work.item.settled or work.item.thorough:
            facts += settled.uplink_evidence(work, self.bridges)
            facts += limits.port_evidence(row, theirs=work.names.hosted) + limits.way_evidence(
                work, self.bridges
            )
            facts += settings.evidence(work, self.bridges)
            facts += puton.filters(self.drivers, work.device, self.bridges.cards(names))
            facts += self.ways.evidence(work, self.sets.forwarding(names.network_id))
        if not work.item.thorough:
            return facts
        cards = self.bridges.cards(names)
        facts += settled.card_evidence(work, self.bridges, self.drivers.links)
        facts += puton.way_evidence(self.drivers, cards)
        physical = self.bridges.mappings.get(names.physical_network or "", "")
        places = (names.bridge, physical, *cards)
        facts += claimed.evidence(self.drivers.bridging, work.item.attachment, places)
        return facts + thorough.evidence(work, self.bridges)

    def _flow_evidence(
        self, reader: FlowReader, port: SwitchPort, item: Item
    ) -> tuple[list[Evidence], bool | None]:
        """The facts, and whether the port was found open: unknown where nothing can be read."""
        if item.thorough and not self.drivers.ovsdb.connected():
            return [], None
        try:
            facts = reader.evidence(port)
        except VifError as error:
            return [fact("flows", error.message, "readable", "openflow")], None
        return facts, port.id in reader.passing
