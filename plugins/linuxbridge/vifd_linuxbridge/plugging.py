"""Plug, activate, deactivate: the steps of a batch, in order.

The filter comes first and closed, then the bridge, then the tap with its guard. A closed port is no
port of the bridge: it becomes one when it opens, last, so there is no moment at which an unfiltered
frame could pass, and a packet filter that is flushed opens nothing. The way back of a step is
registered before the step is taken, because a call that fails may have had its effect all the same;
every way back looks at the mark before it removes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import BridgePort, Bridging, Device, FdbEntry, Links, Nft, Ovsdb, Program
from vifd.drivers.nft.objects import Chain, Change, Element
from vifd.errors import wrap
from vifd.plugin import tap
from vifd.plugin.identity import Identity
from vifd_linuxbridge import arriving, ruleset, shaping, tenancy, wiring
from vifd_linuxbridge.answering import Answering, Asker, tunnelled
from vifd_linuxbridge.batch import Batch, Work
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.guarding import admitted
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.ruleset import OF_PORTS, TABLE


class Plugging:
    """One ``plug`` call.

    :param own: who makes it, for the mark that one daemon alone does
    :param grouping: what holds ports to security groups, where this kernel can do that
    :param answering: what is answered of what guests ask
    :param ovsdb: of the switch that taps come from which another plugin served
    """

    def __init__(
        self, links: Links, bridging: Bridging, nft: Nft, settings: Settings, networks: Networks,
        batch: Batch, *, own: Identity | None = None, grouping: Grouping | None = None,
        answering: Answering | None = None,
        ovsdb: Ovsdb | None = None,
    ) -> None:  # fmt: skip
        self.answering = answering
        self.ovsdb = ovsdb
        self.own = own
        self.grouping = grouping
        self.links = links
        self.bridging = bridging
        self.nft = nft
        self.settings = settings
        self.networks = networks
        self.batch = batch
        for work in batch:
            work.names = wiring.completed(work.item.attachment, work.names, settings)
        self.taps = tap.Taps(links, batch, settings)
        self._filter_undo: dict[str, Callable[[], object]] = {}

    def run(self) -> Batch:
        """Take all steps."""
        self._filters()
        self._networks()
        self._taps()
        self._guards()
        self._answers()
        self._arrivals()
        self._ports()
        self._forward()
        for work in self.batch:
            work.names = replace(work.names, adopted=False)
        return self.batch

    # --- 1: the filter, closed unless the port is open already ---

    def _filters(self) -> None:
        self.batch.together("filter", self._register_filters)
        # before there is a way back: it would remove what the other daemon made
        self.batch.together("filter", lambda _: tenancy.require(self.nft, self.own))
        missing = self._foundation() if self.batch.works else ()
        for work in self.batch:
            if self.grouping is not None and not _there_before(work):
                # the filter goes first: its chains jump to those of groups
                gone = partial(self.grouping.unused.forget, self.nft, [work])
                work.item.undo.push("groups", gone)
            work.item.undo.push("filter", self._filter_undo[work.id])
        self.batch.together("filter", lambda chosen: self._install(chosen, missing))

    def _install(self, works: Sequence[Work], missing: Sequence[Chain]) -> None:
        fresh = [w.filter() for w in works if w.item.wiring is None]
        again = [w.filter() for w in works if w.item.wiring is not None]
        change = ruleset.install(fresh, missing) | differing(self.nft, ruleset.install(again))
        if any(work.filter().shape is not None for work in works):
            change = shaping_base(self.nft) | change
        if self.grouping is not None:
            # in one transaction: what a chain jumps to must be there
            change = self.grouping.needed(self.nft, works) | change
        if change:
            self.nft.apply(TABLE, change)

    def _register_filters(self, works: Sequence[Work]) -> None:
        """How to take the filters back: remove new ones, restore others as they were."""
        for work in works:
            there = _there_before(work)
            former = snapshot(self.nft, work.device) if there else ruleset.remove([work.device])
            self._filter_undo[work.id] = partial(self.nft.apply, TABLE, former)

    def _foundation(self) -> Sequence[Chain]:
        """The base chains, if they are not as they shall be, and whose they are."""
        wanted = ruleset.base(self.settings.guests_reach_host)
        found = self.nft.chains(TABLE, [chain.name for chain in wanted])
        there = all(found.get(c.name) == c for c in wanted)
        return [*(() if there else wanted), *tenancy.claim(self.nft, self.own)]

    # --- 2: what the ports stand on ---

    def _networks(self) -> None:
        for names, works in self.batch.networks().items():
            mtu = max(work.mtu for work in works)
            for work in works:
                remove = partial(self.networks.remove_unused, names)
                work.item.undo.push("network", remove)

            def step(_: Sequence[Work], names: wiring.LinuxWiring = names, mtu: int = mtu) -> None:
                self.networks.ensure(names, mtu)

            self.batch.together("network", step, works)

    # --- 3: devices ---

    def _taps(self) -> None:
        self.taps.make()
        for work in self.batch:
            work.names = replace(work.names, ifindex=self.taps.links[work.id].ifindex)

    # --- 4: guards, which outlive the filter ---

    def _guards(self) -> None:
        if not self.networks.guarding:
            return
        there = [w.device for w in self.batch if w.device in self.taps.before]
        have = self.bridging.guards(there) if there else {}
        for work in self.batch:
            keep_tags(work, have.get(work.device))
            former = have.get(work.device)
            if former is not None:
                back = partial(self.bridging.guard, {work.device: former})
                work.item.undo.push("guard", back)
        set_guards(self.bridging, self.batch, [w for w in self.batch if _unlike(w, have)])

    # --- 5: what is answered of what they ask; a guard keeps closed ones from asking ---

    def _answers(self) -> None:
        answering = self.answering
        asking = [w for w in self.batch if tunnelled(w.names)]
        if answering is None or not asking:
            return
        for work in asking:
            if not _there_before(work):
                back = partial(answering.settle, [Asker.of(work)], without=[work.id])
                work.item.undo.push("answers", back)
        self.batch.together(
            "answers", lambda works: answering.settle([Asker.of(w) for w in works]), asking
        )

    # --- 6: what taps leave that another plugin served, at the last moment ---

    def _arrivals(self) -> None:
        coming = [w for w in self.batch if w.names.adopted or self._on_switch(w)]
        for work in coming:
            if work.names.adopted:
                # the device stays, whatever comes of this
                work.item.undo.push("guard", partial(self.bridging.unguard, [work.device]))
                work.item.undo.push("bridge port", partial(self.bridging.release, [work.device]))
        step = partial(arriving.leave, self.ovsdb, self.nft)
        self.batch.together("switch port", step, coming)

    def _on_switch(self, work: Work) -> bool:
        """A tap on a bridge is a port of nothing else."""
        return self.ovsdb is not None and self.ovsdb.port(work.device) is not None

    # --- 7: ports of the bridge ---

    def _ports(self) -> None:
        closed = [w for w in self.batch if not w.joins() and w.device in self.taps.before]
        self.batch.together("bridge port", lambda chosen: leave(self.bridging, chosen), closed)
        opened = [w for w in self.batch if w.joins()]
        join(self.bridging, self.batch, opened)

    # --- 8: the forwarding table ---

    def _forward(self) -> None:
        opened = [w for w in self.batch if w.joins()]
        self.batch.together("forwarding", lambda chosen: forward(self.bridging, chosen), opened)


def _there_before(work: Work) -> bool:
    """Whether the port was made before this attempt: one that is open was, whoever remembers it."""
    return work.item.wiring is not None or (work.item.open and not work.names.adopted)


def _unlike(work: Work, have: Mapping[str, Program | None]) -> bool:
    return have.get(work.device) != work.program()


def keep_tags(work: Work, have: Program | None) -> None:
    """A parent's guard stays as it is about sub-ports that are just being opened, which no record
    says yet: whether they pass is theirs to say."""
    if work.tags is not None and work.named:
        work.tags |= admitted(have) & work.named


def set_guards(
    bridging: Bridging, batch: Batch, works: Sequence[Work], *, opened: bool | None = None
) -> None:
    """Guard ports, as open or closed as they shall be."""
    programs = {w.device: w.program(opened=opened) for w in works}
    failed = bridging.guard(programs) if programs else {}
    for work in works:
        if work.device in failed:
            batch.fail(work, wrap(failed[work.device]), "guard")


def join(bridging: Bridging, batch: Batch, works: Sequence[Work]) -> None:
    """Make ports of the bridge of taps that are none, or not as they shall be."""
    if not works:
        return
    wanted = {w.device: bridge_port(w) for w in works}
    there = bridging.get([*wanted, *sorted({port.bridge for port in wanted.values()})])
    todo = [p for p in wanted.values() if p.pvid is not None or not in_place(p, there)]
    failed = bridging.enslave(todo) if todo else {}
    for work in works:
        if work.device in failed:
            batch.fail(work, wrap(failed[work.device]), "bridge port")


def leave(bridging: Bridging, works: Sequence[Work]) -> None:
    """Take closed ports out of their bridge, and with it out of its forwarding table."""
    bridging.release([w.device for w in works])


def snapshot(nft: Nft, device: str) -> Change:
    """The change that brings a port's filter back to what it is now."""
    chains = nft.chains(TABLE, ruleset.chain_names(device))
    wanted = [Element(name, device) for name in OF_PORTS]
    present = nft.elements(TABLE, wanted)
    return Change(
        chains=list(chains.values()),
        add=[e for e in present if e is not None],
        delete=[e for e, have in zip(wanted, present, strict=True) if have is None],
        delete_chains=[n for n in ruleset.chain_names(device) if n not in chains],
    )


