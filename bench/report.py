"""Figures to a table, and the table to bench/RESULTS.md."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from vifd import __version__
from vifd.testing import sandbox

RESULTS = Path(__file__).with_name("RESULTS.md")


def quantile(values: Sequence[float], share: float) -> float:
    """By nearest rank: with fewer than 100 values the 99th percentile is the largest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Scenario:
    """What every contender took for the same thing, in seconds.

    :param aim: the largest ratio to the floor that is aimed at
    :param beside: the same, to os-vif
    :param rank: its place in the table
    """

    title: str
    aim: float | None = None
    beside: float | None = None
    rank: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, *seconds: float) -> None:
        """Note measurements."""
        self.times.setdefault(name, []).extend(seconds)

    def p50(self, name: str) -> float | None:
        """The median in milliseconds."""
        values = self.times.get(name)
        return statistics.median(values) * 1e3 if values else None

    def p99(self, name: str) -> float | None:
        """The 99th percentile in milliseconds."""
        values = self.times.get(name)
        return quantile(values, 0.99) * 1e3 if values else None

    def ratio(self, other: str) -> float | None:
        """How many times as long as another vifd took, by medians."""
        ours, theirs = self.p50("vifd"), self.p50(other)
        return ours / theirs if ours and theirs else None


@dataclass
class Figure:
    """One number with its aim."""

    title: str
    value: float
    unit: str
    limit: float | None = None


