"""Rows of the switch's database that stand beside a bridge or a port and say what is done with its
frames: limits, queues, mirrors, and bounds of flow tables. Values, and how they are read.

The meaning of every column is that of ``ovs-vswitchd.conf.db(5)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

Columns = Mapping[str, Any]
#: Table, row, and its columns that are new or changed; ``None`` when the row is gone.
Change = tuple[str, UUID, Columns | None]
Tables = Mapping[str, Mapping[UUID, Columns]]

#: What is replicated of these tables.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "QoS": ("type", "queues", "other_config", "external_ids"),
    "Queue": ("dscp", "other_config", "external_ids"),
    "Mirror": (
        "name",
        "select_all",
        "select_src_port",
        "select_dst_port",
        "select_vlan",
        "output_port",
        "output_vlan",
    ),
    "Flow_Table": ("name", "flow_limit", "overflow_policy"),
}
#: Columns of an Interface row that limit what comes in by it.
POLICING = (
    "ingress_policing_rate",
    "ingress_policing_burst",
    "ingress_policing_kpkts_rate",
    "ingress_policing_kpkts_burst",
)


@dataclass(frozen=True)
class Policing:
    """How much the switch takes from an interface; what is more is dropped. 0 is no limit.

    :param rate: kbit/s
    :param burst: kbit; 0 is the switch's own default (8,000)
    :param packets: thousands of packets per second
    :param packet_burst: thousands of packets; 0 is the switch's own default
    """

    rate: int = 0
    burst: int = 0
    packets: int = 0
    packet_burst: int = 0

    def __bool__(self) -> bool:
        return bool(self.rate or self.packets)


@dataclass(frozen=True)
class Queue:
    """A row of the Queue table.

    :param other_config: ``min-rate`` and ``max-rate`` (bit/s), ``burst`` (bit), ``priority``
    """

    other_config: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    dscp: int | None = None


@dataclass(frozen=True)
class Qos:
    """What leaves the switch by a port: a row of the QoS table with its queues.

    :param type: ``linux-htb``, ``linux-hfsc``, ``linux-noop``, ``egress-policer``…
    :param queues: by number; 0 is where frames go that no flow puts elsewhere
    """

    uuid: UUID
    type: str
    other_config: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[int, Queue] = field(default_factory=dict)


@dataclass(frozen=True)
class Mirror:
    """A bridge sends copies of frames elsewhere.

    :param sources: names of the ports whose incoming frames are copied
    :param targets: names of the ports whose outgoing frames are copied
    :param vlans: only frames of these; empty for all
    :param output: the port that gets the copies, and nothing else; empty where they go to a VLAN
    :param output_vlan: the VLAN that the copies are flooded in
    """

    name: str
    all: bool = False
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    vlans: tuple[int, ...] = ()
    output: str = ""
    output_vlan: int | None = None


@dataclass(frozen=True)
class FlowTable:
    """A flow table's bound.

    :param limit: how many flows it takes; ``None`` for any number
    :param policy: what happens to one more: ``refuse`` (also where it is empty) or ``evict``
    """

    limit: int | None = None
    policy: str = ""


#: Where the switch tells what a spanning tree makes of a port, and which state passes frames.
_TREES = (("status", "stp_state"), ("rstp_status", "rstp_port_state"))
COUNTED = frozenset(column for column, _ in _TREES)
_FORWARDING = ("forwarding", "disabled")


def tree_state(port: Columns) -> str:
    """What a spanning tree lets pass at a port; empty where it forwards, or there is none."""
    states = [str(port.get(column, {}).get(key, "")) for column, key in _TREES]
    return next((s for s in states if s and s.lower() not in _FORWARDING), "")


def steady(changes: Iterable[Change]) -> list[Change]:
    """Changes without what counts seconds: it would be news of every port for ever."""
    return [(t, u, _without_counts(c) if t == "Port" and c else c) for t, u, c in changes]


def _without_counts(columns: Columns) -> Columns:
    kept = {column: key for column, key in _TREES if column in columns}
    if not kept:
        return columns
    states = {c: {k: v for k, v in columns[c].items() if k == key} for c, key in kept.items()}
    return {**columns, **states}


def policing(interface: Columns) -> Policing:
    """The limits of an interface."""
    if not any(map(interface.get, POLICING)):
        return _UNLIMITED
    return Policing(*(interface.get(column) or 0 for column in POLICING))


_UNLIMITED = Policing()


def qos(tables: Tables, uuid: UUID | None) -> Qos | None:
    """A row of the QoS table."""
    row = None if uuid is None else tables["QoS"].get(uuid)
    if uuid is None or row is None:
        return None
    queues = {number: tables["Queue"].get(queue) for number, queue in row.get("queues", {}).items()}
    return Qos(
        uuid, row.get("type") or "", row.get("other_config", {}), row.get("external_ids", {}),
        {number: _queue(queue) for number, queue in sorted(queues.items()) if queue is not None},
    )  # fmt: skip


def _queue(row: Columns) -> Queue:
    return Queue(row.get("other_config", {}), row.get("external_ids", {}), row.get("dscp"))


def mirrors(tables: Tables, bridge: Columns) -> tuple[Mirror, ...]:
    """The mirrors of a bridge, by name."""
    rows = (tables["Mirror"].get(uuid) for uuid in bridge.get("mirrors", ()))
    return tuple(sorted((_mirror(tables, r) for r in rows if r is not None), key=lambda m: m.name))


def _mirror(tables: Tables, row: Columns) -> Mirror:
    def names(uuids: Iterable[UUID]) -> tuple[str, ...]:
        found = (tables["Port"].get(uuid) for uuid in uuids)
        return tuple(sorted(str(port["name"]) for port in found if port is not None))

    output = row.get("output_port")
    return Mirror(
        name=row.get("name") or "",
        all=bool(row.get("select_all")),
        sources=names(row.get("select_src_port", ())),
        targets=names(row.get("select_dst_port", ())),
        vlans=tuple(sorted(row.get("select_vlan", ()))),
        output="".join(names([output] if output else [])),
        output_vlan=row.get("output_vlan"),
    )


def flow_tables(tables: Tables, bridge: Columns) -> dict[int, FlowTable]:
    """The tables of a bridge that have a bound, by number."""
    rows = ((n, tables["Flow_Table"].get(u)) for n, u in bridge.get("flow_tables", {}).items())
    found = {n: r for n, r in rows if r is not None and r.get("flow_limit") is not None}
    return {n: FlowTable(r["flow_limit"], r.get("overflow_policy") or "") for n, r in found.items()}


def users(tables: Tables, changed: Mapping[str, set[UUID]]) -> tuple[set[UUID], set[UUID]]:
    """The ports and the bridges that such rows stand beside.

    :param changed: rows by table
    """
    queues = changed.get("Queue", set())
    shapes = set(changed.get("QoS", ()))
    if queues:
        shapes |= {
            u for u, row in tables["QoS"].items() if queues & {*row.get("queues", {}).values()}
        }
    ports = {u for u, row in tables["Port"].items() if row.get("qos") in shapes} if shapes else {}
    copies, bounds = changed.get("Mirror", set()), changed.get("Flow_Table", set())
    bridges = {
        uuid for uuid, row in tables["Bridge"].items()
        if copies & set(row.get("mirrors", ()))
        or bounds & set(row.get("flow_tables", {}).values())
    } if copies or bounds else set()  # fmt: skip
    return set(ports), bridges
