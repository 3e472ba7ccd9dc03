"""The trunk that a port belongs to, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vifd.cli.report import clean

#: So many sub-ports are on a page, those first that are not as wanted.
MOST = 12


def lines(trunk: Mapping[str, Any] | None, most: int = MOST) -> Iterator[str]:
    """Of a parent its sub-ports, of a sub-port its parent, one per line.

    :param most: how many are shown; ``-f json`` has them all
    """
    if not trunk:
        return
    if not trunk["trunk_id"]:
        found = [_line("sub-port of", one) for one in trunk["parents"]]
        yield from found or ["✗ sub-port of no port of this host"]
        return
    every = sorted(trunk["sub_ports"], key=_rank)
    yield from (_line("sub-port", one) for one in every[:most])
    if rest := every[most:]:
        lame = sum(bool(one["problem"]) for one in rest)
        yield f"  and {len(rest)} more, {lame} of them not as wanted; `-f json` has them all"
    if not every:
        yield "  no sub-port"


def _rank(one: Mapping[str, Any]) -> tuple[bool, int]:
    return not one["problem"], one["vlan"] or 0


def _line(word: str, one: Mapping[str, Any]) -> str:
    sign = "✗" if one["problem"] else "✓"
    vlan = f"VLAN {one['vlan']}" if one["vlan"] else "VLAN of its network"
    name = f" ({clean(one['name'])})" if one["name"] else ""
    head = f"{sign} {word} {one['port']}{name}, {vlan}: {one['status'] or 'not here'}"
    return f"{head}; {clean(one['problem'])}" if one["problem"] else head
