"""Settings of the bridges on a port's way that others changed: mirrors, spanning trees, bounds of
flow tables, multicast snooping, VLANs that are flooded, protected ports. Pure.

What a bridge of vifd shall not have is a finding. A bridge of a physical network is its operator's:
there a finding is what loses frames of the port, or sends them where they should not go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vifd.drivers import Bridge, Mirror, Ovsdb
from vifd.model import Evidence
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.bridges import Bridges

#: How a text of a mirror begins that takes a port for itself.
RESERVED = "nothing but copies passes"


def evidence(work: Work, bridges: Bridges) -> list[Evidence]:
    """The settings of both bridges; without a physical network of one."""
    names = work.names
    facts = bridge_evidence(bridges.ovsdb, names.bridge, {work.device, names.patch} - {""})
    physical = bridges.mappings.get(names.physical_network or "")
    there = bridges.ovsdb.bridge(physical) if physical else None
    if there is None:
        return facts
    vlan = names.segmentation_id if names.network_type == "vlan" else None
    return facts + _of_physical(bridges, work, there, vlan or 0)


def bridge_evidence(ovsdb: Ovsdb, name: str, own: set[str]) -> list[Evidence]:
    """The settings of an integration bridge.

    :param own: ports of it that frames of the port pass
    """
    bridge = ovsdb.bridge(name)
    if bridge is None:
        return []
    mirrors = [*_reserving(bridge.mirrors, own), *_flooding(bridge.mirrors)]
    trees = [_tree(bridge)] if bridge.stp or bridge.rstp else []
    bounds = [
        f"table {number} takes {table.limit} flows and "
        f"{'evicts older ones' if table.policy == 'evict' else 'refuses more'}"
        for number, table in sorted(bridge.flow_tables.items())
    ]
    return [
        _fact("ovsdb.spanning_tree", _blocked(ovsdb, sorted(own))),
        _fact("switch.mirrors", mirrors), _fact("switch.spanning_tree", trees),
        _fact("switch.flow_limits", bounds), *_copies(bridge, mirrors, "switch.copies"),
    ]  # fmt: skip


def _of_physical(bridges: Bridges, work: Work, bridge: Bridge, vlan: int) -> list[Evidence]:
    way = {*bridges.way_out(work.names)} - {bridge.name, work.names.patch}
    same = [mirror for mirror in bridge.mirrors if mirror.output_vlan == vlan]
    mirrors = [*_reserving(bridge.mirrors, way), *_flooding(same)]
    rows = [row for name in sorted(way) if (row := bridges.ovsdb.port(name)) is not None]
    held = [row.name for row in rows if row.protected] if all(r.protected for r in rows) else []
    kind = f"VLAN {vlan}" if vlan else "untagged frames"
    flooded = [f"{kind}: flood_vlans of {bridge.name}"] if vlan in bridge.flood_vlans else []
    snoops = [f"bridge {bridge.name} (mcast_snooping_enable)"] if bridge.snooping else []
    tree = [Evidence("uplink.spanning_tree", _tree(bridge), source="ovsdb")]
    blocked = _blocked(bridges.ovsdb, [row.name for row in rows])
    return [
        _fact("uplink.blocked", blocked),
        _fact("uplink.mirrors", mirrors),
        _fact("uplink.protected", held if len(held) > 1 else []),
        _fact("uplink.flooded", flooded),
        _fact("uplink.snooping", snoops),
        *_copies(bridge, mirrors, "uplink.copies"),
        *(tree if bridge.stp or bridge.rstp else []),
    ]  # fmt: skip


def _blocked(ovsdb: Ovsdb, names: list[str]) -> list[str]:
    rows = [row for name in names if (row := ovsdb.port(name)) is not None]
    return [f"{row.name}: {row.tree_state}" for row in rows if row.tree_state]


def _fact(name: str, texts: list[str]) -> Evidence:
    return Evidence(name, texts, [], not texts, "ovsdb", repairable=False)


def _tree(bridge: Bridge) -> str:
    return f"bridge {bridge.name} ({'rstp' if bridge.rstp else 'stp'}_enable)"


def _reserving(mirrors: tuple[Mirror, ...], ports: set[str]) -> Iterator[str]:
    for mirror in mirrors:
        if mirror.output in ports and mirror.output:
            yield f"{RESERVED} port {mirror.output}: mirror {mirror.name} has it for its own"


def _flooding(mirrors: Sequence[Mirror]) -> Iterator[str]:
    for mirror in mirrors:
        if mirror.output_vlan is not None and not mirror.output:
            yield f"mirror {mirror.name} floods its copies in VLAN {mirror.output_vlan}"


def _copies(bridge: Bridge, told: list[str], name: str) -> list[Evidence]:
    """Mirrors that take nothing away: only told."""
    found = [
        f"mirror {m.name} copies to {m.output or f'VLAN {m.output_vlan}'}" for m in bridge.mirrors
        if (m.output or m.output_vlan is not None) and not any(m.name in text for text in told)
    ]  # fmt: skip
    return [Evidence(name, found, source="ovsdb")] if found else []
