"""Version numbers, ranges, and what two ranges have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

#: ``major.minor``, as it stands in documents.
PATTERN = r"^[0-9]{1,4}\.[0-9]{1,4}$"
_version = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


def number(version: str) -> tuple[int, int]:
    """A version for comparing.

    :raises ValueError: it is none
    """
    found = _version.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r:.32} is no version (major.minor)")
    return int(found.group(1)), int(found.group(2))


class Range(Struct, frozen=True):
    """Versions from ``min`` to ``max``, both included; ``max`` may be open."""

    min: str
    max: str | None = None

    def __contains__(self, version: str) -> bool:
        low = number(self.min) <= number(version)
        return low and (self.max is None or number(version) <= number(self.max))

    def __str__(self) -> str:
        return self.min if self.min == self.max else f"{self.min} to {self.max or 'any'}"


def highest(versions: Iterable[str], *ranges: Range) -> str | None:
    """The highest of the versions that lies in every range, or ``None``."""
    common = [v for v in versions if all(v in r for r in ranges)]
    return max(common, key=number, default=None)
