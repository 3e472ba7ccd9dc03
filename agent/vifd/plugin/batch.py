"""The ports of one call to a plugin, and how one that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

import msgspec
from msgspec import Struct

from vifd.errors import (
    BackendError,
    BackendUnavailable,
    InternalError,
    UnplugPartial,
    VifError,
)
from vifd.model import Wiring
from vifd.plugin import Item, Outcomes
from vifd.safety.steady import advance


class Names(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plugin keeps of a port in :attr:`Wiring.details`; plugins add their fields."""

    def details(self) -> dict[str, object]:
        """The JSON object that is persisted."""
        details: dict[str, object] = msgspec.to_builtins(self)
        return details

    @classmethod
    def read(cls, wiring: Wiring) -> Self:
        """The names and numbers in a wiring of ours.

        :raises InternalError: it is none
        """
        try:
            return msgspec.convert(wiring.details, cls)
        except msgspec.ValidationError as error:
            raise InternalError(
                f"the wiring of {wiring.device or 'a port'} cannot be read: {error}",
                facts={"details": wiring.details},
            ) from error


@dataclass
class Work:
    """One port on its way through a call.

    :param names: as stored or planned; plugins say of which class
    """

    item: Item
    names: Names
    #: The port's, and its guest-facing device, planned or made.
    id: str = field(init=False)
    device: str = field(init=False)

    def __post_init__(self) -> None:
        self.id, self.device = self.item.id, self.item.made.device


W = TypeVar("W", bound=Work)
K = TypeVar("K", bound=Hashable)


@dataclass
class Batch(Generic[W]):
    """The ports that are still in the race, and the errors of the others."""

    works: list[W] = field(default_factory=list)
    failed: dict[str, VifError] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """Read the names of every port; one whose wiring makes no sense fails alone."""
        found = cls()
        for item in items:
            try:
                found.works.append(cls.read(item))
            except VifError as error:
                found.failed[item.id] = error.at("names", item.id)
        return found

    @classmethod
    def read(cls, item: Item) -> W:
        """A port with its names, as stored or planned: each plugin has its own."""
        raise NotImplementedError

    def by(self, key: Callable[[W], K]) -> dict[K, list[W]]:
        """The ports in groups."""
        groups: dict[K, list[W]] = {}
        for work in self.works:
            groups.setdefault(key(work), []).append(work)
        return groups

    def __iter__(self) -> Iterator[W]:
        for work in list(self.works):
            advance()
            yield work

    def fail(self, work: W, error: VifError, stage: str) -> None:
        """Take a port out of the race; what is found wrong later does not mask the first error."""
        if work.id in self.failed:
            return
        self.failed[work.id] = error.at(stage, work.id)
        self.works.remove(work)

    def together(
        self,
        stage: str,
        step: Callable[[Sequence[W]], object],
        works: Iterable[W] | None = None,
    ) -> None:
        """Take a step for all at once; when that fails, in halves, so that the culprit is found by
        few steps: of many ports one each would keep the switch at work for minutes.

        The step must be all or nothing, and repeatable. It is taken for ports that have not failed.
        """
        asked = self.works if works is None else works
        chosen = [work for work in asked if work.id not in self.failed]
        if not chosen:
            return
        advance()
        try:
            step(chosen)
        except VifError as error:
            if len(chosen) == 1 or isinstance(error, BackendUnavailable):
                for work in chosen:
                    self.fail(work, error.copy(), stage)
                return
            middle = len(chosen) // 2
            self.together(stage, step, chosen[:middle])
            self.together(stage, step, chosen[middle:])

    def left_over(self) -> Self:
        """Of a removal: a port of which something is left says so, and can be removed again."""
        self.failed = {port_id: _partial(error) for port_id, error in self.failed.items()}
        return self

    def outcomes(self, plugin: str, vif_type: str) -> Outcomes:
        """The answer of the call."""
        outcomes: Outcomes = dict(self.failed)
        for work in self.works:
            details = work.names.details()
            outcomes[work.id] = Wiring(plugin, vif_type, work.device, details)
        return outcomes


def _partial(error: VifError) -> VifError:
    if isinstance(error, BackendError):
        return error
    partial = UnplugPartial(facts={"problem": error.message}, stage=error.stage, port=error.port)
    partial.__cause__ = error
    return partial
