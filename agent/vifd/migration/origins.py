"""What the record of a port says while it changes its back end: whom it leaves, and when that is
over. Pure; the moves themselves are in :mod:`vifd.migration.moving`."""

from __future__ import annotations

import time

from msgspec.structs import replace

from vifd import errors
from vifd.model import Document, Origin, PortRecord, Selection, Wiring
from vifd.model.status import not_undone, settled, untouched, wants_open
from vifd.negotiation import Choice
from vifd.store import Change

#: For who asks for the port later.
_OF_ANOTHER = (
    "its guest was started with the tap on a bridge of another program, which is gone: a next "
    "start by the same definition fails. Before it, have nova make it anew (hard reboot), or edit "
    "it (virsh edit: interface type ethernet, target dev with managed='no')"
)


def intended(
    seen: PortRecord, target: str, names: Wiring, choice: Choice, request_id: str
) -> Change:
    """The port is the other plugin's to plug, unless it is another port by now."""
    origin = Origin(seen.plugin, seen.wiring or names)
    selection = _noted(choice, f"it was moved from {seen.plugin} under its guest")

    def change(now: PortRecord | None) -> PortRecord | None:
        if now is None or now.removing or now.doc is not seen.doc or now.wiring != seen.wiring:
            return now
        return replace(
            now, plugin=target, vif_type=names.vif_type, names=names, wiring=None,
            applied=False, origin=origin, selection=selection, request_id=request_id,
        )  # fmt: skip

    return change


def taken(doc: Document, target: str, names: Wiring, choice: Choice, request_id: str) -> PortRecord:
    """The record of a port that another program plugged and that a plugin is to take over."""
    record = PortRecord(
        doc=doc, plugin=target, vif_type=names.vif_type, names=names, request_id=request_id,
        selection=_noted(choice, _OF_ANOTHER), origin=Origin(target, names, foreign=True),
    )  # fmt: skip
    return replace(record, open=wants_open(record))


def _noted(choice: Choice, note: str) -> Selection | None:
    """How the port came to its plugin."""
    chosen = choice.selection(time.time())
    return chosen and replace(chosen, notes=[*chosen.notes, note])


def made_or(present: PortRecord | None, record: PortRecord) -> PortRecord:
    """The present record, or this one where nothing of the port was made."""
    return record if present is None or untouched(present) else present


def dropped(now: PortRecord | None) -> PortRecord | None:
    """A port of another program that could not be taken is no port of ours."""
    if now is None or now.origin is None or now.wiring is not None or not_undone(now):
        return now
    return None if now.origin.foreign and now.error is not None else now


def demand(port_id: str, target: str, present: PortRecord | None) -> None:
    """:raises errors.Superseded: what is on disk is another port"""
    if present is None or present.origin is None or present.plugin != target:
        facts = {"by": "another request"}
        raise errors.Superseded(facts=facts, stage="move", port=port_id)


def swept(record: PortRecord) -> bool:
    """Whether a port that was moved is proven, so that what it left behind may go."""
    proven = record.wiring is not None and record.applied and record.error is None
    return proven and settled(record)


def without(origin: Origin, now: PortRecord | None) -> PortRecord | None:
    """The record of a port of which nothing is left where it was."""
    return now if now is None or now.origin != origin else replace(now, origin=None)