def ms(value: float | None) -> str:
    """Milliseconds for a reader."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def times(value: float | None) -> str:
    """A ratio for a reader."""
    return "-" if value is None else f"{value:.2f}"


#: By the beginning of a title: the largest ratio to the floor, and to os-vif, that is aimed at.
_AIMS: dict[str, tuple[float | None, float | None]] = {
    "one plug, 10 ports present": (1.5, 0.6),
    "one plug, 100 ports present": (1.3, 0.9),
    "one plug, 500 ports present": (1.2, 0.9),
    "one plug, 1000 ports present on": (None, 1.0),
    "one plug, 1000 ports present": (1.5, None),
    "one plug, 2000 ports present": (1.5, None),
    "one plug, 50 ports present on": (None, 1.0),
    "one plug, 200 ports present on": (None, 1.0),
    "8 callers": (1.6, None),
    "100 at once": (1.5, None),
    "500 at once": (1.5, None),
    "1000 at once": (1.5, None),
    "unplug": (1.1, None),
    "Linux bridge: one plug": (1.6, None),
    "Linux bridge: 100 at once": (1.5, None),
}


def aims(title: str) -> tuple[float | None, float | None]:
    """What is aimed at for a line of the table."""
    found = (aims for start, aims in _AIMS.items() if title.startswith(start))
    return next(found, (None, None))


def verdict(scenario: Scenario) -> str:
    """Whether the aims are met: the ratio to the floor, and to os-vif."""
    words = []
    for other, aim in (("floor", scenario.aim), ("os-vif", scenario.beside)):
        ratio = scenario.ratio(other)
        if aim is not None and ratio is not None:
            said = "" if other == "floor" else f" of {other}"
            words.append(f"{'met' if ratio <= aim else 'MISSED'} {aim:g}{said}")
    return ", ".join(words) or "-"


_HEAD = (
    "", "vifd : floor", "vifd : os-vif", "vifd p50", "p99", "floor p50", "p99", "os-vif p50",
    "p99", "returns", "n", "aim",
)  # fmt: skip


def row(scenario: Scenario) -> tuple[str, ...]:
    """One line of the table."""
    cells = [scenario.title, times(scenario.ratio("floor")), times(scenario.ratio("os-vif"))]
    for name in ("vifd", "floor", "os-vif"):
        cells += [ms(scenario.p50(name)), ms(scenario.p99(name))]
    cells.append(ms(scenario.p50("os-vif call")))
    counts = [len(values) for values in scenario.times.values()]
    return (*cells, str(min(counts, default=0)), verdict(scenario))


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A table whose source is as readable as its rendering."""
    lines = list(rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

    def text(line: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([text(lines[0]), text(rule), *map(text, lines[1:])])


def figures(found: Iterable[Figure]) -> str:
    """The daemon's own figures."""
    rows: list[Sequence[str]] = [("", "have", "aim")]
    for figure in found:
        digits = 2 if figure.value < 10 else 0
        aim = "-"
        if figure.limit is not None:
            met = "met" if figure.value < figure.limit else "MISSED"
            aim = f"{met} < {figure.limit:g}"
        rows.append((figure.title, f"{figure.value:.{digits}f} {figure.unit}", aim))
    return markdown(rows)


def machine() -> str:
    """What was measured on."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{n} {version(n)}" for n in ("ovsdbapp", "pyroute2", "os-vif"))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"- {time.strftime('%Y-%m-%d')}, vifd {__version__}, Python {platform.python_version()}, "
        f"Open vSwitch {sandbox.version()} (userspace datapath), Linux {platform.release()}\n"
        f"- {os.cpu_count()} x {model}, {memory:.0f} GiB; load average at the end: {load}\n"
        f"- {libraries}"
    )


NOTES = """\
Milliseconds, from the request to the port proven and open (vifd), to every effect read back
(floor), to the port's number on the switch (os-vif; "returns" is when its call comes back, which
is before the switch has the device). "At once" and "unplug" are times of the whole batch;
"8 callers" is the time of one plug among them, and its whole divided by the ports.

- **floor**: the same device, rows and flows without a daemon: ioctl, packed netlink, JSON-RPC,
  OpenFlow on sockets, everything packed beforehand; open at once, nothing checked before, no
  journal. Of a batch: the better of one piece and pieces of 50.
- **os-vif**: its plugin `ovs` with `create_port` and `create_tap`, privileged part in the process:
  no flows, no filters, nothing read back. Knows no batches.
- The contenders take turns in worlds of their own (namespace, Open vSwitch with as many ports), so
  that the drift of a shared machine meets all alike. Trust ratios, not times.
- **Linux bridge**: the plugin's verbs in the engine's order without the daemon, to the port proven
  and open; its floor makes the same devices and rules by the same drivers, beside as many ports,
  and reads nothing back. The two take turns in namespaces of their own, on 20 networks.
- **A plugin that hangs**: engine, journal and OVS plugin plug one port at a time, beside another
  plugin that is done, waits in its verb, or computes in it without end, in turns.
- **Offers**: the real daemon with all plugins, asked over its socket on one connection; its ports
  are of the plugin `noop`, on the network of the port that is asked for. Then four callers at once.
- p99 is the largest of n where n is under 100.
"""


def render(scenarios: Sequence[Scenario], found: Sequence[Figure], seconds: float) -> str:
    """The whole account."""
    parts = [markdown([_HEAD, *map(row, scenarios)])] if scenarios else []
    if found:
        parts.append(figures(found))
    return "\n\n".join([*parts, f"{machine()}\n- measured in {seconds:.0f} s"])


def keep_ratios(path: Path, scenarios: Sequence[Scenario]) -> None:
    """Add what vifd took, to the floor and to os-vif, with the machine's load, to a file."""
    ratios = {
        scenario.title: {other: round(ratio, 2) for other in ("floor", "os-vif")
                         if (ratio := scenario.ratio(other)) is not None}
        for scenario in scenarios
    }  # fmt: skip
    line = {"at": time.strftime("%Y-%m-%dT%H:%M:%S"), "load": os.getloadavg()[0], "ratios": ratios}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def keep(text: str) -> None:
    """Write bench/RESULTS.md."""
    head = "# Plug: vifd beside the floor and os-vif\n\nMade by `make bench`; the last result.\n"
    RESULTS.write_text(f"{head}\n{text}\n\n## How to read it\n\n{NOTES}")
