"""What became of a port's frames, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vifd.cli import report

#: Why frames are refused, as the API says it.
REASONS = ("spoofed", "no_rule", "no_way", "closed", "limited")
COLUMNS = ("direction", "result", "packets", "bytes")
_WORDS = {
    "no_rule": "no rule lets it pass", "no_way": "nobody has its destination",
    "closed": "the port was closed", "limited": "more than its limit",
}  # fmt: skip
#: What is no refusal: what passed, or where that cannot be told what came at all.
_WHOLE = {"passed": "passed", "offered": "in all"}


def rows(counters: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """By direction, from the guest's side: what passed, then what was refused. Where what passed
    cannot be told, what came at all."""
    for direction in ("sent", "received"):
        found = counters.get(direction) or {}
        counts = {name: found[name] for name in _WHOLE if found.get(name)}
        for result, count in {**counts, **(found.get("refused") or {})}.items():
            yield direction, result, int(count["packets"]), int(count["bytes"])


def lines(counters: Mapping[str, Any]) -> str:
    """The same for a look at the port: what is zero is left out, but for what passed or came."""
    told = [
        f"{direction}: {packets} packets, {octets} bytes "
        + (_WHOLE.get(result) or f"refused: {_WORDS.get(result, result)}")
        for direction, result, packets, octets in rows(counters)
        if packets or result in _WHOLE
    ]
    note = counters.get("note")
    return "\n".join([*told, *([report.clean(str(note))] if note else [])]) or "-"
