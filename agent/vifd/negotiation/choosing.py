"""The order of those that can serve, and one error where none can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from vifd import errors
from vifd.model import Attachment
from vifd.negotiation.acceptable import Acceptable, Match
from vifd.negotiation.candidate import Candidate, Choice, Refused, Usable
from vifd.negotiation.refusing import met, progress, reasons, same
from vifd.plugin import UNPROBED

T = TypeVar("T", Usable, Refused)

#: Stands behind every place of the network side's list.
_NOWHERE = 1 << 16


def choose(
    attachment: Attachment,
    candidates: Iterable[Candidate],
    acceptable: Sequence[Acceptable] | None = None,
) -> Choice:
    """Who can serve the attachment, the best first, and why the others cannot.

    The order is that of the network side's list, then that of this host, then of the VIF types
    within a plugin, then of names: it does not depend on the order of ``candidates``.
    """
    usable: list[Usable] = []
    refused: list[Refused] = []
    candidates = list(candidates)
    wanted = attachment.network.segment.network_type
    serving = sorted({c.name for c in candidates if wanted in c.advert.network_types})
    for candidate in candidates:
        served = candidate.advert.vif_types
        for vif_type in _types(attachment, candidate):
            place = served.index(vif_type) if vif_type in served else len(served)
            matched = met(candidate, vif_type, acceptable)
            where = matched.place if isinstance(matched, Match) else _NOWHERE
            order = (where, candidate.rank, place, candidate.name, vif_type)
            against = reasons(attachment, candidate, vif_type, matched, serving)
            if against:
                first, *rest = against
                refused.append(Refused(candidate, vif_type, first, tuple(rest), order))
            elif isinstance(matched, Match):
                kind = candidate.advert.kind(vif_type)
                usable.append(
                    Usable(candidate, vif_type, kind, matched.version, matched.profile, order)
                )
    asked = attachment.plugin is not None
    return Choice(_sorted(usable), _sorted(refused), asked)


def refuse(
    attachment: Attachment, candidate: Candidate, acceptable: Sequence[Acceptable] | None = None
) -> errors.VifError | None:
    """The first reason why this candidate cannot serve the attachment, or ``None``."""
    choice = choose(attachment, [candidate], acceptable)
    return None if choice.usable else choice.refused[0].error


def _sorted(found: list[T]) -> tuple[T, ...]:
    return tuple(sorted(found, key=lambda one: one.order))


def _types(attachment: Attachment, candidate: Candidate) -> Iterator[str]:
    """The VIF types that are asked of a plugin; one where it has none of what is wanted."""
    if candidate.vif_type:
        yield candidate.vif_type
        return
    served, wish = candidate.advert.vif_types, attachment.vif_type
    if wish is not None or (candidate.advert.on_request and attachment.plugin != candidate.name):
        yield wish if wish in served else served[0]
        return
    yield from served


def refusal_of(choice: Choice, attachment: Attachment, installed: Iterable[str]) -> errors.VifError:
    """One error for an empty choice.

    Where one candidate alone was asked, because the document names it or nothing else is
    installed, its refusal is the answer. What stands against every candidate is a reason of the
    port's, and the answer as well, with the refusals behind it; else :func:`no_common_vif`.
    """
    asked = _of_kind([r for r in choice.refused if _is_asked(r)], attachment)
    if not asked:
        return _not_installed(attachment, installed)
    if len(asked) == 1:
        (only,) = asked
        return _whole(only, attachment, {})
    everywhere = _everywhere(asked)
    if not everywhere:
        return no_common_vif(choice, attachment)
    closest = _furthest_first(asked)[0].candidate
    first = next(r for r in everywhere if r.candidate is closest)
    error = first.error.copy().at(port=attachment.id)
    error.candidates = [_whole(r, attachment, _about(r)) for r in everywhere]
    return error


def _of_kind(asked: list[Refused], attachment: Attachment) -> list[Refused]:
    """Where a VIF type is asked for, the candidates that have it: what another plugin says of
    itself explains nothing."""
    wish = attachment.vif_type
    having = [r for r in asked if wish is not None and wish in r.candidate.advert.vif_types]
    return having or asked


def _not_installed(attachment: Attachment, installed: Iterable[str]) -> errors.PluginMissing:
    wish = attachment.plugin
    wanted = wish if wish is not None else attachment.vif_type or attachment.port.vnic_type
    facts = {"wanted": wanted, "have": list(installed)}
    return errors.PluginMissing(facts=facts, stage="plugin", port=attachment.id)


def _everywhere(asked: Sequence[Refused]) -> list[Refused]:
    """The refusals turned so that the first reason that stands against every candidate is each
    one's; none where there is no such reason. That each is unwell is not one."""
    for reason in (asked[0].error, *asked[0].also):
        turned = [one for refused in asked if (one := _turned(refused, reason))]
        if reason.klass != "plugin" and len(turned) == len(asked):
            return turned
    return []


