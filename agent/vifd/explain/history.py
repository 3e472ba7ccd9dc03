"""What happened to a port before, from its events. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.explain.explanation import Happening
from vifd.model import Evidence
from vifd.model.event import Event
from vifd.plugin.meanings import value

#: So many are told.
SHOWN = 5
#: So many events are looked at.
LOOKED_AT = 100
_GOOD = ("live", "ready", "quiesced")


def happenings(events: Sequence[Event]) -> list[Happening]:
    """Drift and failures, newest first, each with how long it lasted.

    :param events: of one port, newest first
    """
    found = []
    for index, event in enumerate(events[:LOOKED_AT]):
        if event.event not in ("degraded", "failed"):
            continue
        after = [e for e in events[:index] if e.event in _GOOD]
        lasted = after[-1].at - event.at if after else None
        found.append(Happening(at=event.at, event=event.event, text=_text(event), lasted=lasted))
    return found[:SHOWN]


def _text(event: Event) -> str:
    said = [_finding(f) for f in event.findings or ()]
    if said:
        return "; ".join(said)
    error = event.error or {}
    return f"{error['code']}: {error.get('message')}" if error.get("code") else "something differed"


def _finding(finding: Evidence) -> str:
    return f"{finding.fact} was {value(finding.have)}, wanted {value(finding.wanted)}"
