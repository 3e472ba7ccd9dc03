"""What was read of tables, for as long as the kernel's count of changes says that it is so."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers.nft.objects import Chain, Change


class Known:
    """Chains that were read back, and the number of the ruleset at which they were.

    The kernel counts every change of any table, so what was read at a number is what is there as
    long as the number is the same.
    """

    def __init__(self) -> None:
        self.generation = -1
        self.chains: dict[tuple[str, str], Chain] = {}
        #: the elements of sets of addresses
        self.addresses: dict[tuple[str, str], set[str]] = {}
        #: what is answered about networks; ``None`` where that is not as it shall be
        self.answers: dict[tuple[str, str], dict[str, str] | None] = {}

    def at(self, generation: int) -> None:
        """The number is this now."""
        if generation != self.generation:
            self.chains.clear()
            self.addresses.clear()
            self.answers.clear()
            self.generation = generation

    def forget(self, table: str, names: Sequence[str]) -> None:
        """These are about to change."""
        for name in names:
            self.chains.pop((table, name), None)

    def change(self, table: str, change: Change) -> None:
        """A change was made, and nothing else."""
        for name in change.delete_sets:
            self.addresses.pop((table, name), None)
        for element in change.add:
            if (found := self.addresses.get((table, element.set))) is not None:
                found.add(element.name)
        for element in change.delete:
            if (found := self.addresses.get((table, element.set))) is not None:
                found.discard(element.name)
