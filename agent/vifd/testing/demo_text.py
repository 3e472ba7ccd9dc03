"""The demonstration's account: tables and a picture of the wiring, as text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vifd.testing.demo_traffic import Guest, Result

_WIDTH = 21
_LIMIT = 56


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


def traffic(results: Sequence[Result]) -> str:
    """What was sent and what arrived."""
    rows = [
        (
            "ok" if result.as_expected else "WRONG",
            f"{result.sender} -> {result.receiver}",
            result.what,
            str(result.sent),
            str(result.arrived),
            "all" if result.passes else "none",
        )
        for result in results
    ]
    return table(("", "from, to", "frames", "sent", "arrived", "must"), rows)


def picture(
    guests: Sequence[Guest], ports: Sequence[Mapping[str, Any]], results: Sequence[Result]
) -> str:
    """The guests, their taps and the bridge, with what passed between neighbours."""

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
        row([f"VLAN {_fact(port, 'ovsdb.tag')}" for port in ports]),
        row(["│"] * len(guests)),
    ]
    total = len(guests) * (_WIDTH + 2) - 2
    label = " br-int "
    bridge = "  " + "═" * 4 + label + "═" * (total - 4 - len(label))
    return "\n".join([*boxes, bridge, *_between(guests, results)]) + "\n"


def _fact(port: Mapping[str, Any], name: str) -> object:
    return next((fact["have"] for fact in port["evidence"] if fact["fact"] == name), "?")


def _between(guests: Sequence[Guest], results: Sequence[Result]) -> list[str]:
    """For each pair that exchanged frames: how many honest ones passed."""
    lines = []
    for left in guests:
        for right in guests:
            pair = [r for r in results if (r.sender, r.receiver) == (left.name, right.name)]
            honest = [r for r in pair if r.passes or left.network != right.network]
            if honest:
                arrived, sent = sum(r.arrived for r in honest), sum(r.sent for r in honest)
                mark = "──" if arrived == sent else "╌╌" if arrived else "✕ "
                lines.append(f"  {left.name:>6} {mark}> {right.name:<6} {arrived} of {sent} frames")
    return lines
