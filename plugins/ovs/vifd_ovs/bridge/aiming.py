"""What stands beside a bridge's ports: uplinks, neighbours and tunnels; with them, its target."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from vifd.drivers import Ovsdb
from vifd.model.sets import Forwarding
from vifd.plugin import Sets
from vifd_ovs.bridge import marks, tunnels
from vifd_ovs.bridge.neighbours import neighbours
from vifd_ovs.bridge.overlay import OVERLAYS, Kind
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.rulesets import Rulesets
from vifd_ovs.bridge.target import Target

_USERSPACE = "netdev"
_WAYS = {marks.PATCH, marks.TUNNEL}


@dataclass(frozen=True)
class Aiming:
    """Of one bridge.

    :param listening: whether the announcements of guests at closed ports are wanted
    """

    ovsdb: Ovsdb
    bridge: str
    sets: Sets
    rules: Rulesets
    listening: bool
    #: names of ways out of the bridge
    _known: set[str] = field(default_factory=set)

    def target(self, ports: Roster) -> Target:
        """What the bridge shall carry for these ports."""
        ovsdb = self.ovsdb
        bridge = ovsdb.bridge(self.bridge)
        if bridge is None:
            return Target(ports)
        ours = marks.BRIDGE in bridge.external_ids
        exits, own, told = self._overlay(ports)
        uplinks = {}
        for name in ports.patches if ours else self._ways(ports.patches):
            row = ovsdb.port(name)
            number = row.ofport or 0 if row is not None and row.bridge == self.bridge else 0
            if number > 0 and number not in exits.values():
                uplinks[name] = number
        shared = ports.port_tags
        rows = ovsdb.ports(self.bridge) if shared and not ours else ()
        beside = {vlan: neighbours(rows, vlan) for vlan in shared}
        # flags and option types of neighbour discovery can be set by the userspace datapath alone:
        # the kernel's refuses the flow ("IPv6 ND Extensions" of dpif/show-dp-features)
        advertises = bridge.datapath_type == _USERSPACE
        return Target(
            ports, ours, uplinks, beside, exits, own, told, self.rules, self.listening, advertises
        )

    def _ways(self, used: Collection[str]) -> set[str]:
        """Our patch ports and tunnels, those included that nobody uses now: on a bridge of others
        what comes in by one would be flooded, and out again by another way."""
        if not self._known:
            rows = self.ovsdb.ports(self.bridge)
            self._known.update(row.name for row in rows if {*row.external_ids} & _WAYS)
        self._known.update(used)
        return self._known

    def _overlay(
        self, ports: Roster
    ) -> tuple[dict[Kind, int], tuple[str, ...], dict[str, Forwarding]]:
        """The tunnel ports that are there, this host's addresses, and who is behind the tunnels of
        the networks of these ports."""
        networks = {n for kind, ids in ports.kinds.items() if kind in OVERLAYS for n in ids}
        if not networks:
            return {}, (), {}
        rows = tunnels.rows(self.ovsdb, self.bridge)
        self._known.update(row.name for row in rows.values())
        own = sorted({row.options.get("local_ip", "") for row in rows.values()})
        found = {n: f for n in networks if (f := self.sets.forwarding(n)) is not None}
        there = {kind: row.ofport for kind, row in rows.items() if (row.ofport or 0) > 0}
        return {k: n for k, n in there.items() if n is not None}, tuple(own), found
