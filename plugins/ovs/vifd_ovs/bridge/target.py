"""Which flows a bridge shall have: pure functions of its ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Protocol

from vifd.model.sets import Forwarding
from vifd.openflow.flow import Flow, by_key
from vifd_ovs.bridge import admission, cookies, flows
from vifd_ovs.bridge.admission import Policy
from vifd_ovs.bridge.entries import Entries, Key
from vifd_ovs.bridge.flows import Network
from vifd_ovs.bridge.listening import port_flows as listening_flows
from vifd_ovs.bridge.neighbours import NOBODY, Neighbours
from vifd_ovs.bridge.overlay import OVERLAYS, Kind
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.roster import Made, Roster
from vifd_ovs.bridge.rules import digest
from vifd_ovs.bridge.tunnelflows import Overlaid


class Rules(Protocol):
    """The rules of security groups, as flows."""

    def port_flows(self, port: SwitchPort) -> tuple[Flow, ...]:
        """The flows by which a port has its groups."""

    def cookie(self, group_id: str) -> int:
        """The cookie of a group's flows."""

    def entries(self, group_id: str) -> Entries:
        """The flows of a group."""


class NoRules:
    """Nothing is known of groups, so that what they would let pass does not."""

    def port_flows(self, port: SwitchPort) -> tuple[Flow, ...]:
        return admission.port_flows(port.cookie, port.ofport, Policy()) if port.judged else ()

    def cookie(self, group_id: str) -> int:
        return cookies.group(digest(group_id))

    def entries(self, group_id: str) -> Entries:
        del group_id
        return {}


