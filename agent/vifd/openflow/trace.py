"""What ``ofproto/trace`` says, as a value: the flows a packet met and what became of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

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


@dataclass
class _Reader:
    """The state of :func:`parse` between lines."""

    bridges: list[tuple[int, str]] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    actions: list[list[str]] = field(default_factory=list)
    #: the hops still open, with the column of each: what is indented deeper belongs to the last
    open: list[tuple[int, int]] = field(default_factory=list)

    def bridge(self, column: int, name: str) -> None:
        self.bridges = [entry for entry in self.bridges if entry[0] < column]
        self.bridges.append((column, name))

    def hop(self, column: int, found: re.Match[str]) -> None:
        self.bridges = [entry for entry in self.bridges if entry[0] <= column] or self.bridges[:1]
        self.open = [entry for entry in self.open if entry[0] < column]
        self.open.append((column, len(self.hops)))
        groups = found.groupdict()
        priority = groups.get("priority")
        self.hops.append(
            Hop(
                bridge=self.bridges[-1][1] if self.bridges else "",
                table=int(groups["table"]),
                priority=None if priority is None else int(priority),
                cookie=int(groups.get("cookie") or "0", 16),
                match=groups.get("match") or "",
            )
        )
        self.actions.append([])

    def action(self, column: int, text: str) -> None:
        for start, index in reversed(self.open):
            if start < column:
                self.actions[index].append(text)
                return

    def finish(self) -> tuple[Hop, ...]:
        return tuple(
            Hop(hop.bridge, hop.table, hop.priority, hop.cookie, hop.match, tuple(actions))
            for hop, actions in zip(self.hops, self.actions, strict=True)
        )


def parse(text: str) -> Trace:
    """Read the answer of ``ofproto/trace``.

    :raises ValueError: when it does not look like one
    """
    reader = _Reader()
    datapath: list[str] = []
    failure = ""
    for line in text.splitlines():
        stripped = line.lstrip()
        column = len(line) - len(stripped)
        # most lines are actions: the first character and the column spare them the patterns
        first = stripped[:1]
        if first.isdigit() and (found := _HIT.match(line) or _MISS.match(line)):
            # the table's number is right-aligned: its dot tells the depth
            reader.hop(line.index("."), found)
        elif first == "b" and (found := _BRIDGE.match(line)):
            reader.bridge(column, found["name"])
        elif not column and (found := _DATAPATH.match(line)):
            datapath.append(found["actions"])
            reader.open = []
        elif not column and (found := _FAILED.match(line)):
            failure = found["reason"]
        elif stripped.strip("-") and (column or not _MEGAFLOW.match(line)):
            reader.action(column, stripped)
    if not datapath:
        raise ValueError(f"not the answer of ofproto/trace: {text[:200]!r}")
    return Trace(reader.finish(), tuple(datapath), failure)
