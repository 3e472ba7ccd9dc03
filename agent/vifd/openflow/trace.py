"""What ``ofproto/trace`` says, as a value: the flows a packet met and what became of it. Pure."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from enum import Enum

from vifd.openflow.datapath import top_level

_BRIDGE = re.compile(r'^\s*bridge\("(?P<name>[^"]+)"\)$')
_HIT = re.compile(
    r"^\s*(?P<table>\d+)\. (?:(?P<match>\S+), )?priority (?P<priority>\d+)"
    r"(?:, cookie (?P<cookie>0x[0-9a-f]+))?$"
)
_MISS = re.compile(r"^\s*(?P<table>\d+)\. No match\.$")
_DATAPATH = re.compile(r"^Datapath actions: (?P<actions>.*)$")
_FAILED = re.compile(r"^Translation failed \((?P<reason>.*)\)")
_MEGAFLOW = re.compile(r"^(?:Final flow|Megaflow|Flow): ")

#: Datapath actions that send nothing anywhere by themselves.
_SILENT = re.compile(r"^(?:drop|ct|ct_clear|recirc|set|push_\w+|pop_\w+|hash|meter)\b")


@dataclass(frozen=True, slots=True)
class Hop:
    """A table that the packet was looked up in.

    :param priority: of the flow that took it; ``None`` where no flow did
    :param match: the flow's match as the switch prints it
    :param actions: what was done there, line by line, remarks of the switch included
    """

    bridge: str
    table: int
    priority: int | None = None
    cookie: int = 0
    match: str = ""
    actions: tuple[str, ...] = ()

    @property
    def missed(self) -> bool:
        """No flow of the table matched."""
        return self.priority is None

    def __str__(self) -> str:
        where = f"{self.bridge} table {self.table}"
        if self.missed:
            return f"{where}: no match"
        match = f"{self.match}, " if self.match else ""
        return f"{where}: {match}priority {self.priority}, cookie {self.cookie:#x}"


@dataclass(frozen=True, slots=True)
class Trace:
    """The way of one packet.

    :param datapath: the datapath actions of each pass; there is more than one after a recirculation
    :param failure: why the switch gave up translating, if it did
    """

    hops: tuple[Hop, ...]
    datapath: tuple[str, ...]
    failure: str = ""

    @property
    def dropped(self) -> bool:
        """Nothing left the switch by any port."""
        if self.failure:
            return True
        words = [word for actions in self.datapath for word in top_level(actions)]
        return all(_SILENT.match(word) for word in words)

    @property
    def last(self) -> Hop | None:
        """The last table that the packet was looked up in: where a dropped one ended."""
        return self.hops[-1] if self.hops else None

    def through(
        self, cookie: int, *, table: int | None = None, mask: int = 0xFFFF_FFFF_FFFF_FFFF
    ) -> bool:
        """Whether a flow with this cookie under this mask took the packet, there or anywhere."""
        return any(
            (hop.cookie ^ cookie) & mask == 0
            for hop in self.hops
            if not hop.missed and table in (None, hop.table)
        )

    def foreign(self, cookie: int, mask: int, bridge: str | None = None) -> Hop | None:
        """The first flow that took the packet and is not marked with ``cookie`` under ``mask``.

        :param bridge: look at this bridge only
        """
        for hop in self.hops:
            elsewhere = bridge is not None and hop.bridge != bridge
            if not hop.missed and not elsewhere and (hop.cookie ^ cookie) & mask:
                return hop
        return None


#: Lines that are remembered as they were read: a broadcast meets the same flows for each of many
#: receivers, and a trace of each of their ports names them all again.
_REMEMBERED = 2048


class _Kind(Enum):
    """What a line says."""

    HOP, BRIDGE, ACTION, DATAPATH, FAILURE, NOTHING = range(6)


#: Of a hop: its table, priority, cookie and match.
_Met = tuple[int, int | None, int, str]


@functools.lru_cache(maxsize=_REMEMBERED)
def _said(line: str) -> tuple[_Kind, int, str, _Met]:
    """What a line says, in which column it begins, its text, and the flow that it names."""
    stripped = line.lstrip()
    column = len(line) - len(stripped)
    first = stripped[:1]
    if first.isdigit() and (found := _HIT.match(line) or _MISS.match(line)):
        # the table's number is right-aligned: its dot tells the depth
        return _Kind.HOP, line.index("."), "", _met(found)
    if first == "b" and (found := _BRIDGE.match(line)):
        return _Kind.BRIDGE, column, found["name"], _NOWHERE
    if not column and (found := _DATAPATH.match(line)):
        return _Kind.DATAPATH, column, found["actions"], _NOWHERE
    if not column and (found := _FAILED.match(line)):
        return _Kind.FAILURE, column, found["reason"], _NOWHERE
    if stripped.strip("-") and (column or not _MEGAFLOW.match(line)):
        return _Kind.ACTION, column, stripped, _NOWHERE
    return _Kind.NOTHING, column, "", _NOWHERE


_NOWHERE: _Met = (0, None, 0, "")


def _met(found: re.Match[str]) -> _Met:
    groups = found.groupdict()
    priority = groups.get("priority")
    return (
        int(groups["table"]),
        None if priority is None else int(priority),
        int(groups.get("cookie") or "0", 16),
        groups.get("match") or "",
    )


@dataclass
class _Reader:
    """The state of :func:`parse` between lines."""

    #: with the column of each, deeper ones last
    bridges: list[tuple[int, str]] = field(default_factory=list)
    hops: list[tuple[str, _Met, list[str]]] = field(default_factory=list)
    #: what was done at the hops still open, with the column of each, deeper ones last: what is
    #: indented deeper belongs to the last
    open: list[tuple[int, list[str]]] = field(default_factory=list)

    def bridge(self, column: int, name: str) -> None:
        while self.bridges and self.bridges[-1][0] >= column:
            self.bridges.pop()
        self.bridges.append((column, name))

    def hop(self, column: int, met: _Met) -> None:
        while len(self.bridges) > 1 and self.bridges[-1][0] > column:
            self.bridges.pop()
        while self.open and self.open[-1][0] >= column:
            self.open.pop()
        actions: list[str] = []
        self.open.append((column, actions))
        self.hops.append((self.bridges[-1][1] if self.bridges else "", met, actions))

    def action(self, column: int, text: str) -> None:
        for start, actions in reversed(self.open):
            if start < column:
                actions.append(text)
                return

    def finish(self) -> tuple[Hop, ...]:
        return tuple(_hop(bridge, met, tuple(actions)) for bridge, met, actions in self.hops)


@functools.lru_cache(maxsize=_REMEMBERED)
def _hop(bridge: str, met: _Met, actions: tuple[str, ...]) -> Hop:
    return Hop(bridge, *met, actions)


def parse(text: str) -> Trace:
    """Read the answer of ``ofproto/trace``.

    :raises ValueError: when it does not look like one
    """
    reader = _Reader()
    datapath: list[str] = []
    failure = ""
    action, hop = _Kind.ACTION, _Kind.HOP
    for kind, column, said, met in map(_said, text.splitlines()):
        if kind is action:
            reader.action(column, said)
        elif kind is hop:
            reader.hop(column, met)
        elif kind is _Kind.BRIDGE:
            reader.bridge(column, said)
        elif kind is _Kind.DATAPATH:
            datapath.append(said)
            reader.open = []
        elif kind is _Kind.FAILURE:
            failure = said
    if not datapath:
        raise ValueError(f"not the answer of ofproto/trace: {text[:200]!r}")
    return Trace(reader.finish(), tuple(datapath), failure)
