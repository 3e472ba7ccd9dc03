"""What becomes of a migration that has ended: figures and an event."""

from __future__ import annotations

import time
from collections.abc import Callable

from vifd.engine.metrics import Metrics
from vifd.migration.timeline import Migration
from vifd.model.event import Event
from vifd.model.status import status_of
from vifd.store import Journal


def tell(
    one: Migration, metrics: Metrics, post: Callable[[Event], None], *, journal: Journal
) -> None:
    """Count it, and tell the event stream."""
    metrics.migrations.labels(one.trigger, "failed" if one.error else "ok").inc()
    if one.opening is not None and not one.error:
        metrics.opening.labels(one.trigger).observe(one.opening)
    if one.added is not None and not one.error:
        metrics.added.labels(one.trigger).observe(one.added)
    _post(one, "migration-failed" if one.error else "migrated", _detail(one), post, journal)


def tell_gap(
    one: Migration, metrics: Metrics, post: Callable[[Event], None], *, journal: Journal
) -> None:
    """The same of a network gap, which is known a little later."""
    if one.gap is not None:
        metrics.gap.labels(one.trigger).observe(one.gap.at)
        said = f"{one.gap.at * 1000:.1f} ms, to within {one.gap.within * 1000:.1f} ms"
        _post(one, "network-gap", f"migration {one.id}: {said}", post, journal)


def _post(
    one: Migration, what: str, detail: str, post: Callable[[Event], None], journal: Journal
) -> None:  # fmt: skip
    record = journal.get(one.port)
    post(
        Event(
            id=0, event=what, at=time.time(),
            port=one.port, instance=one.instance, request_id=one.request_id,
            plugin=record.plugin if record else "", phase=record.phase.value if record else "",
            role=record.role.value if record else "",
            status=status_of(record).value if record else "",
            revision=record.revision if record else 0, detail=detail,
        )
    )  # fmt: skip


def _detail(one: Migration) -> str:
    if one.error:
        return f"migration {one.id}: {one.error}"
    added = "not known" if one.added is None else f"{one.added * 1000:.1f} ms"
    return f"migration {one.id}: open after {(one.opening or 0) * 1000:.1f} ms; added {added}"
