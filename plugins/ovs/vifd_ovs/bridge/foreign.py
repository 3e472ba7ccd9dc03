"""Numbers on a bridge that its ports hold, whoever made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

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


class _Row(NamedTuple):
    """What one port of a bridge says of itself.

    :param port: the id in its mark, if it bears one
    :param network: of a marked port: network and segment, where it says a VLAN
    """

    row: PortRow
    ofports: tuple[int, ...]
    port: str | None
    network: tuple[object, ...] | None
    tag: int


class ForeignNumbers:
    """Reads the bridge's ports, and again only when one changed, and then only that one: names are
    asked for port by port, and a bridge has many."""

    def __init__(self, ovsdb: Ovsdb) -> None:
        self._ovsdb = ovsdb
        self._known: dict[str, Numbers] = {}
        self._rows: dict[str, dict[str, _Row]] = {}
        #: what is to be read anew: ports, or everything; noted by the thread that is told
        self._ports: dict[str, None] = {}
        self._whole = False
        ovsdb.subscribe(self._changed)

    def _changed(self, kind: str, name: str) -> None:
        if kind == "port":
            self._ports[name] = None
        else:
            self._whole = True

    def of(self, bridge: str) -> Numbers:
        """What is held on a bridge: by ports of others, and by those that bear our mark and may be
        in no ledger. What is ours and in the ledger is taken there as well, so it does no harm."""
        self._catch_up()
        known = self._known.get(bridge)
        if known is None:
            known = self._known[bridge] = self._read(bridge)
        return known

    def _catch_up(self) -> None:
        """Read what changed; what changes again meanwhile is noted again."""
        if self._whole:
            self._whole = False
            self._known, self._rows = {}, {}
        while self._ports:
            with suppress(KeyError):
                name, _ = self._ports.popitem()
                self._known = {}
                row = self._ovsdb.port(name)
                for bridge, rows in self._rows.items():
                    rows.pop(name, None)
                    if row is not None and row.bridge == bridge:
                        rows[name] = _read(row)

    def _read(self, bridge: str) -> Numbers:
        if self._ovsdb.bridge(bridge) is None:
            return Numbers()
        rows = self._rows.get(bridge)
        if rows is None:
            rows = self._rows[bridge] = {r.name: _read(r) for r in self._ovsdb.ports(bridge)}
        found = rows.values()
        ofports = frozenset(number for one in found for number in one.ofports)
        tags = frozenset(one.row.tag for one in found if one.row.tag is not None)
        marked = {one.port: one.row.name for one in found if one.port is not None}
        return Numbers(ofports, tags, _networks(found), marked)


def _read(row: PortRow) -> _Row:
    ofports = tuple(n for n in (row.ofport, row.ofport_request) if n is not None)
    if marks.PORT not in row.external_ids:
        return _Row(row, ofports, None, None, 0)
    network, tag = marks.network_of(row)
    there = bool(network[0]) and 0 < tag < NOWHERE
    return _Row(row, ofports, row.external_ids[marks.PORT], network if there else None, tag)


def _networks(rows: Iterable[_Row]) -> dict[tuple[object, ...], int]:
    """Local VLAN ids that belong to one network alone, as far as marks tell."""
    pairs = {(one.network, one.tag) for one in rows if one.network is not None}
    of_network = Counter(network for network, _ in pairs)
    of_tag = Counter(tag for _, tag in pairs)
    return {network: tag for network, tag in pairs if of_network[network] == 1 and of_tag[tag] == 1}
