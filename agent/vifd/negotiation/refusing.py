"""Every reason against one candidate, and how far it got."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vifd import errors
from vifd.model import Attachment
from vifd.negotiation.acceptable import Acceptable, Match, match
from vifd.negotiation.candidate import Candidate
from vifd.plugin import Health

#: The order in which things are looked at: was it asked, is this a host of its kind, does it serve
#: that kind of VIF, in a common version, the network, this guest; and where all that fits, can it
#: work now. One only unwell is the closest.
STAGES = (
    "asked", "host", "vif_type", "version", "vnic", "segment", "addresses", "requirement",
    "features", "health",
)  # fmt: skip
#: Where a reason that does not say it belongs, by the class of its error.
_BY_CLASS = {
    "vnic": "vnic", "segment": "segment", "ip": "addresses", "feature": "features",
}  # fmt: skip


def met(
    candidate: Candidate, vif_type: str, acceptable: Sequence[Acceptable] | None
) -> Match | errors.VifError:
    """Where the candidate meets what the network side takes."""
    return match(acceptable, candidate.name, vif_type, candidate.advert.kind(vif_type))


def reasons(
    attachment: Attachment,
    candidate: Candidate,
    vif_type: str,
    matched: Match | errors.VifError,
    serving: Sequence[str] = (),
) -> list[errors.VifError]:
    """Everything against the candidate, each said once, in the order of :data:`STAGES`.

    :param serving: the plugins that serve networks of this type
    """
    asked = _not_asked(attachment, candidate)
    if asked is not None:
        return [asked]
    found: list[errors.VifError] = []
    for error in _all(attachment, candidate, vif_type, matched, serving):
        known = next((other for other in found if same(error, other)), None)
        if known is None:
            found.append(error)
        elif error.hint != error.remediation:
            # what the plugin's own check says of its options goes before what holds for all
            known.hint = error.hint
    return sorted(found, key=progress)


def same(one: errors.VifError, other: errors.VifError) -> bool:
    """Whether two say the same thing, if in other words: the plugin and the host's checks, or two
    plugins."""
    return one.code == other.code and _about(one) == _about(other)


def _about(error: errors.VifError) -> list[object]:
    return [error.facts.get(name) for name in ("wanted", "kind", "address", "feature", "property")]


def _not_asked(attachment: Attachment, candidate: Candidate) -> errors.VifError | None:
    if attachment.plugin == candidate.name:
        return None
    if attachment.plugin is not None:
        text = f"the document asks for plugin {attachment.plugin!r}"
    elif candidate.advert.on_request:
        text = f"plugin {candidate.name!r} serves only documents that ask for it by name"
    else:
        return None
    facts = {"plugin": candidate.name, "wanted": attachment.plugin}
    return errors.PluginNotAsked(text, facts=facts, stage="asked", port=attachment.id)


def _all(
    attachment: Attachment,
    candidate: Candidate,
    vif_type: str,
    matched: Match | errors.VifError,
    serving: Sequence[str],
) -> Iterator[errors.VifError]:
    advert, port, plugin = candidate.advert, attachment.id, candidate.name
    if attachment.vif_type not in (None, vif_type):
        facts = {"wanted": attachment.vif_type, "have": list(advert.vif_types), "plugin": plugin}
        yield errors.NoCommonVif(facts=facts, stage="vif_type", port=port)
    if isinstance(matched, errors.VifError):
        apart = isinstance(matched, errors.NoCommonVersion)
        yield matched.at("version" if apart else "vif_type", port)
    if attachment.port.vnic_type not in advert.vnic_types:
        have = list(advert.vnic_types)
        facts = {"wanted": attachment.port.vnic_type, "have": have, "plugin": plugin}
        yield errors.VnicUnsupported(facts=facts, stage="vnic", port=port)
    if candidate.probe.health is Health.UNAVAILABLE:
        reason = "; ".join(candidate.probe.reasons) or "no reason given"
        facts = {"plugin": plugin, "reason": reason}
        stage = "health" if candidate.probe.applies else "host"
        yield errors.PluginUnhealthy(facts=facts, stage=stage, port=port)
    network_type = attachment.network.segment.network_type
    if network_type not in advert.network_types:
        have = list(advert.network_types)
        facts = {"wanted": network_type, "have": have, "plugin": plugin, "served_by": [*serving]}
        yield errors.SegmentTypeUnsupported(facts=facts, stage="segment", port=port)
    for finding in candidate.findings:
        yield _placed(finding, port)
    for requirement in candidate.requirements:
        if not requirement.met:
            error = requirement.error or errors.PluginUnhealthy(
                facts={"plugin": plugin, "reason": f"{requirement.name} is not met"}
            )
            yield _placed(error, port)


def _placed(error: errors.VifError, port: str) -> errors.VifError:
    return error.copy().at(_BY_CLASS.get(error.klass, "requirement"), port)


def progress(error: errors.VifError) -> int:
    """How far a refusal got; a stage that only a plugin knows is one of its requirements."""
    stage = error.stage if error.stage in STAGES else "requirement"
    return STAGES.index(stage)
