"""What is known of a plugin that is asked to serve an attachment, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vifd.errors import VifError
from vifd.model import Selection
from vifd.plugin import Advert, Probe, Requirement
from vifd.plugin.vifs.kinds import Kind


@dataclass(frozen=True)
class Candidate:
    """One plugin.

    :param vif_type: the VIF type it is asked for; empty for all that it serves
    :param rank: where it stands in the order of this host; smaller is preferred
    :param requirements: what the attachment needs, met or not, the plugin's own and the host's
    :param findings: what the host's checks of the binding have against it
    :param enforce: what the document asks for, and whether it would be enforced
    :param consulted: by name, the capabilities of the host that were looked at, as JSON values
    """

    name: str
    advert: Advert
    probe: Probe
    requirements: tuple[Requirement, ...] = ()
    vif_type: str = ""
    rank: int = 0
    version: str = ""
    findings: tuple[VifError, ...] = ()
    enforce: Callable[[], list[dict[str, Any]]] = list
    consulted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What should be known of it although it is no reason to refuse."""
        return [r.note for r in self.requirements if r.note]


@dataclass(frozen=True)
class Usable:
    """A candidate that can serve the attachment.

    :param order: what it is sorted by: the network side, the host, the plugin's own order, names
    :param version: of the VIF class, the highest that both sides have
    :param profile: the class of the port profile, with the highest version that both sides have
    """

    candidate: Candidate
    vif_type: str
    kind: Kind
    version: str
    profile: tuple[str, str]
    order: tuple[int, int, int, str, str]

    @property
    def name(self) -> str:
        """``plugin/vif_type``."""
        return f"{self.candidate.name}/{self.vif_type}"


@dataclass(frozen=True)
class Refused:
    """A candidate that cannot.

    :param error: the first reason, in the order in which things are looked at
    :param also: the further ones
    """

    candidate: Candidate
    vif_type: str
    error: VifError
    also: tuple[VifError, ...] = ()
    order: tuple[int, int, int, str, str] = (0, 0, 0, "", "")

    def row(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "plugin": self.candidate.name,
            "vif_type": self.vif_type,
            "error": self.error.to_dict(),
            "also": [error.to_dict() for error in self.also],
        }


@dataclass(frozen=True)
class Choice:
    """The outcome.

    :param usable: who could, the best first; the first one is chosen
    :param refused: who could not, in the order they would have had
    :param asked: whether the document or a token named the candidate
    """

    usable: tuple[Usable, ...] = ()
    refused: tuple[Refused, ...] = ()
    asked: bool = False

    @property
    def chosen(self) -> Usable | None:
        return self.usable[0] if self.usable else None

    @property
    def plugin(self) -> str:
        """The chosen plugin, or the empty string."""
        return self.usable[0].candidate.name if self.usable else ""

    @property
    def vif_type(self) -> str:
        return self.usable[0].vif_type if self.usable else ""

    @property
    def refusals(self) -> dict[str, VifError]:
        """The first reason against each plugin that was asked and can serve nothing."""
        able = {usable.candidate.name for usable in self.usable}
        found: dict[str, VifError] = {}
        for refused in self.refused:
            if refused.candidate.name not in able and refused.error.stage != "asked":
                found.setdefault(refused.candidate.name, refused.error)
        return found

    def selection(self, now: float) -> Selection | None:
        """What the journal keeps of it; ``None`` where nothing was chosen.

        Who was not asked is left out: there is nothing to explain.
        """
        chosen = self.chosen
        if chosen is None:
            return None
        return Selection(
            vif_class=chosen.kind.vif.name,
            version=chosen.version,
            profile=chosen.profile[0],
            profile_version=chosen.profile[1],
            usable=[usable.name for usable in self.usable],
            refused=[r.row() for r in self.refused if r.error.stage != "asked"],
            enforcement=chosen.candidate.enforce(),
            asked=self.asked,
            at=now,
            notes=chosen.candidate.notes,
        )
