"""What a step makes of a record, and the line the operator reads of it. Pure but for the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from vifd import errors
from vifd.model import Evidence, Phase, PortRecord, Report, Role, Vif, Wiring
from vifd.plan import only_watched
from vifd.plugin import Health, Probe
from vifd.status import not_undone, settled, status_of, untouched
from vifd.store import Change

if TYPE_CHECKING:
    from vifd.worker import Job


def planned(wanted: PortRecord) -> Change:
    """Names and phase before the effects.

    Names are for one document: a record that is gone, is to go or has another one stays as it is.
    """

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None or present.removing or present.doc is not wanted.doc:
            return present
        if present.names == wanted.names and present.phase == wanted.phase:
            return present
        return replace(present, names=wanted.names, phase=wanted.phase)

    return change


def failed(error: errors.VifError) -> Change:
    """An attempt that ended before anything was made."""

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None:
            return None
        phase = _ending(present) if present.removing else Phase.FAILED
        left = not_undone(present)
        if not left and present.wiring is None and not untouched(present):
            left = ["an attempt whose end is not known"]
        return replace(present, phase=phase, error=_body(error, left))

    return change


def _ending(present: PortRecord) -> Phase:
    """The phase of a port that is to go: one that is given back stays what it is."""
    return present.phase if present.released else Phase.UNPLUGGING


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
        if job.error is not None:
            return replace(
                present, phase=_failed_phase(job), error=_body(job.error, not_undone(present)),
                wiring=job.wiring, open=job.opened, report=report or present.report,
                names=_kept_names(job, present),
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
    if opened:
        return Phase.LIVE
    was_live = present.phase in (Phase.LIVE, Phase.QUIESCED, Phase.DEGRADED)
    return Phase.QUIESCED if was_live and present.role is Role.INACTIVE else Phase.READY


def _failed_phase(job: Job) -> Phase:
    """A change refused on a port that still passes traffic degrades it; all else failed."""
    healthy = job.record.phase is Phase.LIVE or (
        job.report is not None and job.report.beyond_repair
    )
    return Phase.DEGRADED if healthy and job.opened else Phase.FAILED


def checked(result: Report, now: float, *, repair: bool = True) -> Change:
    """A port that was read back.

    :param repair: whether what differs is repaired; else the port stays as it was opened or closed,
        so that the next reading is still held against that
    """

    def change(present: PortRecord | None) -> PortRecord | None:
        if present is None:
            return None
        phase = present.phase
        report = replace(result, at=result.at or now)
        if not report.clean and phase in (Phase.LIVE, Phase.READY, Phase.QUIESCED):
            phase = Phase.DEGRADED
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
        present, phase=Phase.BOUND, names=None, wiring=None, open=False, report=None, vif=None
    )


def given_back(present: PortRecord | None) -> PortRecord | None:
    """The port is another hand's again; where its removal was asked for meanwhile, that is next."""
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
    return Probe(Health.UNAVAILABLE, [f"its probe failed: {type(error).__name__}: {error}"])


def sound_probe(answer: object) -> Probe:
    """What a plugin's probe answered, if everybody else can work with it.

    :raises TypeError: it is no answer, or holds what cannot be told
    """
    if not isinstance(answer, Probe) or not isinstance(answer.health, Health):
        raise TypeError(f"{type(answer).__name__} is no Probe with a Health")
    if not all(isinstance(reason, str) for reason in answer.reasons):
        raise TypeError("a reason is no text")
    msgspec.json.encode(answer, enc_hook=str)
    return answer


# --- log lines ------------------------------------------------------------------------------------


def extra(record: PortRecord) -> dict[str, dict[str, str]]:
    """The context of a log line about a port: fields of their own where the log is JSON."""
    fields = {
        "port": record.id,
        "instance": record.doc.attachment.instance_id,
        "request_id": record.request_id,
    }
    return {"extra": fields}


def tail(record: PortRecord) -> str:
    """The end of every line about a port: who is meant and who asked."""
    instance = record.doc.attachment.instance_id or "-"
    return f"port={record.id} instance={instance} request={record.request_id or '-'}"


def log_plugs(
    log: logging.Logger, jobs: Sequence[Job], seconds: float, spent: Mapping[str, float]
) -> None:
    """One line per port: what came of it, where, and how long each step took."""
    steps = " ".join(f"{name}={value * 1e3:.1f}" for name, value in spent.items())
    for job in jobs:
        if job.error is not None:
            _log_failure(log, "plug", job.record, job.error)
            continue
        wiring = job.wiring
        state = "open" if job.opened else f"closed, {_why_closed(job.record)}"
        log.info(
            "plugged %s: %s on %s, %s and verified in %.1f ms (batch of %d; ms: %s) %s",
            wiring.device if wiring else "?", wiring.vif_type if wiring else "?",
            job.record.plugin, state, seconds * 1e3, len(jobs), steps, tail(job.record),
            extra=extra(job.record),
        )  # fmt: skip


def _why_closed(record: PortRecord) -> str:
    if record.removing:
        return "it is being removed"
    return "role INACTIVE" if record.role is Role.INACTIVE else "admin_state_up is false"


