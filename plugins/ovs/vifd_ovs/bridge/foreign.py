"""Numbers on a bridge that its ports hold, whoever made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vifd.drivers import Ovsdb, PortRow
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.wiring import NOWHERE


@dataclass(frozen=True)
class Numbers:
    """Port numbers and local VLAN ids.

    :param networks: by network and segment, the local VLAN id that its marked ports agree on
    :param marked: by port id, the name of the port that bears its mark
    """

    ofports: frozenset[int] = frozenset()
    tags: frozenset[int] = frozenset()
    networks: Mapping[tuple[object, ...], int] = field(default_factory=dict)
    marked: Mapping[str, str] = field(default_factory=dict)


class ForeignNumbers:
    """Reads the bridge's ports, and again only when one changed: names are asked for port by port,
    and a bridge has many."""

    def __init__(self, ovsdb: Ovsdb) -> None:
        self._ovsdb = ovsdb
        self._known: dict[str, Numbers] = {}
        ovsdb.subscribe(self._changed)

    def _changed(self, _kind: str, _name: str) -> None:
        self._known.clear()

    def of(self, bridge: str) -> Numbers:
        """What is held on a bridge: by ports of others, and by those that bear our mark and may be
        in no ledger. What is ours and in the ledger is taken there as well, so it does no harm."""
        known = self._known.get(bridge)
        if known is None:
            known = self._known[bridge] = self._read(bridge)
        return known

    def _read(self, bridge: str) -> Numbers:
        if self._ovsdb.bridge(bridge) is None:
            return Numbers()
        rows = self._ovsdb.ports(bridge)
        ofports = {n for r in rows for n in (r.ofport, r.ofport_request) if n is not None}
        tags = {r.tag for r in rows if r.tag is not None}
        marked = {r.external_ids[marks.PORT]: r.name for r in rows if marks.PORT in r.external_ids}
        return Numbers(frozenset(ofports), frozenset(tags), _networks(rows), marked)


def _networks(rows: Iterable[PortRow]) -> dict[tuple[object, ...], int]:
    """Local VLAN ids that belong to one network alone, as far as marks tell."""
    found: dict[tuple[object, ...], set[int]] = {}
    holders: dict[int, set[tuple[object, ...]]] = {}
    for row in rows:
        if marks.PORT not in row.external_ids:
            continue
        network, tag = marks.network_of(row)
        if network[0] and 0 < tag < NOWHERE:
            found.setdefault(network, set()).add(tag)
            holders.setdefault(tag, set()).add(network)
    return {
        network: tag
        for network, tags in found.items()
        if len(tags) == 1 and len(holders[tag := next(iter(tags))]) == 1
    }