def shaping_base(nft: Nft) -> Change:
    """What all ports with limits share, where it is not as it shall be."""
    wanted = shaping.base()
    found = nft.chains(TABLE, [chain.name for chain in wanted])
    there = all(found.get(chain.name) == chain for chain in wanted)
    return Change() if there else Change(sets=shaping.SETS, chains=wanted)


def differing(nft: Nft, change: Change) -> Change:
    """What of a change is not there already."""
    if not change:
        return change
    there = nft.chains(TABLE, [*(c.name for c in change.chains), *change.delete_chains])
    present = iter(nft.elements(TABLE, [*change.add, *change.delete]))
    return Change(
        chains=[c for c in change.chains if there.get(c.name) != c],
        add=[e for e in change.add if next(present) != e],
        delete=[e for e in change.delete if next(present) is not None],
        delete_chains=[name for name in change.delete_chains if name in there],
    )


def bridge_port(work: Work) -> BridgePort:
    """The tap as port of its bridge.

    The bridge learns from a port, and sends frames to unknown addresses to it, only if addresses
    besides its own may be behind it; its own is in the forwarding table while the port is open.
    """
    more = not work.filter().plain
    name, bridge, vlan = work.device, work.names.bridge, work.names.vlan
    return BridgePort(name, bridge, flood=more, learning=more, pvid=vlan)


