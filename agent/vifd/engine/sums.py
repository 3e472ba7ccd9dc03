"""Sums of counters that may begin anew."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from vifd.model.counted import Count, Counted, Counters, Passage, Reason, Way

#: The names of what came at all, and of what passed, beside the reasons of refusals.
OFFERED, PASSED = "offered", "passed"
SENT, RECEIVED = "sent", "received"
#: A counter: direction, and what it counts.
Key = tuple[str, str]


@dataclass
class _Sum:
    """One counter: what it said last, and what it had said when it began anew."""

    last: Count = field(default_factory=Count)
    base: Count = field(default_factory=Count)

    def take(self, now: Count) -> bool:
        """Whether it began anew."""
        anew = now.packets < self.last.packets or now.bytes < self.last.bytes
        if anew:
            self.base += self.last
        self.last = now
        return anew

    @property
    def total(self) -> Count:
        return self.base + self.last


@dataclass
class _Port:
    plugin: str
    since: float
    at: float = 0.0
    resets: int = 0
    sums: dict[Key, _Sum] = field(default_factory=dict)
    #: reasons for which frames are refused that nobody can tell, by direction
    untold: dict[str, frozenset[Reason]] = field(default_factory=dict)
    #: what the totals of its plugin have of it
    told: dict[Key, Count] = field(default_factory=dict)


class Sums:
    """What was counted of each port, and of all ports of a plugin together, those that are gone
    included. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: dict[str, _Port] = {}
        self._totals: dict[tuple[str, str, str], Count] = defaultdict(Count)

    def add(self, plugin: str, port_id: str, counted: Counted, at: float) -> None:
        """What the host has of a port now."""
        with self._lock:
            port = self._ports.get(port_id)
            if port is None or port.plugin != plugin:
                port = self._ports[port_id] = _Port(plugin, at)
            port.at = at
            port.untold = {SENT: counted.sent.untold, RECEIVED: counted.received.untold}
            anew = [port.sums.setdefault(key, _Sum()).take(now) for key, now in _flat(counted)]
            port.resets += any(anew)
            self._tell(port)

    def _tell(self, port: _Port) -> None:
        """Bring the totals up to what the port has; they never go back."""
        have = {key: found.total for key, found in port.sums.items()}
        for way in (SENT, RECEIVED):
            if (way, OFFERED) in have and not port.untold[way]:
                del have[way, OFFERED]
                have[way, PASSED] = _passage(port, way).passed or Count()
        for key, now in have.items():
            before = port.told.get(key, Count())
            more = now.less(before)
            port.told[key] = before + more
            self._totals[port.plugin, *key] += more

    def only(self, plugin: str, port_ids: Collection[str]) -> None:
        """A plugin has no other ports any more."""
        with self._lock:
            for port_id in [i for i, p in self._ports.items() if p.plugin == plugin]:
                if port_id not in port_ids:
                    del self._ports[port_id]

    def of(self, port_id: str, plugin: str, note: str = "") -> Counters | None:
        """The sums of a port; ``None`` where nothing of it was counted."""
        with self._lock:
            port = self._ports.get(port_id)
            if port is None or port.plugin != plugin:
                return None
            return Counters(
                port=port_id, plugin=plugin, sent=_passage(port, SENT),
                received=_passage(port, RECEIVED), at=port.at, since=port.since,
                resets=port.resets, note=note or _untold(port),
            )  # fmt: skip

    def totals(self) -> Mapping[tuple[str, str, str], Count]:
        """By plugin, direction, and what became of the frames."""
        with self._lock:
            return dict(self._totals)


def _flat(counted: Counted) -> Iterator[tuple[Key, Count]]:
    for direction, way in ((SENT, counted.sent), (RECEIVED, counted.received)):
        yield from (((direction, name), count) for name, count in _of_way(way))


def _of_way(way: Way) -> Iterator[tuple[str, Count]]:
    if way.offered is not None:
        yield OFFERED, way.offered
    if way.passed is not None:
        yield PASSED, way.passed
    yield from ((reason.value, count) for reason, count in way.refused.items())


def _passage(port: _Port, direction: str) -> Passage:
    found = {what: s.total for (way, what), s in port.sums.items() if way == direction}
    offered, passed = found.pop(OFFERED, None), found.pop(PASSED, None)
    if port.untold.get(direction):
        return Passage(passed=passed, offered=offered if passed is None else None, refused=found)
    if passed is None and offered is not None:
        passed = offered.less(sum(found.values(), Count()))
    return Passage(passed=passed, refused=found)


def _untold(port: _Port) -> str:
    """What cannot be told of it."""
    return "; ".join(
        f"{direction}: what was refused as {' or '.join(sorted(reasons))} cannot be told by plugin "
        f"{port.plugin}, and so not what passed"
        for direction, reasons in port.untold.items() if reasons
    )  # fmt: skip
