"""The answer to a caller who asks before anything is bound. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from vifd import errors
from vifd.model import Attachment
from vifd.negotiation import token
from vifd.negotiation.candidate import Choice, Refused, Usable
from vifd.negotiation.choosing import no_common_vif
from vifd.plugin.vifs.kinds import Named
from vifd.plugin.vifs.versions import number

#: Versions of this contract that are spoken, the newest first.
CONTRACT_VERSIONS = ("1.0",)


class ClassRange(Struct, frozen=True):
    """A class of VIF objects or port profiles, and the versions that can be served."""

    name: str
    min: str
    max: str


class Preference(Struct, frozen=True):
    """What a candidate is ordered by; smaller comes first.

    :param network: its place in the network side's list
    :param host: its place in the order of this host
    """

    network: int
    host: int


class Offered(Struct, frozen=True):
    """A candidate that can serve the attachment.

    :param version: of the VIF class, the highest that both sides have
    :param port_profile: the one to use, and the highest version of it that both sides have
    :param reasons: what an operator should know of a plugin that is degraded
    :param notes: what could not be found out, or is given in part only
    :param features: what the plugin enforces
    :param enforcement: what the document asks for, and what would enforce it
    :param token: for a PUT that shall take just this candidate
    """

    plugin: str
    plugin_version: str
    vif_type: str
    vif_class: ClassRange
    version: str
    port_profiles: list[ClassRange]
    port_profile: str
    port_profile_version: str
    vnic_types: list[str]
    network_types: list[str]
    connectivity: str
    features: list[str]
    preference: Preference
    health: str
    reasons: list[str]
    notes: list[str]
    enforcement: list[dict[str, Any]]
    token: str


class RefusedCandidate(Struct, frozen=True):
    """A candidate that cannot.

    :param error: the first reason, as an error object
    :param also: the further ones
    """

    plugin: str
    plugin_version: str
    vif_type: str
    health: str
    error: dict[str, Any]
    also: list[dict[str, Any]]


class Chosen(Struct, frozen=True):
    """What a PUT without wishes would get now."""

    plugin: str
    plugin_version: str
    vif_type: str
    vif_class: str
    version: str
    port_profile: str
    port_profile_version: str


class Offer(Struct, frozen=True):
    """What this host can give an attachment.

    :param requires: the traits that any host must have for the attachment
    :param candidates: the best first
    :param enforcement: of the chosen candidate
    :param token: of the chosen candidate
    :param ttl: seconds for which the tokens hold, as long as the host stays as it is
    :param unread: each field of the document that nothing here reads
    :param notes: what of the document is probably not meant
    """

    contract_version: str
    port: str
    requires: list[str]
    candidates: list[Offered]
    refused: list[RefusedCandidate]
    choice: Chosen
    enforcement: list[dict[str, Any]]
    token: str
    ttl: float
    expires_at: float
    unread: list[str] = []
    notes: list[str] = []


def spoken(wanted: str | None) -> str:
    """The version of the contract to answer in.

    :param wanted: the caller's; without one, our highest
    :raises errors.ContractVersion: it is not spoken here; tells our highest, for a second try
    """
    ours = CONTRACT_VERSIONS[0]
    if wanted is None:
        return ours
    try:
        number(wanted)
    except ValueError as error:
        raise errors.BadDocument.at_field("contract_version", str(error)) from error
    if wanted not in CONTRACT_VERSIONS:
        facts = {"wanted": wanted, "have": ours, "spoken": list(CONTRACT_VERSIONS)}
        raise errors.ContractVersion(facts=facts, stage="negotiate")
    return wanted


def offer(
    attachment: Attachment,
    choice: Choice,
    *,
    contract: str,
    now: float,
    ttl: float,
    requires: Sequence[str] = (),
) -> Offer:
    """The offer.

    :param requires: the traits that any host must have for the attachment
    :param ttl: seconds for which its tokens hold
    :raises errors.NoCommonVif: nothing can serve the attachment; with every refusal
    """
    chosen = choice.chosen
    if chosen is None:
        raise no_common_vif(choice, attachment)
    candidates = [_offered(attachment, usable, now + ttl) for usable in choice.usable]
    return Offer(
        contract_version=contract,
        port=attachment.id,
        requires=list(requires),
        candidates=candidates,
        refused=[_refused(refused) for refused in choice.refused],
        choice=_chosen(chosen),
        enforcement=candidates[0].enforcement,
        token=candidates[0].token,
        ttl=ttl,
        expires_at=now + ttl,
    )


def _offered(attachment: Attachment, usable: Usable, expires: float) -> Offered:
    candidate, kind = usable.candidate, usable.kind
    advert = candidate.advert
    return Offered(
        plugin=candidate.name,
        plugin_version=candidate.version,
        vif_type=usable.vif_type,
        vif_class=_range(kind.vif),
        version=usable.version,
        port_profiles=[_range(profile) for profile in kind.profiles],
        port_profile=usable.profile[0],
        port_profile_version=usable.profile[1],
        vnic_types=list(advert.vnic_types),
        network_types=list(advert.network_types),
        connectivity=advert.connectivity,
        features=sorted(advert.features),
        preference=Preference(usable.order[0], usable.order[1]),
        health=candidate.probe.health.value,
        reasons=list(candidate.probe.reasons),
        notes=candidate.notes,
        enforcement=candidate.enforce(),
        token=token.issue(attachment, usable, expires),
    )


def _range(named: Named) -> ClassRange:
    return ClassRange(named.name, named.versions.min, named.versions.max or "")


def _refused(refused: Refused) -> RefusedCandidate:
    candidate = refused.candidate
    return RefusedCandidate(
        candidate.name, candidate.version, refused.vif_type, candidate.probe.health.value,
        refused.error.to_dict(), [error.to_dict() for error in refused.also],
    )  # fmt: skip


def _chosen(usable: Usable) -> Chosen:
    return Chosen(
        usable.candidate.name, usable.candidate.version, usable.vif_type, usable.kind.vif.name,
        usable.version, *usable.profile,
    )  # fmt: skip
