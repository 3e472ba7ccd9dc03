"""Numbers on a bridge that its ports hold, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass

from vifd.drivers import Ovsdb


@dataclass(frozen=True)
class Numbers:
    """Port numbers and local VLAN ids."""

    ofports: frozenset[int] = frozenset()
    tags: frozenset[int] = frozenset()


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
        return Numbers(frozenset(ofports), frozenset(tags))
