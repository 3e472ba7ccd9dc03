"""What is read for somebody who asks why: too costly, or too little of a fault, for every check."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers import OpenFlow
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.openflow import match
from vifd.openflow.flow import Flow
from vifd_ovs.bridge import cookies, uplinks
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.flows import ADMIT, GUARD
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.tables import CLASSIFY, SPOOFED

#: So many flows of others are written out.
_SHOWN = 4


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


def flow_evidence(openflow: OpenFlow, bridge: str, port: SwitchPort) -> list[Evidence]:
    """What the flow tables tell besides: how much passed, and flows of others above ours."""
    try:
        flows = openflow.dump(bridge, 0, 0)
    except VifError:
        return []
    own = [flow for flow in flows if flow.cookie == port.cookie]
    return [*_counted(own), *_foreign([f for f in flows if _stands_above(f, port)])]


def _counted(own: Sequence[Flow]) -> list[Evidence]:
    """Frames of the port since its flows were made, by what became of them."""
    packets = {(flow.table, flow.priority): 0 for flow in own}
    for flow in own:
        packets[flow.table, flow.priority] += flow.packets
    kinds = {"let in": (CLASSIFY, ADMIT), "dropped": (CLASSIFY, GUARD)}
    have = {word: packets[key] for word, key in kinds.items() if key in packets}
    refused = [count for (table, _), count in packets.items() if table == SPOOFED]
    if refused:
        have["refused as spoofed"] = sum(refused)
    return [Evidence("flows.frames", have=have, source="openflow")] if have else []


def _foreign(found: Sequence[Flow]) -> list[Evidence]:
    """Flows of others that may take frames of the port before ours do. That alone is no fault:
    whether they do, and what, the traces tell."""
    if not found:
        return []
    texts = [str(flow) for flow in sorted(found, key=lambda f: -f.priority)]
    more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return [Evidence("flows.foreign", have=[*texts[:_SHOWN], *more], source="openflow")]


def _stands_above(flow: Flow, port: SwitchPort) -> bool:
    if cookies.ours(flow.cookie) or flow.table != CLASSIFY or flow.priority < GUARD:
        return False
    return match.decode(flow.match).get("in_port", port.ofport) == port.ofport
