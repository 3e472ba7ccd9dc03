"""What a switch does with a packet, as a pure function of its flows.

A packet is a dictionary of field name to number, as :mod:`vifd.openflow.field` names them; what is
not named is zero, and ``vlan_vid`` holds the bit that says a tag is there. The evaluator serves
:class:`vifd.testing.openflow.FakeTracer` and tests of properties ("no packet of this port ever
leaves by a port of another network").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from vifd.openflow import match as mt
from vifd.openflow import steps
from vifd.openflow.field import CONTROLLER, IN_PORT, VLAN_PRESENT
from vifd.openflow.flow import Flow
from vifd.openflow.steps import Step
from vifd.testing import tracking
from vifd.testing.tracking import Connections

Packet = Mapping[str, int]
#: A port of a bridge.
Place = tuple[str, int]

#: Lookups after which the switch gives up (its own limit).
LIMIT = 4096
#: Depth of resubmits and patch ports after which it gives up.
DEPTH = 64

_TRACKED_NEW = 0x21
#: What is not carried over to another bridge.
_INTERNAL = ("metadata", *tracking.FIELDS, *(f"reg{n}" for n in range(16)))


@dataclass(frozen=True)
class Visit:
    """A table that the packet was looked up in.

    :param flow: what took it; ``None`` where nothing matched
    :param rivals: further flows of the same priority that match too: the switch may take any
    """

    bridge: str
    table: int
    flow: Flow | None
    rivals: tuple[Flow, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A bridge that the packet came into."""

    bridge: str


@dataclass(frozen=True)
class Goto:
    """It went on in another table."""

    table: int

    def __str__(self) -> str:
        return f"goto_table:{self.table}"


@dataclass(frozen=True)
class Sent:
    """A packet that left by a port (reserved ones included), as it was then."""

    bridge: str
    port: int
    packet: Packet

    @property
    def vlan(self) -> int | None:
        """The VLAN id of its outer tag."""
        vid = self.packet.get("vlan_vid", 0)
        return vid & 0xFFF if vid & VLAN_PRESENT else None


@dataclass
class Journey:
    """All that became of a packet.

    :param log: visits, done actions and bridges entered, each with its depth, in order
    :param failure: why the switch gave up
    """

    sent: list[Sent] = field(default_factory=list)
    log: list[tuple[int, Entry | Visit | Step | Goto]] = field(default_factory=list)
    failure: str = ""
    #: what was handed over: by which flow, and as it was then
    handed: list[tuple[Flow, Packet]] = field(default_factory=list)

    @property
    def path(self) -> list[Visit]:
        """The tables it was looked up in."""
        return [item for _, item in self.log if isinstance(item, Visit)]

    @property
    def places(self) -> set[Place]:
        """Where it left."""
        return {(sent.bridge, sent.port) for sent in self.sent}

    @property
    def ambiguous(self) -> list[Visit]:
        """Lookups that another switch may decide differently."""
        return [visit for visit in self.path if visit.rivals]


@lru_cache(maxsize=16384)
def _terms(match: bytes) -> tuple[tuple[str, int, int], ...]:
    terms = []
    for known, number, mask, raw in mt.items(match):
        if known is None:
            raise ValueError(f"match field that cannot be evaluated: {raw.hex()}")
        terms.append((known.name, number, mask))
    return tuple(terms)


def _mark(step: steps.Conntrack, packet: Packet) -> int | None:
    """What a connection is marked with."""
    for one in _steps(step.actions):
        match one:
            case steps.SetField(field, number) if field.name == "ct_mark":
                return number
            case steps.Move(source, target) if target.name == "ct_mark":
                return packet.get(source.name, 0)
    return None


def _steps(actions: bytes) -> tuple[Step, ...]:
    return tuple(steps.parse(actions))


def matches(flow: Flow, packet: Packet) -> bool:
    """Whether the flow takes the packet. (Prerequisites stand in the match itself.)"""
    return all(
        (packet.get(name, 0) ^ number) & mask == 0 for name, number, mask in _terms(flow.match)
    )


