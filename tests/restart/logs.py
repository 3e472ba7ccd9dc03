"""Logs of security groups as the random operation machine knows them: which packets of which ports
are in them, said a second time."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support.oracle import Wanted
from vifd.testing import frames
from vifd.testing.guests import TapGuest
from vifd.testing.wait import Expired, until

#: What was said of logs, by id.
Said = Mapping[str, Mapping[str, Any]]
#: What a line says: the port, the direction, what became of the packet.
Line = tuple[str, str, str]
_DPORT = 5353
#: Each connection has its own.
_SPORTS = itertools.count(20000)


def of_port(said: Said, document: Mapping[str, Any]) -> set[str]:
    """The logs that are about a port."""
    port = document["port"]
    groups = port.get("security_groups")
    return {
        i for i, log in said.items()
        if groups is not None and log["enabled"]
        and log.get("target_id") in (None, port["id"])
        and (log.get("resource_id") is None or log["resource_id"] in groups)
    }  # fmt: skip


def _in_vain(said: Said, document: Mapping[str, Any]) -> set[str]:
    """The logs that name a port for which no groups hold: they have no lines, and the report says
    why."""
    port = document["port"]
    return {
        i for i, log in said.items()
        if port.get("security_groups") is None and log["enabled"]
        and log.get("target_id") == port["id"] and log.get("resource_id") is None
    }  # fmt: skip


def unsaid(said: Said, port: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """What is otherwise in a port's enforcement report."""
    have = {i for e in port["enforcement"] if e["feature"] == "security_group_log"
            for i in e["requested"]}  # fmt: skip
    shall = of_port(said, document) | _in_vain(said, document)
    return [] if have == shall else [f"{port['id']} says it is in logs {have}, and is in {shall}"]


def astray(
    said: Said, wanted: Sequence[Wanted], taps: Mapping[str, TapGuest], file: Path
) -> list[str]:
    """Have ports talk to each other, and compare the lines that come of it; all groups let all
    packets pass."""
    shall: dict[str, set[Line]] = {}
    for one, two in _pairs(wanted):
        sport = next(_SPORTS)
        _talk(one, two, sport, taps)
        ways = ((one, "egress"), (two, "ingress"))
        shall[str(sport)] = {
            (port.id, way, "ACCEPT") for port, way in ways
            if any(said[i]["event"] != "DROP" for i in of_port(said, port.document))
        }  # fmt: skip

    def found() -> dict[str, set[Line]]:
        have: dict[str, set[Line]] = {sport: set() for sport in shall}
        for line in _lines(file):
            if line.get("sport") in have and line.get("dport") == str(_DPORT):
                have[line["sport"]].add((line["port"], line["direction"], line["action"]))
        return have

    with contextlib.suppress(Expired):
        until(lambda: all(shall[s] <= lines for s, lines in found().items()), "every line is there")
    have = found()
    return [f"from port {s} there are the lines {have[s]}, and shall be {shall[s]}"
            for s in shall if have[s] != shall[s]]  # fmt: skip


def _pairs(wanted: Sequence[Wanted]) -> Iterator[tuple[Wanted, Wanted]]:
    opened = [port for port in wanted if port.open]
    for one in opened:
        for two in opened:
            if one is not two and one.network == two.network:
                yield one, two


def _talk(one: Wanted, two: Wanted, sport: int, taps: Mapping[str, TapGuest]) -> None:
    sent = frames.udp(one.mac, two.mac, one.ip, two.ip, sport=sport, dport=_DPORT)
    expected = two.tagged(sent)
    taps[two.device].drain()
    taps[one.device].send(one.tagged(sent))
    taps[two.device].recv(predicate=lambda frame: frame[: len(expected)] == expected)


def _lines(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    return [dict(word.split("=", 1) for word in line.split()[1:])
            for line in file.read_text().splitlines()]  # fmt: skip
