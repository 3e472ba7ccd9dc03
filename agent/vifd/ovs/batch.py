"""The ports of one call, and how one that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vifd.errors import BackendUnavailable, VifError
from vifd.model import Wiring
from vifd.ovs import wiring
from vifd.ovs.wiring import OvsWiring
from vifd.plugin import Item, Outcomes


@dataclass
class Work:
    """One port on its way through a call.

    :param names: its numbers on the bridge, as stored or planned
    """

    item: Item
    names: OvsWiring

    @property
    def id(self) -> str:
        return self.item.id

    @property
    def device(self) -> str:
        return self.item.made.device


@dataclass
class Batch:
    """The ports that are still in the race, and the errors of the others."""

    works: list[Work] = field(default_factory=list)
    failed: dict[str, VifError] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[Item]) -> Batch:
        """Read the names of every port; one whose wiring makes no sense fails alone."""
        batch = cls()
        for item in items:
            try:
                batch.works.append(Work(item, wiring.read(item.made)))
            except VifError as error:
                batch.failed[item.id] = error.at("names", item.id)
        return batch

    def __iter__(self) -> Iterator[Work]:
        return iter(list(self.works))

    def fail(self, work: Work, error: VifError, stage: str) -> None:
        """Take a port out of the race."""
        self.failed[work.id] = error.at(stage, work.id)
        self.works.remove(work)

    def together(
        self,
        stage: str,
        step: Callable[[Sequence[Work]], object],
        works: Iterable[Work] | None = None,
    ) -> None:
        """Take a step for all at once; when that fails, one by one, so that the culprit is found.

        The step must be all or nothing, and repeatable.
        """  # fmt: skip
        chosen = list(self.works if works is None else works)
        if not chosen:
            return
        try:
            step(chosen)
        except VifError as error:
            if len(chosen) == 1 or isinstance(error, BackendUnavailable):
                for work in chosen:
                    self.fail(work, error if len(chosen) == 1 else _copy(error), stage)
                return
            for work in chosen:
                self.together(stage, step, [work])

    def bridges(self) -> dict[str, list[Work]]:
        """The ports by bridge."""
        sorted_: dict[str, list[Work]] = {}
        for work in self.works:
            sorted_.setdefault(work.names.bridge, []).append(work)
        return sorted_

    def outcomes(self, plugin: str, vif_type: str) -> Outcomes:
        """The answer of the call."""
        outcomes: Outcomes = dict(self.failed)
        for work in self.works:
            outcomes[work.id] = Wiring(plugin, vif_type, work.device, work.names.details())
        return outcomes


def _copy(error: VifError) -> VifError:
    """One error object per port: each is completed with its own port's id."""
    copy = type(error)(
        error.message, stage=error.stage, facts=error.facts, retry_after=error.retry_after,
        hint=error.hint,
    )  # fmt: skip
    copy.__cause__ = error.__cause__
    return copy
