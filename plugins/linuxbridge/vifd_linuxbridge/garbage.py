"""What bears the plugin's mark: chains, the sets of our table, taps, and what networks stand on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vifd.drivers import MARK, Bridging, Device, Link, Links, Nft
from vifd.drivers.nft.objects import Chain, Change, Element
from vifd.errors import GarbageChanged, VifError
from vifd.model import Role, restore
from vifd.plugin import Entry
from vifd.plugin.marked import Desired, Key, Marked, Wanted, is_id
from vifd_linuxbridge import marks, restoring, ruleset, wiring
from vifd_linuxbridge.kinds import Kind
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.ruleset import OF_PORTS, OPEN, TABLE

OPENED = "its device is open: a guest, or another program, has it"

Failed = dict[Key, VifError]


@dataclass(frozen=True)
class Garbage:
    """The optional verbs about single objects.

    :param others: devices that are not ours and that ours are on, or over: the interfaces of
        physical networks, and bridges of others
    """

    others: frozenset[str]
    settings: Settings
    links: Links
    bridging: Bridging
    nft: Nft

    # --- what is there ---

    def inventory(self) -> list[Marked]:
        """Filters by port, taps on bridges of the kernel, bridges, VLAN and VXLAN devices."""
        marked = {link.name: link for link in self.links.marked(MARK)}
        there = self.bridging.get([*marked, *sorted(self.others)]) if marked else {}
        names = {device.link.ifindex: name for name, device in there.items()}
        below = _grounds({n: there[n] for n in marked if n in there})
        chains = self.nft.list_chains(TABLE)
        owners = {n: port for n, c in chains.items() if (port := marks.port_of(c.comment))}
        further = ruleset.further(owners)
        found = [_chain(chains[n], p, marked) for n, p in owners.items() if n not in further]
        found += self._guards(owners)
        indices = {name: index for index, name in names.items()}
        ground = {
            n: below.get(d.master or indices.get(self._home(chains.get(n)), 0), ())
            for n, d in there.items()
        }
        taps = (_tap(d, owners, names, ground[n]) for n, d in there.items())
        found += [m for m in taps if m is not None]
        found += [self._network(d, names) for d in there.values() if marks.is_network(d.link.alias)]
        return found

    def _home(self, chain: Chain | None) -> str:
        """The bridge that a port belongs to, by its document: while it is closed it is on none."""
        document = marks.document(chain.rules, Role.INACTIVE) if chain is not None else None
        if document is None:
            return ""
        try:
            attachment = restore(document).attachment
        except VifError:
            return ""
        return wiring.plan(attachment, self.settings, multi_queue=False).bridge

    def _guards(self, chains: Mapping[str, str]) -> Iterator[Marked]:
        """Elements of our sets for devices that have no chain."""
        names = {n for s in OF_PORTS for n in self.nft.list_elements(TABLE, s)}
        for name in sorted(names - chains.keys()):
            yield Marked(kind=Kind.GUARD, name=name, where=TABLE)

    def _network(self, device: Device, names: Mapping[int, str]) -> Marked:
        members: list[str] = []
        if device.link.kind == "bridge":
            ports = self.bridging.members(device.link.name)
            members = [m.link.name for m in ports if not m.link.alias.startswith(MARK)]
        uplinks = [n for n in members if n in self.others]
        members = [n for n in members if n not in self.others]
        return Marked(
            kind=Kind.NETWORK_DEVICE,
            name=device.link.name,
            identity=str(device.link.ifindex),
            holder=f"ports of others: {', '.join(members[:3])}" if members else "",
            backup=restoring.network_backup(device, names, uplinks),
        )

    # --- removing, in the order of an unplug ---

    def discard(self, objects: Sequence[Marked]) -> Failed:
        by_kind: dict[str, list[Marked]] = {}
        for marked in objects:
            by_kind.setdefault(marked.kind, []).append(marked)
        chains = by_kind.get(Kind.CHAIN, [])
        failed = self._close(chains)
        failed |= self._devices(by_kind.get(Kind.DEVICE, []))
        failed |= self._networks(by_kind.get(Kind.NETWORK_DEVICE, []))
        kept = {o.owner for o in objects if o.key in failed and o.owner}
        for marked in chains:
            if marked.owner in kept and marked.key not in failed:
                failed[marked.key] = _changed(marked, "the device that it guards stays")
        going = [m for m in chains if m.key not in failed] + by_kind.get(Kind.GUARD, [])
        return failed | self._filters(going)

    def _close(self, chains: Sequence[Marked]) -> Failed:
        """Cut the ports off before anything goes; a chain of another port is left alone."""
        names = [c.name for c in chains]
        present = self.nft.chains(TABLE, names) if names else {}
        links = self.links.get(names) if names else {}
        failed: Failed = {}
        for chain in chains:
            there, link = present.get(chain.name), links.get(chain.name)
            another = there is not None and marks.port_of(there.comment) != chain.owner
            if another or (link is not None and str(link.ifindex) != chain.identity):
                failed[chain.key] = _changed(chain, "it was plugged anew")
        closing = [c for c in chains if c.key not in failed]
        gates = [Element(OPEN, c.name) for c in closing]
        return failed | self._apply(Change(delete=gates), closing)

    def _filters(self, going: Sequence[Marked]) -> Failed:
        return self._apply(ruleset.remove([m.name for m in going]), going)

    def _apply(self, change: Change, concerned: Iterable[Marked]) -> Failed:
        concerned = list(concerned)
        if not concerned:
            return {}
        try:
            self.nft.apply(TABLE, change)
        except VifError as error:
            return {m.key: error.copy() for m in concerned}
        return {}

    def _devices(self, devices: Sequence[Marked]) -> Failed:
        present = self.links.get([d.name for d in devices]) if devices else {}
        failed: Failed = {}
        for marked in devices:
            link = present.get(marked.name)
            if link is not None and (problem := _unlike(marked, link)):
                failed[marked.key] = _changed(marked, problem)
        return failed | self._delete([d for d in devices if d.key not in failed])

    def _networks(self, devices: Sequence[Marked]) -> Failed:
        """Bridges that nobody stands on any more, and what led out of them."""
        there = self.bridging.get([d.name for d in devices]) if devices else {}
        failed: Failed = {}
        for marked in devices:
            device = there.get(marked.name)
            if device is None:
                continue
            now = self._network(device, {})
            used = [
                m.link.name
                for m in self.bridging.members(marked.name)
                if marks.port_of(m.link.alias)
            ]
            if now.identity != marked.identity or not marks.is_network(device.link.alias):
                failed[marked.key] = _changed(marked, "it is not the one that was found")
            elif now.holder or used:
                problem = now.holder or f"{used[0]} is a port of it"
                failed[marked.key] = _changed(marked, problem)
        return failed | self._delete([d for d in devices if d.key not in failed])

    def _delete(self, chosen: Sequence[Marked]) -> Failed:
        try:
            if chosen:
                self.links.delete([m.name for m in chosen])
        except VifError as error:
            return {m.key: error.copy() for m in chosen}
        return {}


def expected(plugin: str, entries: Mapping[str, Entry]) -> Desired:
    """What the ports of a ledger stand for, those of this plugin. Pure."""
    found: dict[Key, Wanted] = {}
    for port_id, entry in entries.items():
        if entry.wiring.plugin != plugin:
            continue
        names = wiring.read(entry.wiring)
        device = entry.wiring.device
        made = str(names.ifindex) if names.ifindex else ""
        found[Key(Kind.CHAIN, TABLE, device)] = Wanted(port_id)
        found[Key(Kind.GUARD, TABLE, device)] = Wanted()
        found[Key(Kind.DEVICE, "", device)] = Wanted(port_id, made)
        for name in (names.bridge if names.own_bridge else "", names.uplink):
            if name:
                found[Key(Kind.NETWORK_DEVICE, "", name)] = Wanted()
    return found


def _chain(chain: Chain, port_id: str, marked: Mapping[str, Link]) -> Marked:
    link = marked.get(chain.name)
    document = marks.document(chain.rules, Role.INACTIVE)
    return Marked(
        kind=Kind.CHAIN, name=chain.name, identity="" if link is None else str(link.ifindex),
        where=TABLE, owner=port_id, uses=(chain.name,),
        holder=OPENED if link is not None and _held(link) else "",
        backup={} if document is None else {"document": document},
    )  # fmt: skip


def _grounds(marked: Mapping[str, Device]) -> dict[int, tuple[str, ...]]:
    """By ifindex, each bridge of ours with the network devices of ours that are its ports."""
    networks = {n: d for n, d in marked.items() if marks.is_network(d.link.alias)}
    return {
        bridge.link.ifindex: (
            name, *(n for n, d in networks.items() if d.master == bridge.link.ifindex)
        )
        for name, bridge in networks.items()
        if bridge.link.kind == "bridge"
    }  # fmt: skip


def _tap(
    device: Device, chains: Mapping[str, str], names: Mapping[int, str], below: tuple[str, ...]
) -> Marked | None:
    """A guest's device that is on a bridge of the kernel, or has a filter of ours; and that of a
    sub-port."""
    link = device.link
    port_id = marks.port_of(link.alias)
    if port_id is None or not is_id(port_id) or link.kind not in ("tun", "vlan"):
        return None
    if device.master is None and link.name not in chains:
        return None
    return Marked(
        kind=Kind.DEVICE, name=link.name, owner=port_id, identity=str(link.ifindex),
        holder=OPENED if _held(link) else "", uses=(link.name,),
        stands_on=below,
        backup=restoring.tap_backup(device, names),
    )  # fmt: skip


def _unlike(marked: Marked, link: Link) -> str:
    """Why a device may not be removed, or the empty string."""
    if link.alias != marks.port_alias(marked.owner):
        return "it does not bear the mark any more"
    if str(link.ifindex) != marked.identity:
        return "it was made anew"
    return OPENED if _held(link) else ""


def _held(link: Link) -> bool:
    """Whether a guest has the device open: that of a sub-port has the carrier of its parent's."""
    return link.carrier and link.kind == "tun"


def _changed(marked: Marked, problem: str) -> GarbageChanged:
    facts = {"object": str(marked.key), "problem": problem}
    return GarbageChanged(facts=facts, port=marked.owner, stage="garbage")
