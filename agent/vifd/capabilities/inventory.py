"""What is known of this host: capabilities by name, each with its evidence. Values only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Capability:
    """Something the host can do, or cannot.

    :param name: the trait: of os-traits, or ``CUSTOM_*``
    :param present: whether the host has it; ``None`` where that could not be found out
    :param value: the number or text that goes with it: a count of queues, a version, an MTU
    :param evidence: where it was read and what was there, in a few words
    :param at: when it was read, seconds since the epoch
    :param missing: what lacks and how to get it, where it is absent
    :param source: the probe that read it
    :param stale: why it may be outdated: its probe hangs or failed since; empty where it is not
    """

    name: str
    present: bool | None = True
    value: Any = None
    evidence: str = ""
    at: float = 0.0
    missing: str = ""
    source: str = ""
    stale: str = ""


@dataclass(frozen=True)
class Inventory:
    """A snapshot of the host. Never changed; a new probe makes a new one.

    :param at: when its newest part was read
    :param complete: by prefix of names, what to answer for a name below it that is not there:
        probes that read a whole list say so here
    :param whole: every source has told: a name that none of them knows will not come up later
    """

    capabilities: Mapping[str, Capability] = field(default_factory=dict)
    at: float = 0.0
    complete: Mapping[str, Capability] = field(default_factory=dict)
    whole: bool = False

    def __iter__(self) -> Iterator[Capability]:
        return iter(self.capabilities.values())

    def get(self, name: str) -> Capability:
        """The capability of that name; one that nobody looked for is unknown."""
        known = self.capabilities.get(name)
        if known is not None:
            return known
        for prefix, absent in self.complete.items():
            if name.startswith(prefix):
                return replace(absent, name=name)
        return Capability(name, present=None)

    def has(self, name: str) -> bool:
        """Whether the host is known to have it."""
        return self.get(name).present is True

    def lacks(self, name: str) -> bool:
        """Whether the host is known not to have it; unknown is no "no"."""
        return self.get(name).present is False

    @property
    def traits(self) -> list[str]:
        """What the host has, as a sorted list of names."""
        return sorted(c.name for c in self if c.present)
