"""What a plugin's own facts mean, where they are not as wanted: for ``vifctl port explain``.

The core keeps the order of the steps; what a fact of a plugin breaks, how that is said, what
mends it and what else differs only because of it, the plugin declares beside what reads the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vifd.model import Attachment, Evidence
from vifd.plugin.severing import Severing


class About(Protocol):
    """The port that a fact is of."""

    @property
    def attachment(self) -> Attachment:
        """What is wanted of it."""

    @property
    def device(self) -> str:
        """The guest-facing device, planned or made."""

    @property
    def bridge(self) -> str:
        """The bridge that it stands on, or what to say instead."""

    @property
    def details(self) -> Mapping[str, Any]:
        """The plugin's own names and numbers."""

    @property
    def passing(self) -> bool | None:
        """Whether traffic passes; ``None`` where that is not known."""


class Unsure(str):
    """A sentence about what is not known to be as wanted."""

    __slots__ = ()


Sentence = Callable[[Evidence, About], str]
#: What a step is, none of whose facts differs: a sentence from what was read, by fact.
Sound = Callable[[Mapping[str, Any], About], str]


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


def plain(finding: Evidence, _: About) -> str:
    """A fact without a sentence of its own."""
    return f"{finding.fact} is {value(finding.have)}, wanted {value(finding.wanted)}"


def words(template: str) -> Sentence:
    """A sentence with these in their places: ``{device}``, ``{bridge}``, ``{have}``, ``{wanted}``,
    and ``{kind}``, which is the fact's name behind its first dot."""

    def sentence(finding: Evidence, port: About) -> str:
        return template.format(
            device=port.device, bridge=port.bridge, have=value(finding.have),
            wanted=value(finding.wanted), kind=finding.fact.partition(".")[2].replace("_", " "),
        )  # fmt: skip

    return sentence


def gate(port: About, unknown: str) -> str:
    """Whether traffic passes, in a word.

    :param unknown: where nobody knows
    """
    return {True: "open", False: "closed", None: unknown}[port.passing]


def listed(texts: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f"{texts[0]}{more}"


def missing(finding: Evidence) -> bool:
    """Whether what was looked for is not there."""
    return finding.have in ("missing", False, None)


#: What to do about a change that nobody owns up to.
WHO = "find out who did it: the hypervisor's log, the shell history, a configuration manager"


@dataclass(frozen=True)
class Meaning:
    """One fact, or several that mean the same. Of a plugin's meanings for one step the graver comes
    first.

    :param step: the step of the path that it breaks: ``names``, ``device``, ``switch``, ``port``,
        ``flows``, ``wiring`` (what another program makes for the port), ``filter``, ``uplink``,
        ``trace`` or ``guest``
    :param facts: patterns of the fact's name; ``*`` stands for anything
    :param sentence: what is wrong, for an operator
    :param hint: what an operator can do besides waiting for vifd
    :param explains: patterns of the facts that differ only because this one does
    :param applies: tells meanings of the same fact apart
    :param breaks: a later step that is broken by it as well, as that one's own meaning says it
    :param only_by: the steps that alone can explain it; empty for any
    """

    step: str
    facts: tuple[str, ...]
    sentence: Sentence
    hint: str
    explains: tuple[str, ...] = ()
    applies: Callable[[Evidence], bool] = lambda _: True
    breaks: str = ""
    only_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meanings:
    """Everything that a plugin says of its facts.

    :param rows: what they mean where they differ
    :param follows: by a fact of the core (``device``, ``device.ifindex``, ``device.up``,
        ``device.mtu``, ``security_groups*``), which of the plugin's differ only because of it
    :param sound: by step, what it is where nothing differs
    :param shown: facts that tell of another step than the one they break
    :param stages: by the stage of an error, the step at which an attempt ended
    :param through: by a fact of its pulse, who it is that gives no answer
    :param names: which of the port's details are worth telling, in this order
    :param severing: which of them cut the port off
    """

    rows: tuple[Meaning, ...] = ()
    follows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sound: Mapping[str, Sound] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    through: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    severing: Severing = field(default_factory=Severing)

    def besides(self, other: Meanings) -> Meanings:
        """These and those of a library that the plugin stands on; its own come first."""
        facts = self.follows.keys() | other.follows.keys()
        return Meanings(
            (*self.rows, *other.rows),
            {f: (*self.follows.get(f, ()), *other.follows.get(f, ())) for f in facts},
            {**other.sound, **self.sound},
            {**other.shown, **self.shown},
            {**other.stages, **self.stages},
            {**other.through, **self.through},
            (*self.names, *other.names),
            self.severing.besides(other.severing),
        )