def _clauses(flow: Flow) -> list[steps.Conjunction]:
    return [step for step in _steps(flow.actions) if isinstance(step, steps.Conjunction)]


def _complete(flows: Iterable[Flow]) -> list[int]:
    """The conjunctive matches of which a packet met every clause."""
    met: dict[int, set[int]] = {}
    sizes: dict[int, int] = {}
    for clause in (clause for flow in flows for clause in _clauses(flow)):
        met.setdefault(clause.number, set()).add(clause.clause)
        sizes[clause.number] = clause.clauses
    return [number for number, clauses in met.items() if len(clauses) == sizes[number]]


class Pipeline:
    """The flow tables of some bridges.

    :param flows: per bridge
    :param patches: patch ports, each with its peer; name both directions
    """

    def __init__(
        self, flows: Mapping[str, Iterable[Flow]], patches: Mapping[Place, Place] | None = None
    ) -> None:
        self._patches = dict(patches or {})
        self._tables: dict[Place, list[Flow]] = {}
        for bridge, entries in flows.items():
            for flow in sorted(entries, key=lambda entry: -entry.priority):
                self._tables.setdefault((bridge, flow.table), []).append(flow)

    def send(self, bridge: str, packet: Packet, connections: Connections | None = None) -> Journey:
        """Let a packet in by its ``in_port``, and follow it to its end.

        :param connections: what is known of connections, which the packet changes; without it every
            packet is new, and what its connection began with is what the packet says, as in a trace
        """
        journey = Journey()
        run = _Run(self, journey, bridge, dict(packet), connections=connections)
        run.enter(0)
        return journey

    def peer(self, bridge: str, port: int) -> Place | None:
        """The other end of a patch port."""
        return self._patches.get((bridge, port))

    def lookup(self, bridge: str, table: int, packet: Packet) -> Visit:
        """The flow of highest priority that matches, alone or by a conjunctive match."""
        hits = list(self._hits(bridge, table, packet))
        for priority in sorted({flow.priority for flow in hits}, reverse=True):
            level = [flow for flow in hits if flow.priority == priority]
            soft = [flow for flow in level if _clauses(flow)]
            found = [flow for flow in level if not _clauses(flow)]
            for number in _complete(soft):
                conj = {**packet, "conj_id": number}
                again = self._hits(bridge, table, conj)
                found += [f for f in again if f.priority == priority and f not in level]
            if found:
                return Visit(bridge, table, found[0], tuple(found[1:]))
        return Visit(bridge, table, None)

    def _hits(self, bridge: str, table: int, packet: Packet) -> Iterator[Flow]:
        return (flow for flow in self._tables.get((bridge, table), ()) if matches(flow, packet))


