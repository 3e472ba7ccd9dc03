"""The sets that rules of security groups name, as sets of the kernel: kept in step with changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from vifd.model.sets import SetKey
from vifd.plugin import Host
from vifd.plugin.membership import Membership
from vifd_linuxbridge.grouprules import Shape, placed


@dataclass
class _Placed:
    """The prefixes of a set by IP version and length, as of a version of it."""

    version: int
    shapes: dict[tuple[int, int], set[str]] = field(default_factory=dict)

    def add(self, prefixes: Iterable[str]) -> None:
        for prefix in prefixes:
            version, length, address = placed(prefix)
            self.shapes.setdefault((version, length), set()).add(address)

    def remove(self, prefixes: Iterable[str]) -> None:
        for prefix in prefixes:
            version, length, address = placed(prefix)
            found = self.shapes.get((version, length), set())
            found.discard(address)
            if not found:
                self.shapes.pop((version, length), None)


class Prefixes:
    """The members of sets, by the sets of the kernel that hold them."""

    def __init__(self, host: Host) -> None:
        self.members = Membership(host)
        self._placed: dict[SetKey, _Placed] = {}

    def lengths(self, key: SetKey) -> tuple[tuple[int, int], ...]:
        """The IP versions and lengths that a set has prefixes of."""
        return tuple(sorted(self._current(key).shapes))

    def shapes(self, key: SetKey) -> dict[Shape, Collection[str]]:
        """The sets of the kernel with their elements."""
        found = self._current(key).shapes
        return {Shape(key, version, length): there for (version, length), there in found.items()}

    def _current(self, key: SetKey) -> _Placed:
        version = self.members.version(key)
        known = self._placed.get(key)
        if known is not None and known.version == version:
            return known
        deltas = None if known is None else self.members.since(key, known.version)
        if known is None or deltas is None:
            known = self._placed[key] = _Placed(version)
            known.add(self.members.addresses(key))
            return known
        for delta in deltas:
            known.remove(delta.removed)
            known.add(delta.added)
        known.version = version
        return known
