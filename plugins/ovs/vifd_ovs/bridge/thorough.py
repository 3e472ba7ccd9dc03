"""What is read for somebody who asks why: too costly, or too little of a fault, for every check."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers import OpenFlow
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.openflow.flow import Flow
from vifd_ovs.bridge import subflows, uplinks
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.beyond import Way
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.flows import ADMIT, GUARD
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.tables import CLASSIFY, SPOOFED


def evidence(work: Work, bridges: Bridges) -> list[Evidence]:
    """What the database tells besides: another port with the same id, and the physical network."""
    return [*_twins(work, bridges), *_uplink(work, bridges)]


def _twins(work: Work, bridges: Bridges) -> list[Evidence]:
    """Other ports that other software takes for this one."""
    rows = bridges.ovsdb.ports(work.names.bridge) if bridges.ovsdb.bridge(work.names.bridge) else []
    twins = [
        row.name
        for row in rows
        if row.external_ids.get("iface-id") == work.id and row.name != work.device
    ]
    if not twins:
        return []
    return [Evidence("ovsdb.iface_id", twins, [], ok=False, source="ovsdb", repairable=False)]


def _uplink(work: Work, bridges: Bridges) -> list[Evidence]:
    """The interface to the physical network: its carrier, and its MTU."""
    physnet = work.names.physical_network
    uplink = uplinks.physical_networks(bridges).get(physnet) if physnet else None
    if uplink is None or bridges.ovsdb.bridge(uplink.device) is None:
        return []
    have = uplink.problem or "up" if uplink.up is not None else uplink.problem or "unknown"
    down = uplink.up is False
    facts = [Evidence("uplink.carrier", have, "up", not down, "ovsdb", repairable=False)]
    mtu = work.item.attachment.network.mtu
    if uplink.mtu is not None:
        fits = mtu <= uplink.mtu
        facts.append(Evidence("uplink.mtu", uplink.mtu, mtu, fits, "ovsdb", repairable=False))
    return facts


def way(work: Work, bridges: Bridges, port: SwitchPort) -> Way:
    """The way of a port out of the host, as far as there is one now."""
    physical = bridges.mappings.get(work.names.physical_network or "", "")
    there = bool(physical) and bridges.ovsdb.bridge(physical) is not None
    rows = [row for row in bridges.uplinks(physical) if (row.ofport or 0) > 0] if there else []
    return Way(port, _device(work, bridges, port), work.names.bridge, physical, rows)


def _device(work: Work, bridges: Bridges, port: SwitchPort) -> str:
    """What its frames are given to: a sub-port's to its parent's device."""
    if (via := port.via) is None:
        return work.device
    rows = bridges.ovsdb.ports(work.names.bridge)
    return next((row.name for row in rows if row.ofport == via.ofport), work.device)


def flow_evidence(openflow: OpenFlow, bridge: str, port: SwitchPort) -> list[Evidence]:
    """How many frames of the port passed since its flows were made, by what became of them."""
    try:
        own: Sequence[Flow] = openflow.dump(bridge, port.cookie)
    except VifError:
        return []
    packets = {(flow.table, flow.priority): 0 for flow in own}
    for flow in own:
        packets[flow.table, flow.priority] += flow.packets
    guard = GUARD if port.sub is None else subflows.GUARD
    kinds = {"let in": (CLASSIFY, ADMIT), "dropped": (CLASSIFY, guard)}
    have = {word: packets[key] for word, key in kinds.items() if key in packets}
    refused = [count for (table, _), count in packets.items() if table == SPOOFED]
    if refused:
        have["refused as spoofed"] = sum(refused)
    return [Evidence("flows.frames", have=have, source="openflow")] if have else []


def tags(switch: Switch, port: SwitchPort) -> list[Evidence]:
    """The tags that a trunk's parent carries: those of its sub-ports that are here."""
    if port.trunk is None:
        return []
    ports = switch.effective({i: p for i, _ in port.trunk.sub_ports if (p := switch.get(i))})
    here = sorted(p.via.vlan for p in ports.values() if p.via is not None)
    return [Evidence("trunk.tags", here, source="openflow")]
