"""The lines that the operator reads of what came of ports."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from vifd import errors
from vifd.engine.job import Job
from vifd.model import Evidence, PortRecord
from vifd.model.status import why_closed


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
        state = "open" if job.opened else f"closed, {why_closed(job.record)}"
        log.info(
            "plugged %s: %s on %s, %s and verified in %.1f ms (batch of %d; ms: %s) %s",
            wiring.device if wiring else "?", wiring.vif_type if wiring else "?",
            job.record.plugin, state, seconds * 1e3, len(jobs), steps, tail(job.record),
            extra=extra(job.record),
        )  # fmt: skip


def log_roles(log: logging.Logger, jobs: Iterable[Job]) -> None:
    """One line per port that was opened or closed."""
    for job in jobs:
        if job.error is not None:
            _log_failure(log, "change of role", job.record, job.error)
        else:
            verb = "opened" if job.opened else "closed"
            log.info("%s %s: %s", verb, job.item.made.device, tail(job.record),
                     extra=extra(job.record))  # fmt: skip


def log_left(log: logging.Logger, job: Job) -> None:
    """What an attempt that failed could not take back."""
    left = not_undone_of(job)
    log.warning(
        "left on the host by %s of %s: %s. Next: nothing; the next attempt takes it up, and "
        "`vifctl port unplug %s` removes it. %s", job.step, job.item.made.device,
        "; ".join(left), job.id, tail(job.record), extra=extra(job.record),
    )  # fmt: skip


def not_undone_of(job: Job) -> list[str]:
    """The ways back of an attempt that failed as well."""
    facts = job.error.facts if job.error is not None else {}
    return list(facts.get("not_undone") or ())


#: What more ports have in common is told once.
_ALONE = 3
#: So many characters of what was found and wanted are told.
_SAID = 600


def log_drift(
    log: logging.Logger, findings: Iterable[tuple[Job, Evidence]], *, repair: bool = True
) -> None:
    """One line per port and fact that another program changed; one for many ports where it is the
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