def in_place(port: BridgePort, there: dict[str, Device]) -> bool:
    """Whether a tap is that port already."""
    device, bridge = there.get(port.name), there.get(port.bridge)
    if device is None or bridge is None:
        return False
    reached = not device.isolated and device.broadcasts is not False
    return reached and (device.master, device.flood, device.learning) == (
        bridge.link.ifindex, port.flood, port.learning,
    )  # fmt: skip


def entry(work: Work) -> FdbEntry:
    """The port's own address in the bridge's forwarding table.

    It goes with the port of the bridge when it closes: elsewhere in the network a guest may still
    have it. Until then it stays, whoever sends with this address.
    """
    return FdbEntry(work.device, work.item.attachment.mac, vlan=work.names.vlan, fixed=True)


def forward(bridging: Bridging, works: Sequence[Work]) -> None:
    """Have the bridges know where the addresses of open ports are."""
    bridging.change_fdb(add=[entry(w) for w in works])


# --- opening and closing --------------------------------------------------------------------------


def open_gates(bridging: Bridging, nft: Nft, batch: Batch, *, guarding: bool) -> Batch:
    """Open the ports of a batch: they become ports of their bridge once all else is in force."""
    batch.together("open", lambda chosen: _gates(nft, chosen, opened=True))
    if guarding:
        set_guards(bridging, batch, [w for w in batch if w.stands], opened=True)
    # a port that is administratively down stays out
    passing = [w for w in batch if w.joins(opened=True)]
    join(bridging, batch, passing)
    alive = [w for w in passing if w.id not in batch.failed]
    batch.together("forwarding", lambda chosen: forward(bridging, chosen), alive)
    return batch


def close_gates(bridging: Bridging, nft: Nft, batch: Batch, *, guarding: bool) -> Batch:
    """Close the ports of a batch: they are no ports of their bridge any more."""
    batch.together("close", lambda chosen: leave(bridging, chosen))
    batch.together("close", lambda chosen: _gates(nft, chosen, opened=False))
    if guarding:
        set_guards(bridging, batch, [w for w in batch if w.stands], opened=False)
    return batch


def _gates(nft: Nft, works: Sequence[Work], *, opened: bool) -> None:
    nft.apply(TABLE, ruleset.gates([w.filter(opened=opened) for w in works]))
