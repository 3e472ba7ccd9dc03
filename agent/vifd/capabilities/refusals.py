"""The error for a need that the host does not meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vifd.capabilities import names
from vifd.capabilities.inputs import ENCRYPTION_MODELS
from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.needs import Kind, Need
from vifd.errors import (
    MachineTypeUnsupported,
    PackedRingUnsupported,
    SwitchdevMissing,
    TraitMissing,
    VifError,
    VifModelUnsupported,
    ViommuUnsupported,
)

#: The words that nova knows, by what they are about.
_VOCABULARIES: Mapping[Kind, Collection[str]] = {
    Kind.MODEL: names.VIF_MODELS,
    Kind.VIOMMU: names.VIOMMU_MODELS,
    Kind.ENCRYPTION: (*ENCRYPTION_MODELS, "true"),
}


def unheard_of(need: Need) -> bool:
    """Whether it asks for a word that nova does not know: no host has that, asked or not."""
    words = _VOCABULARIES.get(need.kind)
    return words is not None and str(need.wanted).lower() not in words


def of(need: Need, lacking: Capability, inventory: Inventory) -> VifError:
    """Why this host is no host for the need."""
    problem = lacking.missing or lacking.evidence or "the host does not have it"
    facts = {"wanted": need.wanted, "problem": problem, "source": need.source,
             "trait": list(need.anyof) if len(need.anyof) > 1 else need.anyof[0]}  # fmt: skip
    stage = "requirement"
    known = not unheard_of(need)
    match need.kind:
        case Kind.MODEL:
            facts["have"] = words(inventory, names.VIF_MODELS)
            return VifModelUnsupported(facts=facts, stage=stage, reschedulable=known)
        case Kind.PACKED:
            return PackedRingUnsupported(facts={**facts, "property": need.wanted}, stage=stage)
        case Kind.VIOMMU:
            facts["have"] = words(inventory, names.VIOMMU_MODELS)
            return ViommuUnsupported(facts=facts, stage=stage, reschedulable=known)
        case Kind.MACHINE:
            facts["have"] = machine_types(inventory)
            return MachineTypeUnsupported(facts=facts, stage=stage)
        case Kind.SWITCHDEV:
            return SwitchdevMissing(facts={**facts, "have": problem}, stage=stage)
        case _:
            wanted = " or ".join(need.anyof)
            facts["wanted"] = wanted
            return TraitMissing(facts=facts, stage=stage, reschedulable=known)


def words(inventory: Inventory, of_words: Mapping[str, str]) -> list[str]:
    """The words of a vocabulary that the host has."""
    return [word for word, name in of_words.items() if inventory.has(name)]


def machine_types(inventory: Inventory) -> list[str]:
    """The machine types of the host, in the letters of their traits."""
    prefix = names.MACHINE_TYPE_PREFIX
    found = (c for c in inventory if c.present and c.name.startswith(prefix))
    return sorted(c.name.removeprefix(prefix).lower() for c in found)
