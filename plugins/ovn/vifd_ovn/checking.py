"""Check: the device, the row, and OVN's own evidence, in the order of the path.

``ovn-installed`` alone proves little: it stays in the database when ovn-controller or the switch is
restarted, and OVN has set it before the flows were there. So it counts only together with a flow of
the port in the switch's first table, which a trace finds in a fraction of a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from vifd.drivers import Drivers, Link, PortRow
from vifd.errors import BackendError, VifError
from vifd.model import Evidence, Report
from vifd.model.evidence import fact
from vifd.openflow.trace import parse
from vifd.plugin import Host, Item, claimed, packing, tap
from vifd_ovn import controller, southbound
from vifd_ovn.batch import Batch, Work
from vifd_ovn.marks import GATE, INSTALLED, external_ids
from vifd_ovn.options import Settings
from vifd_ovs.bridge import limits, marks, masters, puton, settings
from vifd_ovs.bridge.chassis import Chassis, chassis_of
from vifd_ovs.bridge.evidence import missing_evidence
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.silence import PATIENCE, Silence, listen

#: Of the documentation prefix (RFC 5737).
_ANY_ADDRESS = "192.0.2.1"


class Checking:
    """One ``check`` call. Changes nothing.

    :param patient: whether a port that OVN has not wired may still become clean: ovn-controller has
        its time first
    """

    def __init__(
        self, plugin: str, host: Host, settings: Settings, items: Sequence[Item],
        patient: Callable[[str, bool], bool],
    ) -> None:  # fmt: skip
        self.plugin = plugin
        self.drivers: Drivers = host.drivers
        self.clock = host.clock
        self.settings = settings
        self.batch = Batch.of(items)
        self._patient = patient
        self._chassis = chassis_of(self.drivers.ovsdb.facts())
        self._controller = ""
        self._silence = Silence()
        self.answer_within = PATIENCE

    def run(self) -> dict[str, Report]:
        """A report for every port."""
        now = self.clock()
        reports = {
            port_id: Report([Evidence("wiring", error.message, "readable", ok=False)], at=now)
            for port_id, error in self.batch.failed.items()
        }
        at_rest = all(w.item.settled or w.item.thorough for w in self.batch)
        self._silence = listen(self.drivers, at_rest=at_rest, patience=self.answer_within)
        links = self.drivers.links.get([w.device for w in self.batch])
        rows = {w.id: self.drivers.ovsdb.port(w.device) for w in self.batch}
        wired = self._wired(rows)
        heard = Hearing(self.drivers).evidence([w for w in self.batch if w.device in links])
        for work in self.batch:
            row, link = rows[work.id], links.get(work.device)
            facts = tap.evidence(work, link, self.settings.max_queues) + masters.evidence(link)
            facts += heard.get(work.id, [])
            facts += self._row_evidence(work, row, link)
            facts += self._beside(work, row, link)
            passing: bool | None = False
            if self._silence.unread:
                facts.append(self._silence.flows(self.drivers, work.names.bridge))
                passing = None
            elif work.item.open:
                facts += self._ovn_evidence(work, row, wired.get(work.id))
                passing = self._passing(row, work, wired.get(work.id))
            elif row is not None:
                passing = row.external_ids.get(GATE) == work.id and not work.names.held
            reports[work.id] = Report(self._silence.judged(facts), at=now, passing=passing)
        return reports

    # --- the row ---

    def _row_evidence(self, work: Work, row: PortRow | None, link: Link | None) -> list[Evidence]:
        ovsdb, bridge = self.drivers.ovsdb, work.names.bridge
        facts = [self._silence.connected(self.drivers)]
        if self._silence.never:
            return facts
        if row is None:
            if ovsdb.bridge(bridge) is None:
                facts.append(fact("switch.bridge", "missing", bridge, "ovsdb"))
            return [*facts, missing_evidence(ovsdb, work.device)]
        ids = external_ids(work.item.attachment, work.names, self.plugin)
        document = "present" if packing.DOCUMENT in row.external_ids else "missing"
        facts += [
            fact("ovsdb.port", "present", "present", "ovsdb"),
            fact("ovsdb.bridge", row.bridge, bridge, "ovsdb"),
            fact("ovsdb.type", marks.kind(row.type), marks.kind(""), "ovsdb"),
            fact("ovsdb.error", row.error, "", "ovsdb"),
            Evidence("ovsdb.ofport", row.ofport, "a number", (row.ofport or 0) > 0, "ovsdb"),
            # OVN tags frames itself
            fact("ovsdb.tag", row.tag, None, "ovsdb"),
            fact("ovsdb.external_ids", {k: row.external_ids.get(k) for k in ids}, ids, "ovsdb"),
            fact("ovsdb.document", document, "present", "ovsdb"),
            fact("ovsdb.admin_state", row.admin_state, "up", "ovsdb"),
        ]
        if row.ifindex is not None and link is not None:
            facts.append(fact("ovsdb.ifindex", row.ifindex, link.ifindex, "ovsdb"))
        gate = work.id if work.named else None
        facts.append(fact("ovn.iface_id", row.external_ids.get(GATE), gate, "ovsdb"))
        # a guest need not run yet
        facts.append(Evidence("ovsdb.link_state", have=row.link_state, source="ovsdb"))
        return facts

    def _beside(self, work: Work, row: PortRow | None, link: Link | None) -> list[Evidence]:
        """What others set beside a port at rest, and put on its tap."""
        asked = work.item.thorough and link is not None
        facts = puton.evidence(self.drivers, work.device) if asked else []
        if asked:
            places = (work.names.bridge,)
            facts += claimed.evidence(self.drivers.bridging, work.item.attachment, places)
        if self._silence.never or not (work.item.settled or work.item.thorough):
            return facts
        ovsdb, bridge = self.drivers.ovsdb, work.names.bridge
        facts += limits.port_evidence(row)
        facts += puton.filters(self.drivers, work.device)
        return facts + settings.bridge_evidence(ovsdb, bridge, {work.device})

    # --- OVN ---

    def _ovn_evidence(self, work: Work, row: PortRow | None, wired: str | None) -> list[Evidence]:
        if row is None:
            return []
        installed = row.external_ids.get(INSTALLED) == "true"
        good = installed and wired == ""
        more = self._patient(work.id, good)
        lacking: list[Evidence] = []
        if not good or work.item.thorough:
            lacking += self._why(work)
        return [
            *(e if e.ok else _theirs(e, more) for e in lacking),
            Evidence("ovn.installed", installed, True, installed, "ovsdb", more or installed),
            Evidence(
                "ovn.flows", "present" if wired == "" else wired or "not read", "present",
                wired == "", "trace", more or wired == "",
            ),
        ]  # fmt: skip

    def _why(self, work: Work) -> Iterator[Evidence]:
        """What stands behind a port that OVN has not wired."""
        chassis = self._chassis
        if chassis is None:
            yield Evidence("ovn.remote", "not set", "set", False, "ovsdb")
            return
        if chassis.bridge != work.names.bridge:
            yield fact("ovn.bridge", chassis.bridge, work.names.bridge, "ovsdb")
        if not chassis.encap_types or not chassis.encap_ip:
            yield fact("ovn.encapsulation", "missing", "ovn-encap-type and ovn-encap-ip", "ovsdb")
        said = self._controller = self._controller or controller.state(self.settings.rundir)
        yield fact("ovn.controller", said, controller.CONNECTED, "ovn-controller")
        if work.item.thorough:
            yield from self._southbound(work, chassis)

    def _southbound(self, work: Work, chassis: Chassis) -> Iterator[Evidence]:
        timeout, tls = self.settings.southbound_timeout, self.settings.tls
        answer = southbound.read(chassis.remote, work.id, timeout, tls)
        if answer.problem:
            yield Evidence("ovn.southbound", answer.problem, source="southbound")
            return
        binding = answer.binding
        if binding is None:
            yield fact("ovn.logical_port", "missing", work.id, "southbound")
            return
        wanted = [name for name in binding.requested.split(",") if name]
        if wanted and not chassis.names & set(wanted):
            yield fact("ovn.requested_chassis", binding.requested, chassis.name, "southbound")
        yield fact("ovn.chassis", binding.chassis or "none", chassis.name, "southbound")
        yield fact("ovn.up", binding.up, True, "southbound")

    def _passing(self, row: PortRow | None, work: Work, wired: str | None) -> bool | None:
        if wired is None:
            return None
        return row is not None and row.external_ids.get(GATE) == work.id and wired == ""

    def _wired(self, rows: Mapping[str, PortRow | None]) -> dict[str, str]:
        """Per port that shall be open: empty where the switch's first table has a flow of it, else
        what a frame of it meets there. A port that cannot be read is left out."""
        found: dict[str, str] = {}
        if self._silence.unread:
            return found
        for bridge, works in self.batch.bridges().items():
            asked = [
                (w, row.ofport) for w in works
                if w.item.open and (row := rows[w.id]) is not None and (row.ofport or 0) > 0
            ]  # fmt: skip
            frames = [_frame(number or 0, w.item.attachment.mac) for w, number in asked]
            try:
                answers = self.drivers.tracer.traces(bridge, frames) if frames else []
            except VifError:
                continue
            for (work, number), answer in zip(asked, answers, strict=True):
                if not isinstance(answer, BackendError):
                    found[work.id] = _first_table(answer, number or 0)
        return found


def _frame(number: int, mac: str) -> str:
    """An ARP request of the port, in the words of ovs-ofctl."""
    return (
        f"arp,in_port={number},dl_src={mac},dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_sha={mac},"
        f"arp_spa={_ANY_ADDRESS},arp_tha=00:00:00:00:00:00,arp_tpa={_ANY_ADDRESS}"
    )


def _first_table(text: str, number: int) -> str:
    """Whether a flow for the port's number took the frame; its trace names the flow."""
    hops = parse(text).hops
    if not hops or hops[0].missed:
        return "no flow of the port in table 0"
    if f"in_port={number}" in hops[0].match.split(","):
        return ""
    return f"no flow of the port in table 0 ({hops[0]})"


def _theirs(found: Evidence, more: bool) -> Evidence:
    """What differs in OVN's world is not mended by plugging again."""
    return Evidence(found.fact, found.have, found.wanted, found.ok, found.source, repairable=more)