def _turned(refused: Refused, reason: errors.VifError) -> Refused | None:
    every = (refused.error, *refused.also)
    found = next((error for error in every if same(error, reason)), None)
    if found is None:
        return None
    rest = tuple(error for error in every if error is not found)
    return Refused(refused.candidate, refused.vif_type, found, rest, refused.order)


def no_common_vif(choice: Choice, attachment: Attachment) -> errors.NoCommonVif:
    """``E_NEG_NO_COMMON_VIF`` with every refusal as its candidates, the one that got furthest on
    top; of equals, the preferred one. Its code, sentence and hint are those that help."""
    if attachment.plugin is not None and not any(_is_asked(r) for r in choice.refused):
        return _absent(choice, attachment)
    asked = [r for r in choice.refused if _is_asked(r)] or list(choice.refused)
    asked = _furthest_first(asked)
    if not asked:
        facts = {"wanted": attachment.vif_type or attachment.port.vnic_type, "have": []}
        return errors.NoCommonVif(
            "no plugin is installed", facts=facts, stage="negotiate", port=attachment.id
        )
    first = asked[0]
    several = f"none of {len(asked)} candidates can serve this port; the closest, {_name(first)},"
    text = f"{several} says" if len(asked) > 1 else f"{_name(first)} cannot serve this port:"
    candidates = [_whole(r, attachment, _about(r)) for r in asked]
    waits = [c.retry_after for c in candidates if c.retry_after and c.may_succeed_later]
    return errors.NoCommonVif(
        f"{text} {first.error.code}: {first.error.message}",
        facts={
            "reason_code": first.error.code,
            "reason": first.error.message,
            **_about(first),
        },
        stage="negotiate",
        port=attachment.id,
        candidates=candidates,
        retry_after=min(waits, default=None),
        hint=first.error.hint,
    )


def _absent(choice: Choice, attachment: Attachment) -> errors.NoCommonVif:
    """The document names a plugin, and it is not among those that are installed."""
    installed = dict.fromkeys(r.candidate.name for r in choice.refused)
    missing = _not_installed(attachment, installed)
    facts = {"reason_code": missing.code, "reason": missing.message, **missing.facts}
    return errors.NoCommonVif(
        f"{missing.code}: {missing.message}", facts=facts, stage="negotiate", port=attachment.id,
        candidates=[missing], hint=missing.hint,
    )  # fmt: skip


def _is_asked(refused: Refused) -> bool:
    return refused.error.stage != "asked"


def _name(refused: Refused) -> str:
    return f"{refused.candidate.name}/{refused.vif_type}"


def _furthest_first(refused: Sequence[Refused]) -> list[Refused]:
    """Of equals the preferred one is first."""
    return sorted(refused, key=lambda r: -progress(r.error))


def undecided(choice: Choice) -> errors.VifError | None:
    """What to say where a preferred candidate is only not probed yet: the daemon has just begun,
    and who serves a port must not depend on which plugin answered first."""
    for refused in choice.refused:
        if choice.chosen is None or choice.chosen.order < refused.order:
            return None
        error = refused.error
        only = isinstance(error, errors.PluginUnhealthy) and not refused.also
        if only and refused.candidate.probe.reasons == UNPROBED.reasons:
            error = error.copy()
            error.retry_after = 1.0
            return error
    return None


def _about(refused: Refused) -> dict[str, Any]:
    return {"plugin": refused.candidate.name, "vif_type": refused.vif_type}


def _whole(refused: Refused, attachment: Attachment, about: dict[str, Any]) -> errors.VifError:
    """The refusal with what else stands against its candidate in the facts."""
    error = refused.error.copy().at(port=attachment.id)
    error.also = list(refused.also)
    also = [f"{e.code}: {e.message}" for e in refused.also]
    error.facts = {**error.facts, **about, **({"also": also} if also else {})}
    return error
