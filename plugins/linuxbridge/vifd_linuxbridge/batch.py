"""The ports of one call, and how one that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from vifd.errors import VifError
from vifd.model import Wiring
from vifd.plugin import Item, Outcomes
from vifd_linuxbridge import wiring
from vifd_linuxbridge.ruleset import Filter, port_filter
from vifd_linuxbridge.wiring import LinuxWiring


@dataclass
class Work:
    """One port on its way through a call."""

    item: Item
    names: LinuxWiring
    _filters: dict[bool, Filter] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.item.id

    @property
    def device(self) -> str:
        return self.item.made.device

    @property
    def mtu(self) -> int:
        return self.item.attachment.network.mtu

    def filter(self, *, opened: bool | None = None) -> Filter:
        """The port's filter, by default open or closed as the item says."""
        wanted = self.item.open if opened is None else opened
        if wanted not in self._filters:
            found = port_filter(self.item.attachment, self.device, opened=wanted)
            self._filters[wanted] = found
        return self._filters[wanted]


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
        works: Sequence[Work] | None = None,
    ) -> None:
        """Take a step for all at once; when that fails, one by one, so that the culprit is found.

        The step must be repeatable.
        """
        chosen = list(self.works if works is None else works)
        if not chosen:
            return
        try:
            step(chosen)
        except VifError as error:
            if len(chosen) == 1:
                self.fail(chosen[0], error, stage)
                return
            for work in chosen:
                self.together(stage, step, [work])

    def networks(self) -> dict[LinuxWiring, list[Work]]:
        """The ports by what they stand on."""
        found: dict[LinuxWiring, list[Work]] = {}
        for work in self.works:
            found.setdefault(wiring.shared(work.names), []).append(work)
        return found

    def outcomes(self, plugin: str, vif_type: str) -> Outcomes:
        """The answer of the call."""
        outcomes: Outcomes = dict(self.failed)
        for work in self.works:
            outcomes[work.id] = Wiring(plugin, vif_type, work.device, work.names.details())
        return outcomes
