"""Which plugin serves an attachment on this host, and why the others do not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vifd import errors
from vifd.model import Attachment
from vifd.plugin import Advert, Health, Probe, Requirement

#: How far a refusal got; the aggregated error takes the code of the one that got furthest.
_STAGES = ("plugin", "vif_type", "vnic", "segment", "requirement", "health")
_UNKNOWN_STAGE = _STAGES.index("requirement")


@dataclass(frozen=True)
class Candidate:
    """What is known of one plugin when it is asked to serve an attachment."""

    name: str
    advert: Advert
    probe: Probe
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The outcome: the plugin and VIF type, or the refusals of all."""

    plugin: str = ""
    vif_type: str = ""
    refusals: Mapping[str, errors.VifError] = field(default_factory=dict)


def choose(attachment: Attachment, candidates: Iterable[Candidate]) -> Choice:
    """The first candidate, in order of preference, that can serve the attachment."""
    refusals: dict[str, errors.VifError] = {}
    for candidate in candidates:
        if candidate.advert.on_request and attachment.plugin != candidate.name:
            continue
        refusal = refuse(attachment, candidate)
        if refusal is None:
            wish = attachment.vif_type
            return Choice(candidate.name, wish or candidate.advert.vif_types[0], refusals)
        refusals[candidate.name] = refusal
    return Choice(refusals=refusals)


def refuse(attachment: Attachment, candidate: Candidate) -> errors.VifError | None:
    """Why this candidate cannot serve the attachment, or ``None``."""
    advert = candidate.advert
    wish = attachment.vif_type
    if attachment.plugin not in (None, candidate.name):
        facts = {"wanted": attachment.plugin, "have": [candidate.name]}
        return errors.PluginMissing(facts=facts, stage="plugin")
    if wish is not None and wish not in advert.vif_types:
        facts = {"wanted": wish, "have": list(advert.vif_types), "plugin": candidate.name}
        return errors.NoCommonVif(facts=facts, stage="vif_type")
    if attachment.port.vnic_type not in advert.vnic_types:
        have = list(advert.vnic_types)
        facts = {"wanted": attachment.port.vnic_type, "have": have, "plugin": candidate.name}
        return errors.VnicUnsupported(facts=facts, stage="vnic")
    network_type = attachment.network.segment.network_type
    if network_type not in advert.network_types:
        have = list(advert.network_types)
        facts = {"wanted": network_type, "have": have, "plugin": candidate.name}
        return errors.SegmentTypeUnsupported(facts=facts, stage="segment")
    for requirement in candidate.requirements:
        if not requirement.met:
            error = requirement.error or errors.PluginUnhealthy(
                facts={"plugin": candidate.name, "reason": f"{requirement.name} is not met"}
            )
            return error.copy().at("requirement")
    if candidate.probe.health is Health.UNAVAILABLE:
        reason = "; ".join(candidate.probe.reasons) or "no reason given"
        facts = {"plugin": candidate.name, "reason": reason}
        return errors.PluginUnhealthy(facts=facts, stage="health")
    return None


def refusal_of(choice: Choice, attachment: Attachment, installed: Iterable[str]) -> errors.VifError:
    """One error for an empty choice: the only refusal as it is; of several, the one that got
    furthest, with all of them as its candidates."""
    wish = attachment.plugin
    refusals = [
        error.at(port=attachment.id)
        for name, error in choice.refusals.items()
        if wish in (None, name)
    ]  # what was not asked for needs no excuse
    if not refusals:
        wanted = wish or attachment.vif_type or attachment.port.vnic_type
        facts = {"wanted": wanted, "have": list(installed)}
        return errors.PluginMissing(facts=facts, stage="plugin", port=attachment.id)
    if len(refusals) == 1:
        return refusals[0]
    furthest = max(refusals, key=_progress).copy()
    furthest.candidates = refusals
    furthest.message = (
        f"none of {len(refusals)} plugins can serve this port; the closest says: {furthest.message}"
    )
    return furthest


def _progress(error: errors.VifError) -> int:
    """How far a refusal got; of equals, ``max`` takes the first, which is the preferred one."""
    return _STAGES.index(error.stage) if error.stage in _STAGES else _UNKNOWN_STAGE