class _Run:
    """A packet on its way through one bridge."""

    def __init__(
        self, pipeline: Pipeline, journey: Journey, bridge: str, packet: dict[str, int],
        depth: int = 0, inner: Iterable[tuple[int, int]] = (),
        connections: Connections | None = None,
    ) -> None:  # fmt: skip
        self._connections = connections
        self._pipeline = pipeline
        self._journey = journey
        self._bridge = bridge
        self._packet = packet
        self._depth = depth
        self._inner = list(inner)  # tags below the outer one

    def enter(self, table: int) -> None:
        """Begin on this bridge."""
        self._journey.log.append((self._depth, Entry(self._bridge)))
        self.look_up(table)

    def look_up(self, table: int | None) -> None:
        """Follow goto from table to table."""
        while table is not None and not self._journey.failure:
            if self._depth > DEPTH or len(self._journey.log) > LIMIT:
                self._journey.failure = "Recursion too deep"
                return
            visit = self._pipeline.lookup(self._bridge, table, self._packet)
            self._journey.log.append((self._depth, visit))
            if visit.flow is None:
                return
            for step in _steps(visit.flow.actions):
                self._do(step, table)
            table = visit.flow.goto
            if table is not None:
                self._journey.log.append((self._depth, Goto(table)))

    def _do(self, step: Step, table: int) -> None:
        self._journey.log.append((self._depth, step))
        match step:
            case steps.Output(port):
                self._output(port)
            case steps.OutputRegister(register):
                self._output(self._packet.get(register, 0) & 0xFFFF)
            case steps.SetField(known, number):
                self._packet[known.name] = number
            case steps.Move(source, target):
                self._packet[target.name] = self._packet.get(source.name, 0)
            case steps.PushVlan():
                self._push()
            case steps.PopVlan():
                self._pop()
            case steps.Resubmit(port, where):
                self._resubmit(port, table if where is None else where)
            case steps.Conntrack():
                self._track(step)
            case steps.Copy(actions):
                self._copied(actions, table)
            case steps.Handed():
                flow = next(v.flow for _, v in reversed(self._journey.log) if isinstance(v, Visit))
                if flow is not None:
                    self._journey.handed.append((flow, dict(self._packet)))
            case steps.Cut(port) if port == CONTROLLER & 0xFFFF:
                pass  # no packet is cut for the controller
            case _:
                raise ValueError(f"action that cannot be evaluated: {step}")

    def _output(self, port: int) -> None:
        own = self._packet.get("in_port", 0)
        if port == own:
            return  # never back by the port it came in, unless asked with IN_PORT
        port = own if port == IN_PORT else port
        peer = self._pipeline.peer(self._bridge, port)
        if peer is None:
            self._journey.sent.append(Sent(self._bridge, port, dict(self._packet)))
            return
        packet = {name: value for name, value in self._packet.items() if name not in _INTERNAL}
        packet["in_port"] = peer[1]
        _Run(
            self._pipeline, self._journey, peer[0], packet, self._depth + 1, self._inner,
            self._connections,
        ).enter(0)  # fmt: skip

    def _push(self) -> None:
        vid, pcp = self._packet.get("vlan_vid", 0), self._packet.get("vlan_pcp", 0)
        if vid:
            self._inner.append((vid, pcp))
        # a new tag repeats the one below it
        self._packet["vlan_vid"] = vid | VLAN_PRESENT
        self._packet["vlan_pcp"] = pcp

    def _pop(self) -> None:
        vid, pcp = self._inner.pop() if self._inner else (0, 0)
        self._packet["vlan_vid"] = vid
        self._packet["vlan_pcp"] = pcp

    def _resubmit(self, port: int | None, table: int) -> None:
        own = self._packet.get("in_port", 0)
        if port is not None:
            self._packet["in_port"] = port
        self._depth += 1
        self.look_up(table)
        self._depth -= 1
        self._packet["in_port"] = own

    def _copied(self, actions: bytes, table: int) -> None:
        """What is done with a copy is undone for this packet."""
        packet, inner = dict(self._packet), [*self._inner]
        for step in _steps(actions):
            self._do(step, table)
        self._packet, self._inner = packet, inner

    def _track(self, step: steps.Conntrack) -> None:
        """A packet that is tracked goes on as a copy; this one knows nothing of it."""
        zone = self._packet.get(step.source, 0) & 0xFFFF if step.source else step.zone
        if self._connections is not None and step.commit:
            self._connections.commit(zone, self._packet, _mark(step, self._packet))
        if step.table is not None:
            packet = self._packet | {"ct_state": _TRACKED_NEW, "ct_zone": zone}
            if self._connections is not None:
                before = {k: v for k, v in packet.items() if k not in tracking.FIELDS}
                packet = before | self._connections.track(zone, self._packet)
            _Run(
                self._pipeline, self._journey, self._bridge, packet, self._depth, self._inner,
                self._connections,
            ).look_up(step.table)  # fmt: skip
        for name in tracking.FIELDS:
            self._packet.pop(name, None)
