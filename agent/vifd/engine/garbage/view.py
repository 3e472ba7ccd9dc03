"""Garbage as the API and the command line show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from vifd.engine.garbage.reconcile import Plan
from vifd.engine.garbage.tracker import State, Tracked
from vifd.engine.garbage.undo_store import Removed
from vifd.plugin import packing
from vifd.plugin.marked import Key, Marked


class OrphanView(Struct, frozen=True, kw_only=True):
    """Something on the host that bears the mark of vifd and belongs to no port.

    :param id: names it in the other calls
    :param port: the id of the port in its mark; empty where it belonged to no single port
    :param why: why it is an orphan, and where it is on its way
    :param objects: what it consists of
    :param seen_for: seconds since it was seen first
    :param looks: how often it was seen
    """

    id: str
    plugin: str
    port: str
    state: State
    why: str
    objects: list[str]
    seen_for: float
    looks: int


class RemovedView(Struct, frozen=True, kw_only=True):
    """An orphan that was removed and can be put back.

    :param removed_at: seconds since the epoch
    :param restored_at: when it was put back; 0 where it was not
    :param until: when it can be put back no longer, or is left alone no longer
    :param document: the port's attachment document, where its marks told it
    """

    id: str
    plugin: str
    port: str
    reason: str
    objects: list[str]
    removed_at: float
    restored_at: float
    until: float
    document: dict[str, Any] | None


class FailureView(Struct, frozen=True):
    """One object that was left alone, and why."""

    id: str
    object: str
    error: dict[str, Any]


class GarbageView(Struct, frozen=True, kw_only=True):
    """What was found by comparing the host with the journal.

    :param doubt: why nothing is removed by itself at present; empty where nothing is against it
    :param excess: why what is ripe would not be removed without being asked for, or empty
    :param missing: by port, what it lacks; the ports are repaired
    :param suspects: what bears the id of a port and is none of its objects
    :param silent: by plugin, why it could not tell what there is
    """

    orphans: list[OrphanView]
    removed: list[RemovedView]
    automatic: bool
    doubt: str
    excess: str
    grace: float
    missing: dict[str, list[str]]
    suspects: list[str]
    silent: dict[str, str]


class CollectedView(Struct, frozen=True, kw_only=True):
    """What became of a request to remove orphans.

    :param waiting: those that were not removed yet, and why
    """

    removed: list[RemovedView]
    failed: list[FailureView]
    waiting: list[OrphanView]


class RestoredView(Struct, frozen=True, kw_only=True):
    """What became of a request to put removed orphans back."""

    restored: list[RemovedView]
    failed: list[FailureView]


def orphan(tracked: Tracked, now: float, grace: float) -> OrphanView:
    """A tracked orphan for a reader."""
    o = tracked.orphan
    return OrphanView(
        id=o.id,
        plugin=o.plugin,
        port=o.port,
        state=tracked.state,
        why=why(tracked, now, grace),
        objects=[describe(m) for m in o.objects],
        seen_for=round(now - tracked.first, 3),
        looks=tracked.count,
    )


def why(tracked: Tracked, now: float, grace: float) -> str:
    """Why something is an orphan, and why it is removed or not."""
    port = tracked.orphan.port
    reason = f"port {port} is not in the journal" if port else "no port of the journal has it"
    left = max(0.0, tracked.first + grace - now)
    tail = {
        State.HELD: f"left alone: {tracked.orphan.holder}",
        State.KEPT: "left alone: it was put back on request",
        State.SEEN: f"not yet: {left:.0f} s of the grace period are left",
        State.RIPE: f"seen {tracked.count} times in {now - tracked.first:.0f} s",
    }[tracked.state]
    return f"{reason}; {tail}"


def describe(marked: Marked) -> str:
    """An object for a reader."""
    count = marked.backup.get("count")
    whose = marked.backup.get("whose")
    return f"{marked.key}" + (f" ({count} flows: {whose})" if count else "")


def removed(entry: Removed, period: float) -> RemovedView:
    """What was removed, for a reader."""
    return RemovedView(
        id=entry.id,
        plugin=entry.plugin,
        port=entry.port,
        reason=entry.reason,
        objects=[describe(m) for m in entry.objects],
        removed_at=entry.removed_at,
        restored_at=entry.restored_at,
        until=max(entry.removed_at, entry.restored_at) + period,
        document=document(entry.objects),
    )


def document(objects: Iterable[Marked]) -> dict[str, Any] | None:
    """The attachment document that marks tell, without a role."""
    for marked in objects:
        told = marked.backup.get("document")
        if isinstance(told, dict):
            return told
        packed = marked.backup.get("external_ids", {}).get(packing.DOCUMENT, "")
        found = packing.from_text(packed) if packed else None
        if found is not None:
            return found
    return None


def missing(plan: Plan) -> dict[str, list[str]]:
    """By port, what is gone or is another one."""
    found: dict[str, list[str]] = {}
    for what, ports in (("", plan.missing), (" (another one)", plan.changed)):
        for port, keys in ports.items():
            found.setdefault(port, []).extend(_names(keys, what))
    return found


def _names(keys: Iterable[Key], what: str) -> list[str]:
    return [f"{key}{what}" for key in keys]
