"""A property that flavor and image may both state: which of the two holds, and when they conflict.

The flavor is the operator's, the image the user's. Which rule holds for a property is nova's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from msgspec import Struct

from vifd.errors import FlavorImageConflict
from vifd.model import Instance

TRUE = frozenset(("1", "t", "true", "on", "y", "yes"))
FALSE = frozenset(("0", "f", "false", "off", "n", "no"))
#: Characters of a value that are read; what is longer is none that anybody knows.
_LONGEST = 255


class Precedence(StrEnum):
    """What holds where both state a value."""

    AGREE = "agree"  #: the two must be equal
    REFINE = "refine"  #: the image may choose where the flavor leaves a choice, and not without it
    EXCLUSIVE = "exclusive"  #: one of the two may state it
    PINNING = "pinning"  #: the image may not take dedicated CPUs that the flavor does not give
    FLAVOR = "flavor"  #: the image's is not read
    IMAGE = "image"  #: the flavor's is not read


@dataclass(frozen=True)
class Property:
    """A property: ``hw:<name>`` of the flavor, ``hw_<name>`` of the image.

    :param read: what a value means
    """

    name: str
    read: Callable[[Any], Any]
    precedence: Precedence

    @cached_property
    def flavor_key(self) -> str:
        return f"hw:{self.name}"

    @cached_property
    def image_key(self) -> str:
        return f"hw_{self.name}"


class Asked(Struct, frozen=True):
    """A property as an instance has it.

    :param value: what holds; ``None`` where neither of the two states it
    :param source: where it stands, in words; the empty string where it does not
    :param key: its name there
    :param conflict: why the two cannot both be; ``value`` is the flavor's then, if it has one
    """

    value: Any = None
    source: str = ""
    key: str = ""
    conflict: FlavorImageConflict | None = None


NOTHING = Asked()


def boolean(value: Any) -> bool:
    """A truth value in one of the spellings of OpenStack; anything else is false."""
    return str(value).strip().lower() in TRUE


def _word(value: Any) -> str:
    return _text(value).lower()


def _text(value: Any) -> str:
    return str(value).strip()[:_LONGEST]


_AGREE, _FLAVOR, _IMAGE = Precedence.AGREE, Precedence.FLAVOR, Precedence.IMAGE
PROPERTIES = {
    p.name: p
    for p in (
        Property("mem_page_size", _word, Precedence.REFINE),
        Property("locked_memory", boolean, _AGREE),
        Property("mem_encryption", boolean, _AGREE),
        Property("mem_encryption_model", _word, _AGREE),
        Property("vif_model", _word, _IMAGE),
        Property("vif_multiqueue_enabled", boolean, _AGREE),
        Property("virtio_packed_ring", boolean, _AGREE),
        Property("cpu_policy", _word, Precedence.PINNING),
        Property("numa_nodes", _text, Precedence.EXCLUSIVE),
        Property("pci_numa_affinity_policy", _word, _AGREE),
        Property("machine_type", _text, _IMAGE),
        Property("viommu_model", _word, _AGREE),
        Property("emulator_threads_policy", _word, _FLAVOR),
        Property("cpu_realtime", boolean, _FLAVOR),
    )
}


def asked(instance: Instance | None, name: str) -> Asked:
    """What an instance asks for by a property.

    :param name: without ``hw:``; one of :data:`PROPERTIES`
    """
    if instance is None:
        return NOTHING
    rule = PROPERTIES[name]
    specs, properties = instance.flavor_extra_specs, instance.image_properties
    if rule.flavor_key not in specs and rule.image_key not in properties:
        return NOTHING
    flavor = _given(rule, specs.get(rule.flavor_key), _IMAGE)
    image = _given(rule, properties.get(rule.image_key), _FLAVOR)
    if image is None:
        return _from(rule.flavor_key, "flavor extra spec", flavor)
    problem = _conflict(rule, flavor, image)
    if problem:
        return _conflicting(rule, flavor, image, problem)
    refined = rule.precedence is Precedence.REFINE
    if flavor is None or refined:
        return _from(rule.image_key, "image property", image)
    return _from(rule.flavor_key, "flavor extra spec", flavor)


def _given(rule: Property, value: Any, unread: Precedence) -> Any:
    """The value, or ``None`` where it is not stated or not read from there."""
    if value is None or rule.precedence is unread or str(value).strip() == "":
        return None
    return rule.read(value)


def _from(key: str, kind: str, value: Any) -> Asked:
    return NOTHING if value is None else Asked(value, f"{kind} {key}", key)


def _conflict(rule: Property, flavor: Any, image: Any) -> str:
    """Why the image's value may not stand beside the flavor's, or the empty string."""
    match rule.precedence:
        case Precedence.AGREE:
            return "they must agree" if flavor not in (None, image) else ""
        case Precedence.EXCLUSIVE:
            return "only one of them may state it" if flavor is not None else ""
        case Precedence.REFINE:
            free = flavor in ("any", "large")
            return "" if free else "the image may choose where the flavor says large or any"
        case Precedence.PINNING:
            pinned = ("dedicated", "mixed")
            wrong = flavor == "shared" and image in pinned
            return "the flavor gives no dedicated CPUs" if wrong else ""
        case _:
            return ""


def _conflicting(rule: Property, flavor: Any, image: Any, problem: str) -> Asked:
    facts = {
        "flavor_property": rule.flavor_key, "flavor_value": flavor,
        "image_property": rule.image_key, "image_value": image, "problem": problem,
    }  # fmt: skip
    said = "nothing" if flavor is None else repr(flavor)
    text = (
        f"the flavor says {said} for {rule.flavor_key} and the image {image!r} for "
        f"{rule.image_key}: {problem}"
    )
    error = FlavorImageConflict(text, facts=facts)
    if flavor is None:
        return Asked(image, f"image property {rule.image_key}", rule.image_key, error)
    return Asked(flavor, f"flavor extra spec {rule.flavor_key}", rule.flavor_key, error)
