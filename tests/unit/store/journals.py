"""Journals of ports, for tests of the store, and ways to spoil their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from unit.docs import document, port_id
from vifd.model import Phase, PortRecord, decode
from vifd.model.event import Event
from vifd.store import Change, Journal, Outgoing, Records


def record(number: int = 1, **changes: Any) -> PortRecord:
    base = PortRecord(doc=decode(document(number)), plugin="fake", vif_type="fake")
    return replace(base, **changes)


def new(*numbers: int) -> dict[str, Change]:
    return {port_id(n): lambda _old, n=n: record(n) for n in numbers}  # type: ignore[misc]


def phase(wanted: Phase) -> Change:
    return lambda old: old and replace(old, phase=wanted)


def said(name: str) -> Callable[[Records, Records], list[Event]]:
    return lambda _old, now: [Event(0, name, 1.0, port=port_id) for port_id in now]


def told(_old: Records, now: Records) -> list[Outgoing]:
    return [
        Outgoing(i, r.phase.value if r else "DOWN", r.revision if r else 0) for i, r in now.items()
    ]


def reopened(journal: Journal) -> Journal:
    journal.close()
    return Journal.open(journal.path)


def filled(path: Path, ports: int = 200) -> Journal:
    journal = Journal.open(path)
    journal.commit(new(*range(1, ports + 1)), events=said("bound"), outgoing=told)
    return journal


def flip(path: Path, at: int, length: int = 64) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(length)
        file.seek(at)
        file.write(bytes(b ^ 0xA5 for b in old))


def lose(path: Path, how: str) -> None:
    if how == "directory":
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
    elif how == "replaced":
        path.rename(path.with_name("elsewhere"))
        path.write_bytes(b"somebody else's")
    else:
        for file in path.parent.iterdir():
            file.unlink()
