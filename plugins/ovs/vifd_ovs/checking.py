"""Check: read a port back, in the order of the path that a frame of the guest takes."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers import Drivers, Link
from vifd.errors import VifError
from vifd.model import Evidence, Report
from vifd.ovs import evidence, marks, proofs
from vifd.ovs.bridges import Bridges
from vifd.ovs.evidence import FlowReader, fact
from vifd.ovs.ports import SwitchPort, switch_port
from vifd.ovs.switch import Switch
from vifd.plugin import Host, Item
from vifd_ovs.batch import Batch, Work


class Checking:
    """One ``check`` call. Changes nothing."""

    def __init__(
        self, plugin: str, host: Host, bridges: Bridges, switches: dict[str, Switch],
        items: Sequence[Item],
    ) -> None:  # fmt: skip
        self.plugin = plugin
        self.drivers: Drivers = host.drivers
        self.clock = host.clock
        self.bridges = bridges
        self.switches = switches
        self.batch = Batch.of(items)

    def run(self) -> dict[str, Report]:
        """A report for every port."""
        reports = {
            port_id: Report([Evidence("wiring", have=error.message, wanted="readable", ok=False)],
                            at=self.clock())
            for port_id, error in self.batch.failed.items()
        }  # fmt: skip
        links = self.drivers.links.get([w.device for w in self.batch])
        for name, works in self.batch.bridges().items():
            ports = {w.id: switch_port(w.item.attachment, w.names, opened=w.item.open)
                     for w in works}  # fmt: skip
            reader = FlowReader(self.switches[name], ports)
            for work in works:
                facts = device_evidence(work, links.get(work.device))
                facts += self._switch_evidence(work, links.get(work.device))
                flows, passing = self._flow_evidence(reader, work, ports[work.id])
                reports[work.id] = Report([*facts, *flows], at=self.clock(), passing=passing)
        return reports

    def _switch_evidence(self, work: Work, link: Link | None) -> list[Evidence]:
        names = work.names
        row = self.drivers.ovsdb.port(work.device)
        ids = marks.external_ids(work.item.attachment, names, self.plugin)
        facts = [fact("ovsdb.connected", self.drivers.ovsdb.connected(), True, "ovsdb")]
        facts += evidence.row_evidence(row, names.bridge, names.ofport, names.tag, ids)
        if row is not None and row.ifindex is not None and link is not None:
            facts.append(fact("ovsdb.ifindex", row.ifindex, link.ifindex, "ovsdb"))
        return facts + evidence.patch_evidence(self.bridges, names)

    def _flow_evidence(
        self, reader: FlowReader, work: Work, port: SwitchPort
    ) -> tuple[list[Evidence], bool | None]:
        """The facts, and whether the port was found open: unknown where nothing can be read."""
        try:
            facts = reader.evidence(port)
        except VifError as error:
            return [fact("flows", error.message, "readable", "openflow")], None
        if work.item.deep:
            facts += proofs.traces(self.drivers.tracer, work.names.bridge, port)
        return facts, port.id in reader.passing


def device_evidence(work: Work, link: Link | None) -> list[Evidence]:
    """The tap device."""
    if link is None:
        return [fact("device", "missing", work.device, "netlink")]
    attachment, names = work.item.attachment, work.names
    facts = [fact("device", link.name, work.device, "netlink")]
    if names.ifindex is not None:
        facts.append(fact("device.ifindex", link.ifindex, names.ifindex, "netlink"))
    facts += [
        fact("device.mac", link.mac, attachment.mac, "netlink"),
        fact("device.mtu", link.mtu, attachment.network.mtu, "netlink"),
        fact("device.multi_queue", link.multi_queue, names.multi_queue, "netlink"),
        fact("device.up", link.up, True, "netlink"),
        fact("device.alias", link.alias, marks.alias(work.id), "netlink"),
    ]
    if link.ipv6 is not None:
        facts.append(fact("device.ipv6", link.ipv6, False, "netlink"))
    # a guest need not run yet
    return [*facts, Evidence("device.carrier", have=link.carrier, source="netlink")]