def log_roles(log: logging.Logger, jobs: Iterable[Job]) -> None:
    """One line per port that was opened or closed."""
    for job in jobs:
        if job.error is not None:
            _log_failure(log, "change of role", job.record, job.error)
        else:
            verb = "opened" if job.opened else "closed"
            log.info("%s %s: %s", verb, job.item.made.device, tail(job.record),
                     extra=extra(job.record))  # fmt: skip


#: What more ports have in common is told once.
_ALONE = 3
#: So many characters of what was found and wanted are told.
_SAID = 600


def log_drift(
    log: logging.Logger, findings: Iterable[tuple[Job, Evidence]], *, repair: bool = True
) -> None:
    """One line per port and fact that another hand changed; one for many ports where it is the
    same with all of them, flows that they share for instance."""
    ours = "repairing it" if repair else "left as it is, because repair is off"
    alike: dict[str, list[tuple[Job, Evidence]]] = {}
    for job, finding in findings:
        key = repr((finding.fact, finding.have, finding.wanted, finding.repairable))
        alike.setdefault(key, []).append((job, finding))
    for found in alike.values():
        shown = found if len(found) <= _ALONE else found[:1]
        for job, finding in shown:
            more = f" and {len(found) - 1} other ports" if shown is not found else ""
            log.warning(
                "drift on %s%s: %s is %s, wanted %s; %s. %s", job.item.made.device, more,
                finding.fact, _said(finding.have), _said(finding.wanted),
                ours if finding.repairable else "not for vifd to repair",
                tail(job.record), extra=extra(job.record),
            )  # fmt: skip


def _said(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SAID else f"{text[:_SAID]}…"


def log_unplugs(
    log: logging.Logger,
    records: Iterable[PortRecord],
    failures: Mapping[str, errors.VifError],
    seconds: float,
) -> None:
    """One line per removed port."""
    for record in records:
        made = record.wiring or record.names
        if record.id in failures:
            _log_failure(log, "unplug", record, failures[record.id])
        else:
            log.info("unplugged %s in %.1f ms: %s", made.device if made else "(nothing made)",
                     seconds * 1e3, tail(record), extra=extra(record))  # fmt: skip


def log_releases(
    log: logging.Logger, records: Iterable[PortRecord], failures: Mapping[str, errors.VifError]
) -> None:
    """One line per port that was given back."""
    for record in records:
        made = record.wiring or record.names
        if record.id in failures:
            _log_failure(log, "release", record, failures[record.id])
        else:
            log.info("released %s: device and switch port stay, nothing of it is vifd's any more: "
                     "%s", made.device if made else "?", tail(record),
                     extra=extra(record))  # fmt: skip


def _log_failure(
    log: logging.Logger, what: str, record: PortRecord, error: errors.VifError
) -> None:
    cause = "; ".join(errors.causes(error))
    log.error(
        "%s failed at %s: %s: %s%s. Next: %s. %s", what, error.stage or "?", error.code,
        error.message, f" ({cause})" if cause else "", error.hint, tail(record),
        extra=extra(record),
    )  # fmt: skip


#: So many findings, of so many characters, are told in an event.
_TOLD, _TEXT = 4, 240


def drift(record: PortRecord) -> errors.Drift | None:
    """The error of a port that is degraded by what was read back of it, the first finding."""
    findings = record.report.findings if record.report else []
    if not findings:
        return None
    first = findings[0]
    doing = f"that is {'' if first.repairable else 'not '}for vifd to repair"
    facts = {"fact": first.fact, "have": _short(first.have), "wanted": _short(first.wanted),
             "next": doing, "findings": [f.fact for f in findings]}  # fmt: skip
    return errors.Drift(facts=facts, stage="check", port=record.id)


def told(record: PortRecord) -> list[Evidence] | None:
    """What an event says of a port that is not as wanted."""
    findings = record.report.findings if record.report else []
    return [
        replace(f, have=_short(f.have), wanted=_short(f.wanted)) for f in findings[:_TOLD]
    ] or None


def _short(value: object) -> object:
    text = value if isinstance(value, str) else str(value)
    return value if len(text) <= _TEXT else f"{text[:_TEXT]}…"


def event_name(old: PortRecord | None, new: PortRecord | None) -> str:
    """What to call the change from one record to the next, or the empty string for none."""
    if new is None:
        return _ended(old)
    if old is not None and old.phase is new.phase and old.open == new.open:
        if new.error is not None and _code(new) != _code(old):
            return "failed" if new.phase is not Phase.DEGRADED else "degraded"
        if new.phase is Phase.DEGRADED and _differing(old) != _differing(new):
            return "degraded"
        return "updated" if old.doc is not new.doc else ""
    return new.phase.value.lower()


def _ended(old: PortRecord | None) -> str:
    if old is None:
        return ""
    return "released" if old.removing and old.released else "unplugged"


def _differing(record: PortRecord) -> set[str]:
    return {f.fact for f in record.report.findings} if record.report else set()


def _code(record: PortRecord) -> str:
    return str((record.error or {}).get("code", ""))


def reportable(record: PortRecord) -> tuple[str, str]:
    """What the network service must hear of: when it changes, a new status goes out."""
    code = _code(record) if record.phase is Phase.FAILED else ""
    return status_of(record).value, code
