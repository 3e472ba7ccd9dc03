"""The flows of a network's tunnels: made once, and changed by what changed of its forwarding."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vifd.model.sets import Endpoint, Reachable
from vifd.openflow.flow import Flow, by_key
from vifd.policy.answering import Here, answering
from vifd_ovs.bridge import subflows, tunnelflows
from vifd_ovs.bridge.entries import Entries, changed, updated
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.tunnelflows import Overlaid

#: A port behind the endpoint with an address.
Place = tuple[str, Reachable]


@dataclass(frozen=True)
class Local:
    """What the flows depend on besides: the network's ports of this host.

    :param tag: the local VLAN id
    :param shared: MACs that local ports may share with others
    :param announced: a port here may announce any address as its own
    :param trunked: a port here is a sub-port of a trunk
    """

    tag: int
    here: Here
    shared: frozenset[str]
    announced: bool
    trunked: bool = False

    @classmethod
    def of(cls, tag: int, members: Sequence[SwitchPort], shared: Collection[str]) -> Local:
        """:param members: the ports, closed ones as well"""
        announced = any(m.receives and not m.secured for m in members)
        trunked = any(m.sub is not None for m in members)
        here = Here.of(pair for member in members for pair in member.allowed)
        return cls(tag, here, frozenset(shared), announced, trunked)


@dataclass(frozen=True)
class Reached:
    """The flows, and how they differ from those before (:class:`vifd_ovs.bridge.entries.Step`).

    :param where: by MAC address, the endpoint that it is behind
    :param claims: by IP address, the MAC addresses that it is said of
    :param alone: whether each MAC address is behind one endpoint
    """

    local: Local
    network: Overlaid
    where: Mapping[str, str]
    claims: Mapping[str, tuple[str, ...]]
    entries: Entries
    alone: bool = True
    base: Entries = field(default_factory=dict)
    added: tuple[Flow, ...] = ()
    removed: tuple[Flow, ...] = ()

    @classmethod
    def made(cls, local: Local, network: Overlaid) -> Reached:
        """All of them."""
        where: dict[str, str] = {}
        claims: dict[str, tuple[str, ...]] = {}
        places = [*_places(network, network.told)]
        for address, port in places:
            where[port.mac_address] = address
            for ip in port.ip_addresses:
                claims[ip] = (*claims.get(ip, ()), port.mac_address)
        empty = cls(local, network, where, claims, {}, len(where) == len(places))
        flows = [
            *([subflows.answered(local.tag)] if local.trunked else ()),
            *tunnelflows.fixed_flows(local.tag, network),
            *(flow for mac in where for flow in empty._remote(mac)),
            *(flow for ip in claims for flow in empty._answers(ip)),
        ]
        return replace(empty, entries=by_key(flows))

    def now(self, network: Overlaid) -> Reached:
        """The flows of the network as it is now; where its forwarding alone changed, at the cost of
        the change."""
        alike = network.alike(self.network)
        if alike and network.forwarding is self.network.forwarding:
            return self
        found = self._changed(network) if alike and self.alone else None
        return found or Reached.made(self.local, network)

    def _changed(self, network: Overlaid) -> Reached | None:
        """``None`` where a MAC address is behind two endpoints: the last that says it has it."""
        gone, came = _differing(self.network.told, network.told)
        went, come = [*_places(self.network, gone)], [*_places(network, came)]
        places: dict[str, str | None] = {port.mac_address: None for _, port in went}
        if len({p.mac_address for _, p in come}) != len(come):
            return None
        if any(p.mac_address in self.where and p.mac_address not in places for _, p in come):
            return None
        places |= {port.mac_address: address for address, port in come}
        claims = self._claimed(went, come)
        after = replace(
            self, network=network, where=updated(self.where, places),
            claims=updated(self.claims, claims),
        )  # fmt: skip
        same = {e.address for e in gone} == {e.address for e in came}
        had, has = (by_key(part._of(places, claims, fixed=not same)) for part in (self, after))
        added = tuple(flow for key, flow in has.items() if had.get(key) != flow)
        removed = tuple(flow for key, flow in had.items() if key not in has)
        entries = changed(self.entries, removed, added)
        return replace(after, entries=entries, base=self.entries, added=added, removed=removed)

    def _claimed(
        self, went: Iterable[Place], come: Iterable[Place]
    ) -> dict[str, tuple[str, ...] | None]:
        """The addresses that others claim now."""
        found: dict[str, list[str]] = {}
        for places, joins in ((went, False), (come, True)):
            for _, port in places:
                for ip in port.ip_addresses:
                    macs = found.setdefault(ip, [*self.claims.get(ip, ())])
                    (macs.append if joins else macs.remove)(port.mac_address)
        return {ip: tuple(macs) or None for ip, macs in found.items()}

    def _of(self, macs: Iterable[str], ips: Iterable[str], *, fixed: bool) -> Iterator[Flow]:
        """The flows of some of its addresses."""
        if fixed:
            yield from tunnelflows.fixed_flows(self.local.tag, self.network)
        for mac in macs:
            yield from self._remote(mac)
        for ip in ips:
            yield from self._answers(ip)

    def _remote(self, mac: str) -> Iterator[Flow]:
        address = self.where.get(mac)
        if address is not None:
            local = self.local
            yield from tunnelflows.remote_flows(local.tag, self.network, mac, address, local.shared)

    def _answers(self, ip: str) -> Iterator[Flow]:
        local = self.local
        mac = answering(ip, self.claims.get(ip, ()), local.here)
        if mac is not None and self.network.answers(ip):
            yield from tunnelflows.answer_flows(local.tag, ip, mac, local.announced, local.trunked)


def _places(network: Overlaid, endpoints: Iterable[Endpoint]) -> Iterator[Place]:
    """The ports behind those endpoints that can be reached."""
    for endpoint in endpoints:
        if network.usable(endpoint):
            yield from ((endpoint.address, port) for port in endpoint.ports)


def _differing(
    had: Sequence[Endpoint], has: Sequence[Endpoint]
) -> tuple[list[Endpoint], list[Endpoint]]:
    """The endpoints before and after a change, without what is the same object in both: endpoints,
    and ports behind one address. One without ports stays, for its address."""
    before, after = ({id(e): e for e in endpoints} for endpoints in (had, has))
    gone = [e for i, e in before.items() if i not in after]
    came = [e for i, e in after.items() if i not in before]
    old, new = ({(e.address, id(p)) for e in found for p in e.ports} for found in (gone, came))
    return [_less(e, new) for e in gone], [_less(e, old) for e in came]


def _less(endpoint: Endpoint, known: Collection[tuple[str, int]]) -> Endpoint:
    address = endpoint.address
    ports = tuple(p for p in endpoint.ports if (address, id(p)) not in known)
    return Endpoint(address=address, ports=ports)
