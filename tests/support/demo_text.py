"""The demonstration's account: tables and a picture of the wiring, as text. Pure."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from support.demo_traffic import Guest, Result

_WIDTH = 21
_LIMIT = 56
_COLUMN = 66


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under a head, each as wide as it must be."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "  " + "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)]) + "\n"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"


def evidence(facts: Sequence[Mapping[str, Any]]) -> str:
    """What was read back of a port, and whether it is as wanted."""
    rows = [
        (
            "ok" if fact.get("ok", True) else "NO",
            str(fact["fact"]),
            _short(fact.get("have")),
            str(fact.get("source", "")),
        )
        for fact in facts
    ]
    return table(("", "fact", "read back", "from"), rows)


def _wrapped(cells: Sequence[str], column: int, width: int = _COLUMN) -> Iterator[list[str]]:
    """A row as several, with one long cell broken between words."""
    for number, part in enumerate(textwrap.wrap(cells[column], width) or [""]):
        yield [part if i == column else "" if number else cell for i, cell in enumerate(cells)]


def plugins(found: Iterable[Mapping[str, Any]]) -> str:
    """The plugins of a daemon, with what their probes said."""
    rows = [
        row
        for plugin in found
        for row in _wrapped(
            (str(plugin["name"]), str(plugin["state"]), "; ".join(plugin["reasons"]) or "-"), 2
        )
    ]
    return table(("plugin", "state", "what its probe says"), rows)


def traffic(results: Sequence[Result]) -> str:
    """What was sent and what arrived, the kinds of frames between two guests on one line."""

    def alike(result: Result) -> tuple[str, str, bool, bool]:
        return result.sender, result.receiver, result.passes, result.as_expected

    rows: list[list[str]] = []
    for (sender, receiver, passes, right), group in itertools.groupby(results, alike):
        kinds = list(group)
        cells = (
            "ok" if right else "WRONG",
            f"{sender} -> {receiver}",
            ", ".join(result.what for result in kinds),
            str(sum(result.sent for result in kinds)),
            str(sum(result.arrived for result in kinds)),
            "all" if passes else "none",
        )
        rows += _wrapped(cells, 2, 50)
    return table(("", "from, to", "frames", "sent", "arrived", "must"), rows)


def picture(guests: Sequence[Guest], ports: Sequence[Mapping[str, Any]]) -> str:
    """Guests that share a bridge, and their taps."""

    def row(cells: Sequence[str]) -> str:
        return "  " + "  ".join(cell.center(_WIDTH) for cell in cells).rstrip()

    inner = _WIDTH - 2
    boxes = [
        row([f"network {guest.network}" for guest in guests]),
        row(["┌" + "─" * inner + "┐"] * len(guests)),
        row([f"│{guest.name:^{inner}}│" for guest in guests]),
        row([f"│{guest.ip:^{inner}}│" for guest in guests]),
        row([f"│{guest.mac:^{inner}}│" for guest in guests]),
        row(["└" + "┬".center(inner, "─") + "┘"] * len(guests)),
        row([str(port["device"]) for port in ports]),
        row([_vlan(port) for port in ports]),
    ]
    total = len(guests) * (_WIDTH + 2) - 2
    label = f" {guests[0].plugin}: {ports[0]['vif']['bridge']} "
    bridge = "  " + "═" * 4 + label + "═" * (total - 4 - len(label))
    return "\n".join([*boxes, bridge]) + "\n"


def _vlan(port: Mapping[str, Any]) -> str:
    """The tag that the switch gives the port's frames; a Linux bridge has one network and none."""
    tags = (fact["have"] for fact in port["evidence"] if fact["fact"] == "ovsdb.tag")
    return next((f"VLAN {tag}" for tag in tags), "│")


def between(guests: Sequence[Guest], results: Sequence[Result]) -> str:
    """For each pair of guests that sent each other honest frames: how many passed."""
    lines = []
    for left in guests:
        for right in guests:
            pair = [r for r in results if (r.sender, r.receiver) == (left.name, right.name)]
            honest = [r for r in pair if r.passes or left.network != right.network]
            if honest:
                arrived, sent = sum(r.arrived for r in honest), sum(r.sent for r in honest)
                mark = "──" if arrived == sent else "╌╌" if arrived else "✕ "
                lines.append(f"  {left.name:>6} {mark}> {right.name:<6} {arrived} of {sent} frames")
    return "\n".join(lines) + "\n"
