"""The inventory as the API shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from vifd.capabilities.inventory import Capability, Inventory


class CapabilityView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the host can do, or cannot.

    ``present`` is null where that could not be found out. ``age`` is in seconds. ``missing`` says
    what lacks and how to get it; ``stale`` why this may be outdated.
    """

    name: str
    present: bool | None
    value: Any = None
    evidence: str = ""
    at: float = 0.0
    age: float = 0.0
    missing: str = ""
    source: str = ""
    stale: str = ""


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """One place where capabilities are read, how often, and how that went."""

    name: str
    at: float | None = None
    age: float | None = None
    milliseconds: float | None = None
    interval: float = 0.0
    running_for: float | None = None
    problem: str | None = None


class InventoryView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of the host: the names of what it has, and each capability."""

    at: float
    age: float
    traits: list[str]
    capabilities: list[CapabilityView]
    sources: list[SourceView]


def view(inventory: Inventory, sources: Iterable[Mapping[str, Any]], now: float) -> InventoryView:
    """The inventory as it is shown.

    :param sources: what :meth:`vifd.capabilities.host.HostCapabilities.sources` answers
    :param now: seconds since the epoch
    """
    return InventoryView(
        at=inventory.at,
        age=_age(inventory.at, now),
        traits=inventory.traits,
        capabilities=[_capability(c, now) for c in inventory],
        sources=[_source(source, now) for source in sources],
    )


def _capability(found: Capability, now: float) -> CapabilityView:
    return CapabilityView(
        name=found.name,
        present=found.present,
        value=found.value,
        evidence=found.evidence,
        at=found.at,
        age=_age(found.at, now),
        missing="" if found.present else found.missing,
        source=found.source,
        stale=found.stale,
    )


def _source(source: Mapping[str, Any], now: float) -> SourceView:
    at = source["at"]
    return SourceView(age=None if at is None else _age(at, now), **source)


def _age(at: float, now: float) -> float:
    """Seconds; a clock that was set back makes nothing younger than now."""
    return round(max(0.0, now - at), 3)
