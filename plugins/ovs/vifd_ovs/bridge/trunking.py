"""Which sub-port of a bridge is reached through which parent. Pure.

A sub-port is a port of its own everywhere in the pipeline but at its ends, where the frames pass
tagged over its parent's switch port. What those ends are is never stored: it follows from the ports
of the bridge as they are, so that whatever becomes of a parent becomes of its sub-ports in the same
bundle, and it does not matter which of them came first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from vifd_ovs.bridge.ports import Gate, SubPort, SwitchPort, Trunk, Via

Changes = Mapping[str, SwitchPort | None]


@dataclass(frozen=True)
class Trunks:
    """The parents of a bridge, and its sub-ports as they were asked for. A value.

    :ivar asked: sub-ports, each as if its parent were there
    """

    parents: Mapping[str, SwitchPort] = field(default_factory=dict)
    asked: Mapping[str, SwitchPort] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.parents or self.asked)

    def concerned(self, changes: Changes) -> set[str]:
        """The sub-ports that are no part of a change, and may be other ports by it."""
        if not self:
            return set()
        before = (self.parents.get(port_id) for port_id in changes)
        named = {i for port in (*before, *changes.values()) for i in _sub_ports(port)}
        return (named & self.asked.keys()) - changes.keys()

    def changed(self, changes: Changes) -> tuple[Trunks, Changes]:
        """With these ports as they are now, and the change with every sub-port that it concerns as
        that is then."""
        if not self and not any(p is not None and (p.trunk or p.sub) for p in changes.values()):
            return self, changes
        beside = self.concerned(changes)
        parents, asked = dict(self.parents), dict(self.asked)
        for port_id, port in changes.items():
            parents.pop(port_id, None)
            asked.pop(port_id, None)
            if port is not None and port.trunk is not None:
                parents[port_id] = port
            if port is not None and port.sub is not None:
                asked[port_id] = port
        made = Trunks(parents, asked)
        mine = beside | (changes.keys() & asked.keys())
        return made, {**changes, **{i: made.resolved(i) for i in mine}}

    def resolved(self, sub_port: str) -> SwitchPort:
        """A sub-port as it is with the parents that are there: closed where none carries it."""
        port = self.asked[sub_port]
        own = port.sub.own_vlan if port.sub is not None else None
        ways = list(self._ways(sub_port, own))
        if len(ways) != 1:
            return replace(port, sub=SubPort(own), gate=min(port.gate, Gate.CLOSED))
        via, carries = ways[0]
        gate = port.gate if carries else min(port.gate, Gate.CLOSED)
        return replace(port, sub=SubPort(own, via), gate=gate)

    def _ways(self, sub_port: str, own: int | None) -> Iterator[tuple[Via, bool]]:
        """How it is reached, and whether frames pass there, by each parent that has it."""
        for parent in self.parents.values():
            trunk = parent.trunk
            if trunk is None or parent.gate not in (Gate.CLOSED, Gate.OPEN):
                continue
            vlan = _vlans(trunk).get(sub_port, 0)
            vlan = own if vlan is None else vlan
            if vlan and not self._taken(trunk, sub_port, vlan):
                yield Via(parent.id, parent.ofport, vlan), trunk.carries

    def _taken(self, trunk: Trunk, sub_port: str, vlan: int) -> bool:
        """Whether another sub-port of the trunk has a VLAN that this one inherits."""
        if _vlans(trunk)[sub_port] is not None:
            return False
        others = ((i, v) for i, v in trunk.sub_ports if i != sub_port)
        return any((v or self._inherited(i)) == vlan for i, v in others)

    def _inherited(self, sub_port: str) -> int | None:
        port = self.asked.get(sub_port)
        return port.sub.own_vlan if port is not None and port.sub is not None else None


def _sub_ports(port: SwitchPort | None) -> Iterator[str]:
    if port is not None and port.trunk is not None:
        yield from (port_id for port_id, _ in port.trunk.sub_ports)


@lru_cache(maxsize=256)
def _vlans(trunk: Trunk) -> Mapping[str, int | None]:
    return dict(trunk.sub_ports)