@dataclass(frozen=True)
class Target:
    """What a bridge shall carry.

    :param ours: whether we made the bridge
    :param uplinks: ofport of each of our patch ports, by its name
    :param neighbours: ports of others, by the VLAN of the bridge that they share with ours
    :param tunnels: ofports of our tunnel ports, by network type and IP version
    :param addresses: of this host, that tunnels leave from
    :param forwarding: by the id of the network
    :param rulesets: the rules of security groups
    :param listening: whether guests are heard that announce themselves at closed ports
    :param advertises: the datapath can make a neighbour advertisement of a solicitation
    """

    ports: Roster
    ours: bool = False
    uplinks: Mapping[str, int] = field(default_factory=dict)
    neighbours: Mapping[int, Neighbours] = field(default_factory=dict)
    tunnels: Mapping[Kind, int] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    forwarding: Mapping[str, Forwarding] = field(default_factory=dict)
    rulesets: Rules = field(default_factory=NoRules)
    listening: bool = False
    advertises: bool = True

    def network(self, tag: int) -> list[Flow]:
        """The flows of the network with this local VLAN id."""
        made = self.step(tag)
        beyond = made.reached.entries.values() if made is not None and made.reached else ()
        return [*made.local, *beyond] if made is not None else []

    def network_entries(self, tag: int) -> Entries:
        """The same as they stand under the network's cookie; not to be changed."""
        made = self.step(tag)
        return made.entries if made is not None else {}

    def step(self, tag: int) -> Made | None:
        """The flows of a network, and how they differ from those before; ``None`` where no port of
        it is known."""
        members = self.ports.networks.get(tag)
        if members is None:
            return None
        first, shared = next(iter(members.ports.values())), members.port_tag
        others = NOBODY if shared is None else self.neighbours.get(shared, NOBODY)
        if others:
            others = others.without({p.ofport for p in self.ports.values()})
        overlaid = self._overlaid(first, members.over)
        beyond = overlaid is not None and overlaid.reaches
        network = Network(
            tag, first.segment, self.uplinks.get(first.patch), others, beyond, members.over
        )
        # A change of one port asks for these flows five times, and changes them once.
        local = members.flood.flows(network, partial(flows.network_flows, network))
        if overlaid is None or not local:
            return members.flows(tag, local, None)
        present = members.flood.ports
        reached = members.reached(tag, overlaid, lambda: flows.shared_macs(present).keys())
        return members.flows(tag, local, reached)

    def _overlaid(self, port: SwitchPort, over: int) -> Overlaid | None:
        kind, _, number = port.segment
        if kind not in OVERLAYS or number is None:
            return None
        exits = tuple((k.version, n) for k, n in sorted(self.tunnels.items()) if k.type == kind)
        found = self.forwarding.get(port.network)
        return Overlaid(number, exits, self.addresses, found, bool(over), self.advertises)

    def port(self, port: SwitchPort) -> tuple[Flow, ...]:
        """The flows of one port."""
        return port_flows(port, self.rulesets, listening=self.listening)

    def groups(self) -> dict[int, Entries]:
        """The rules of every security group that a port of the bridge has, by cookie."""
        rulesets = self.rulesets
        found = {g for p in self.ports.values() if p.judged for g in p.groups or ()}
        made = {rulesets.cookie(g): rulesets.entries(g) for g in sorted(found)}
        return {cookie: entries for cookie, entries in made.items() if entries}

    def bridge(self) -> Sequence[Flow]:
        """The flows of the bridge itself."""
        return _bridge(self.ours, *self._exits())[0]

    def bridge_entries(self) -> Entries:
        """The same as they stand under the bridge's cookie; not to be changed."""
        return _bridge(self.ours, *self._exits())[1]

    def _exits(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(sorted(self.uplinks.values())), tuple(self.tunnels.values())

    def entries(self, port_ids: Iterable[str], tags: Iterable[int]) -> dict[int, Entries]:
        """The flows of some ports and networks, and of the bridge, by cookie; not to be changed."""
        known = [self.ports[port_id] for port_id in port_ids if port_id in self.ports]
        made = by_cookie(flow for port in known for flow in self.port(port))
        made |= {cookies.network(tag): self.network_entries(tag) for tag in tags}
        made[cookies.BRIDGE] = self.bridge_entries()
        return {cookie: entries for cookie, entries in made.items() if entries}

    def of(self, port_ids: Iterable[str], tags: Iterable[int]) -> Iterator[Flow]:
        """The flows of some ports and networks, and of the bridge."""
        for port_id in port_ids:
            if port_id in self.ports:
                yield from self.port(self.ports[port_id])
        for tag in tags:
            yield from self.network(tag)
        yield from self.bridge()

    def all(self, port_ids: Iterable[str] | None = None) -> Iterator[Flow]:
        """Every flow that shall be there, but for the rules of :meth:`groups`.

        :param port_ids: whose own flows; those of all ports by default
        """
        chosen = self.ports if port_ids is None else port_ids
        return self.of(chosen, self.ports.networks)


def port_flows(port: SwitchPort, rules: Rules, *, listening: bool) -> tuple[Flow, ...]:
    """Every flow that bears the cookie of a port."""
    heard = listening_flows(port) if listening else ()
    return (*flows.port_flows(port), *rules.port_flows(port), *heard)


def by_cookie(flows: Iterable[Flow]) -> dict[int, Entries]:
    """Flows sorted by whose they are."""
    sorted_: dict[int, dict[Key, Flow]] = {}
    for flow in flows:
        sorted_.setdefault(flow.cookie, {})[flow.table, flow.priority, flow.match] = flow
    return {**sorted_}


def _entries(cookie: int, parts: Iterable[Iterable[Flow]]) -> Entries:
    return by_key(flow for part in parts for flow in part if flow.cookie == cookie)


@lru_cache(maxsize=64)
def _bridge(
    ours: bool, uplinks: tuple[int, ...], tunnels: tuple[int, ...]
) -> tuple[Sequence[Flow], Entries]:  # fmt: skip
    made = flows.bridge_flows(ours=ours, uplinks=uplinks, tunnels=tunnels)
    return tuple(made), _entries(cookies.BRIDGE, [made])


@dataclass(frozen=True)
class Difference:
    """What must change on the switch."""

    add: list[Flow]
    delete: list[Flow]

    def __bool__(self) -> bool:
        return bool(self.add or self.delete)


def difference(
    installed: Mapping[int, Entries], wanted: Mapping[int, Entries], cookies_: Iterable[int]
) -> Difference:
    """What turns the installed flows of these cookies into the wanted ones."""
    add: list[Flow] = []
    delete: list[Flow] = []
    for cookie in cookies_:
        have, want = installed.get(cookie, {}), wanted.get(cookie, {})
        if have is want or have == want:
            continue
        add += [flow for key, flow in want.items() if have.get(key) != flow]
        delete += [flow for key, flow in have.items() if key not in want]
    return Difference(add, delete)


def touched(ports: Iterable[SwitchPort | None]) -> tuple[set[int], set[int]]:
    """The cookies and the local VLAN ids that a change of these ports touches."""
    present = [p for p in ports if p is not None]
    tags = {p.tag for p in present}
    touched_ = {p.cookie for p in present} | {cookies.network(t) for t in tags} | {cookies.BRIDGE}
    return touched_, tags
