"""What a plugin's own facts mean, where they are not as wanted: for ``vifctl port explain``.

The core keeps the order of the steps; what a fact of a plugin breaks, how that is said, what
mends it and what else differs only because of it, the plugin declares beside what reads the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vifd.model import Evidence


def value(item: Any) -> str:
    """Any JSON value in a few words."""
    match item:
        case None:
            return "nothing"
        case bool():
            return "yes" if item else "no"
        case Mapping():
            return ", ".join(f"{k} {value(v)}" for k, v in item.items()) or "nothing"
        case str():
            return item or "nothing"
        case Sequence():
            return "; ".join(map(value, item)) or "nothing"
    return str(item)


def plain(finding: Evidence) -> str:
    """A fact without a sentence of its own."""
    return f"{finding.fact} is {value(finding.have)}, wanted {value(finding.wanted)}"


@dataclass(frozen=True)
class Meaning:
    """One fact, or several that mean the same. Of a plugin's meanings for one step the graver comes
    first.

    :param step: the step of the path that it breaks: ``device``, ``switch``, ``port``, ``flows``,
        ``wiring`` (what another program makes for the port), ``filter``, ``uplink``, ``trace`` or
        ``guest``
    :param facts: patterns of the fact's name; ``*`` stands for anything
    :param sentence: what is wrong, for an operator
    :param hint: what an operator can do besides waiting for vifd
    :param explains: patterns of the facts that differ only because this one does
    """

    step: str
    facts: tuple[str, ...]
    sentence: Callable[[Evidence], str]
    hint: str
    explains: tuple[str, ...] = ()
