"""What a step makes of a record. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from vifd import errors
from vifd.engine.job import Job
from vifd.engine.plan import only_watched
from vifd.model import Origin, Phase, PortRecord, Report, Vif, Wiring
from vifd.model.lifecycle import Move, moved, proven
from vifd.model.status import not_undone, settled, untouched
from vifd.plugin import Health, Probe
from vifd.safety import limits
from vifd.store import Change


def planned(wanted: PortRecord) -> Change:
    """Names and phase before the effects.

    Names are for one document: a record that is gone, is to go or has another one stays as it is.
    """

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None or present.removing or present.doc is not wanted.doc:
            return present
        if present.names == wanted.names and present.phase == wanted.phase:
            return present
        opened = wanted.open if present.names is None else present.open
        return replace(present, names=wanted.names, phase=wanted.phase, open=opened)

    return change


def failed(error: errors.VifError) -> Change:
    """An attempt that ended before anything was made."""

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None:
            return None
        if (back := returned(present, error)) is not None:
            return back
        phase = moved(present.phase, Move.REMOVE if present.removing else Move.FAIL)
        if present.removing and present.released:
            # one that is given back stays what it is
            phase = present.phase
        left = not_undone(present)
        if not left and present.wiring is None and not untouched(present):
            left = ["an attempt whose end is not known"]
        return replace(present, phase=phase, error=_body(error, left))

    return change


def as_it_is(present: PortRecord | None) -> PortRecord | None:
    """Nothing was learned of the port."""
    return present


def returned(present: PortRecord, error: errors.VifError) -> PortRecord | None:
    """Of a port that was to change its back end and could not be proven on the other one: it is the
    first one's again, which brings it back to what it made; ``None`` for every other port."""
    origin = present.origin
    if origin is None or origin.back or origin.foreign:
        return None
    if present.wiring is not None or present.removing:
        return None
    left = present.names or origin.wiring
    return replace(
        present, plugin=origin.plugin, vif_type=origin.wiring.vif_type, names=origin.wiring,
        wiring=origin.wiring, applied=False, error=error.to_dict(),
        origin=Origin(present.plugin, left, back=True),
    )  # fmt: skip


def _body(error: errors.VifError, left: Sequence[str]) -> dict[str, Any]:
    """The error with what earlier attempts left on the host, until one succeeds."""
    body = error.to_dict()
    if left:
        body["facts"] = {"not_undone": list(left), **body["facts"]}
    return body


def plugged(job: Job, vif: object, now: float) -> Change:
    """The end of an attempt to bring a port to its document."""

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None:
            return None
        report = job.report and replace(job.report, at=job.report.at or now)
        if present.removing:
            # Only what must be removed: the port was reported DOWN and stays so.
            return replace(present, wiring=job.wiring, open=job.opened)
        if job.error is not None and (back := returned(present, job.error)) is not None:
            return back
        if job.error is not None:
            return replace(
                present, phase=_failed_phase(job, present),
                error=_body(job.error, not_undone(present)), wiring=job.wiring, open=job.opened,
                report=report or present.report, names=_kept_names(job, present),
            )  # fmt: skip
        same = present.doc is job.record.doc
        return replace(
            present,
            phase=_proven_phase(present, job.opened),
            applied=same,
            wiring=job.wiring,
            open=job.opened,
            report=report,
            vif=vif if isinstance(vif, Vif) else present.vif,
            error=None,
        )

    return change


def _kept_names(job: Job, present: PortRecord) -> Wiring | None:
    """Names that turned out to be taken are chosen anew by the next attempt."""
    taken = isinstance(job.error, errors.NameClash) and job.wiring is None
    return None if taken and not not_undone(present) else present.names


def _proven_phase(present: PortRecord, opened: bool) -> Phase:
    return moved(present.phase, Move.OPENED if opened else Move.CLOSED, present.role)


def _failed_phase(job: Job, present: PortRecord) -> Phase:
    """A change refused on a port that still passes traffic degrades it; all else failed."""
    read = job.report or (job.record.report if job.record.phase is Phase.DEGRADED else None)
    healthy = job.record.phase is Phase.LIVE or (
        read is not None and (read.beyond_repair or read.unanswered)
    )
    return moved(present.phase, Move.ENDURE if healthy and job.opened else Move.FAIL)


def checked(result: Report, now: float, *, repair: bool = True) -> Change:
    """A port that was read back.

    :param repair: whether what differs is repaired; else the port stays as it was opened or closed,
        so that the next reading is still held against that
    """

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None:
            return None
        phase = present.phase
        mending = repair and not result.clean and not result.beyond_repair
        report = replace(result, at=result.at or now, mending=mending)
        if not report.clean and proven(phase):
            phase = moved(phase, Move.DRIFT)
        opened = present.open and (report.passing is not False or not repair)
        if report.clean and only_watched(present, repair=repair):
            # what was not ours to repair was mended
            return replace(
                present, report=report, open=opened, error=None,
                phase=_proven_phase(present, opened),
            )  # fmt: skip
        return replace(present, report=report, phase=phase, open=opened)

    return change


def forgotten(present: PortRecord | None) -> PortRecord | None:
    """The port is gone from the host; a port that is wanted again meanwhile starts anew."""
    if present is None or present.removing:
        return None
    return replace(
        present,
        phase=moved(present.phase, Move.GONE),
        names=None,
        wiring=None,
        open=False,
        report=None,
        vif=None,
    )


def given_back(present: PortRecord | None) -> PortRecord | None:
    """The port is another program's again; a removal asked for meanwhile is next."""
    return None if present is None or present.released else present


def release_failed(error: errors.VifError) -> Change:
    """It is not given back yet, and tried again."""

    def change(present: PortRecord | None) -> PortRecord | None:
        return None if present is None else replace(present, error=error.to_dict())

    return change


def unplug_failed(error: errors.VifError) -> Change:
    """Something of the port is left."""

    def change(present: PortRecord | None) -> PortRecord | None:
        return None if present is None else replace(present, error=error.to_dict(), open=False)

    return change


def unplug_error(error: errors.VifError | None, port: str) -> errors.VifError:
    """The error of a removal, whatever the plugin raised."""
    if isinstance(error, errors.UnplugPartial | errors.BackendError | errors.PluginTimeout):
        return error.at("unplug", port)
    partial = errors.UnplugPartial(facts={"problem": str(error)}, stage="unplug", port=port)
    partial.__cause__ = error
    return partial


def unfinished(record: PortRecord | None, *, repair: bool = True) -> bool:
    """Whether another step can be taken right away."""
    if record is None or record.phase is Phase.FAILED or record.error is not None:
        return False
    if record.removing or not record.applied or not settled(record):
        return True
    return record.phase is Phase.DEGRADED and not only_watched(record, repair=repair)


def broken_probe(error: BaseException) -> Probe:
    """The health of a plugin whose probe raises."""
    said = limits.word(error) or f"{type(error).__name__}: {error}"
    return Probe(Health.UNAVAILABLE, [f"its probe failed: {said}"])
