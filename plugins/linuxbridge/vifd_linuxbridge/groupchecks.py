"""Read back what holds ports to their security groups, element for element."""

from __future__ import annotations

from vifd.drivers import Nft
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.model.evidence import fact
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.grouping import Grouping, Lacking

#: So many differences are written out.
_SHOWN = 8


class GroupReader:
    """The groups of the ports of one check; each is read once."""

    def __init__(self, nft: Nft, grouping: Grouping | None) -> None:
        self._nft = nft
        self._grouping = grouping
        self._lacking: dict[str, Lacking] = {}
        self._shared: list[Evidence] | None = None
        self._zones: dict[str, Evidence] = {}

    def evidence(self, work: Work) -> list[Evidence]:
        """The rules of a port's groups, what all such ports share, and its network's zone."""
        judged, grouping = work.judged, self._grouping
        if judged is None or grouping is None:
            return []
        try:
            return [
                *self._base(grouping), self._zone(grouping, work.names.bridge),
                self._rules(grouping, judged.groups),
                *(self._telling(grouping) if judged.logged.accepted else ()),
            ]  # fmt: skip
        except VifError as error:
            return [fact("nft", error.message, "readable", "nft")]

    def _base(self, grouping: Grouping) -> list[Evidence]:
        if self._shared is None:
            there = "another one" if grouping.foundation(self._nft) else "as wanted"
            self._shared = [fact("nft.tracking", there, "as wanted", "nft")]
        return self._shared

    def _zone(self, grouping: Grouping, bridge: str) -> Evidence:
        if bridge not in self._zones:
            change = grouping.table.zone_change(self._nft, (bridge,))
            there = "another one" if change else "as wanted"
            self._zones[bridge] = fact("nft.zone", there, "as wanted", "nft")
        return self._zones[bridge]

    def _telling(self, grouping: Grouping) -> list[Evidence]:
        """What ports share of which accepted packets are logged."""
        there = "another one" if grouping.logs.base(self._nft) else "as wanted"
        return [fact("nft.logging", there, "as wanted", "nft")]

    def _rules(self, grouping: Grouping, groups: frozenset[str]) -> Evidence:
        for group in sorted(groups - self._lacking.keys()):
            self._lacking[group] = grouping.lacking(self._nft, (group,))
        texts = [text for group in sorted(groups) for text in self._lacking[group].texts]
        more = len(texts) - _SHOWN
        shown = [*texts[:_SHOWN], f"and {more} more"] if more > 0 else texts
        return fact("nft.groups", shown or "as wanted", "as wanted", "nft")
