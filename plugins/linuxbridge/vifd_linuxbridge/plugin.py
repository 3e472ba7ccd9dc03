"""The plugin for tap devices on the kernel's own bridge."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from oslo_config import cfg

from vifd import __version__
from vifd.errors import (
    BackendUnavailable,
    BridgeTaken,
    StateConflict,
    VifError,
)
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.model.counted import Counted
from vifd.model.sets import GroupLog
from vifd.model.trunks import is_sub_port
from vifd.plugin import (
    Advert,
    Entry,
    Health,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Recalled,
    Requirement,
    SetChange,
    VifPlugin,
    guest,
    tapverbs,
    trunks,
)
from vifd.plugin.fingerprint import fingerprint, sample
from vifd.plugin.marked import Desired, Key, Marked
from vifd.plugin.meanings import Meanings
from vifd_linuxbridge import (
    arriving,
    counting,
    garbage,
    groupbase,
    options,
    probing,
    ruleset,
    shaping,
    telling,
    tenancy,
    trunking,
    wiring,
)
from vifd_linuxbridge.advertised import ADVERT, VIF_TYPE
from vifd_linuxbridge.announcing import announce
from vifd_linuxbridge.checking import Checking
from vifd_linuxbridge.garbage import Garbage
from vifd_linuxbridge.guarding import guard, trunk_guard
from vifd_linuxbridge.listening import Listening
from vifd_linuxbridge.meanings import MEANINGS
from vifd_linuxbridge.means import Means
from vifd_linuxbridge.naming import device_name
from vifd_linuxbridge.needs import Needs
from vifd_linuxbridge.observing import Observing
from vifd_linuxbridge.plugging import Plugging, close_gates, open_gates
from vifd_linuxbridge.recalling import Recalling
from vifd_linuxbridge.removal import leave, unplug
from vifd_linuxbridge.restoring import Restoring
from vifd_linuxbridge.subchecking import SubChecking
from vifd_linuxbridge.trunking import Way

LOG = logging.getLogger(__name__)


class LinuxBridgePlugin(VifPlugin):
    """Taps on bridges of the kernel, one per network, filtered by nftables."""

    plugin_name: ClassVar[str] = "linuxbridge"
    plugin_version: ClassVar[str] = __version__
    #: Every kernel has bridges; where there is a switch as well, that is what guests are meant for.
    preference: ClassVar[int] = 200
    listens: ClassVar[bool] = True

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf)
        self.settings = options.settings(conf)
        self._means = Means(host, self.settings, self.plugin_name)
        self._listening = Listening(host)
        self._listening.start()
        #: announcements may not be made; told once
        self._mute = False

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return ADVERT

    @classmethod
    def meanings(cls) -> Meanings:
        return MEANINGS

    # --- before ---

    def fingerprint(self) -> str:
        """The rules of a sample, and where the networks leave the host."""
        ports = [sample(1, secured=True), sample(2, secured=False)]
        filters = [ruleset.port_filter(a, "tap0", opened=True) for a in ports]
        limited = shaping.port_rules("tap0", probing.LIMITED)
        base = (ruleset.base(self.settings.guests_reach_host), groupbase.base(), shaping.base(),
                telling.base(), telling.port_rules("tap0", probing.TOLD))  # fmt: skip
        parts = [repr((f.chains(), f.elements, guard(f), trunk_guard(f, (5,)))) for f in filters]
        return fingerprint(repr((base, limited)), *parts, repr(self.settings), "addresses stay")

    def probe(self) -> Probe:
        try:
            self._means.survey()
        except BackendUnavailable as error:
            return Probe(Health.UNAVAILABLE, [error.message])
        return self._alone(probing.probe(self._means.ground, self.settings))

    def _alone(self, found: Probe) -> Probe:
        """Whether another daemon is at work here. The one thing that is written is who has the
        table, after a restart or a flush."""
        own = self.host.identity
        ported = any(e.wiring.plugin == self.plugin_name for e in self.host.ledger().values())
        try:
            tenancy.renew(self._means.nft, own, ported=ported)
            tenancy.require(self._means.nft, own)
        except BridgeTaken as taken:
            reasons = [f"{taken.message}: {taken.hint}", *found.reasons]
            return replace(found, health=Health.UNAVAILABLE, reasons=reasons, taken=True)
        except VifError as error:
            LOG.debug("whose the packet filter is cannot be told or said now: %s", error)
        return found

    def _sole(self) -> None:
        """What bears the mark of vifd is this daemon's only if no other one is at work here.

        :raises VifError: one is
        """
        tenancy.require(self._means.nft, self.host.identity)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """The way out of the host for the network, and its MTU; the guest's queues; limits."""
        asked = attachment.plugin == self.plugin_name or attachment.vif_type == VIF_TYPE
        needs = Needs(
            self.settings, self._means.ground, self.plugin_name, self.describe().network_types
        )
        yield from needs.of(attachment, asked=asked)
        yield from trunking.needs(attachment, self.host.ledger(), self.plugin_name)

    def obstacles(self, attachment: Attachment, wiring_: Wiring) -> Iterable[VifError]:
        names, links = wiring.read(wiring_), self._means.links
        if is_sub_port(attachment) != names.sub_port:
            facts = {"fields": ["port.device_owner"], "have": wiring_.device}
            return [StateConflict(facts=facts, port=attachment.id)]
        if names.sub_port:
            return []
        made = names.multi_queue
        return tapverbs.obstacles(links, attachment, wiring_, self.settings.max_queues, made=made)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The device's name, and those of what it stands on.

        :raises VifError: the name cannot be had, or the MAC is in use on the network
        """
        device = device_name(attachment, taken)
        several = guest.queues(attachment, self.settings.max_queues) > 1
        several = several and not is_sub_port(attachment)
        names = wiring.plan(attachment, self.settings, multi_queue=several)
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())

    def recall(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Recalled | None:
        """From its chain and its tap, which bear the port's id."""
        self._sole()
        means = self._means
        recalling = Recalling(means.links, means.bridging, means.nft, self.settings)
        found = recalling.run(attachment, taken)
        if found is None:
            return None
        device, names, opened = found
        return Recalled(Wiring(self.plugin_name, VIF_TYPE, device, names.details()), opened)

    def take(self, attachment: Attachment, taken: Mapping[str, Entry], device: str) -> Wiring:
        """Its tap becomes a port of the network's bridge."""
        del taken
        names = arriving.names(self._means.links, self.settings, attachment, device)
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())

    def vif(self, attachment: Attachment, wiring_: Wiring) -> Vif:
        names, limit = wiring.read(wiring_), self.settings.max_queues
        made, bridge = names.multi_queue, names.bridge
        if names.sub_port:
            return trunks.vif(attachment, bridge)
        return tapverbs.vif(attachment, wiring_, limit, made=made, bridge=bridge)

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        means = self._means
        trunks_ = means.trunks(batch)
        subs, rest = trunking.split(batch)
        carrying = means.carrying(trunks_)
        plugging = Plugging(
            means.links, means.bridging, means.nft, self.settings, means.networks,
            means.batch(rest, trunks_), own=self.host.identity, grouping=means.grouping,
            answering=means.answering, ovsdb=self.host.drivers.ovsdb,
        )  # fmt: skip
        done = plugging.run().outcomes(self.plugin_name, VIF_TYPE)
        self._listening.follow(rest, done, opened=False)
        if subs:
            done |= carrying.plug(subs).outcomes(self.plugin_name, VIF_TYPE)
        carrying.follow(carrying.dependent(rest))
        return done

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        means = self._means
        trunks_ = means.trunks(batch, opened=True)
        subs, rest = trunking.split(batch)
        chosen = means.batch(rest, trunks_)
        gates = open_gates(means.bridging, means.nft, chosen, guarding=means.guarding)
        done = gates.outcomes(self.plugin_name, VIF_TYPE)
        done |= means.carrying(trunks_).activate(subs, rest).outcomes(self.plugin_name, VIF_TYPE)
        self._listening.follow(rest, done, opened=True)
        return done

    def announce(self, batch: Sequence[Item]) -> None:
        means = self._means
        own = self._listening.heard.take
        trunks_ = means.trunks(batch, opened=True)
        following = [item for item in means.carrying(trunks_).dependent(batch) if item.open]
        told = means.batch([*batch, *following], trunks_)
        problem = announce(means.bridging, told, self.host.ledger, own)
        if problem is not None and not self._mute:
            LOG.warning(
                "%s: %s. Ports that are opened here after a migration are not announced by vifd. "
                "Next: the drop-in announce-on-linux-bridges.conf", problem.code, problem.message,
            )  # fmt: skip
        self._mute = problem is not None

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        means = self._means
        trunks_ = means.trunks(batch, opened=False)
        subs, rest = trunking.split(batch)
        closed = means.carrying(trunks_).deactivate(subs, rest)
        done = closed.outcomes(self.plugin_name, VIF_TYPE)
        chosen = means.batch(rest, trunks_)
        gates = close_gates(means.bridging, means.nft, chosen, guarding=means.guarding)
        done |= gates.outcomes(self.plugin_name, VIF_TYPE)
        self._listening.follow([replace(i, open=False) for i in rest], done, opened=False)
        return done

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        means = self._means
        trunks_ = means.trunks(batch)
        subs, rest = trunking.split(batch)
        found: dict[str, Report] = {}
        works = means.batch(rest, trunks_), means.carrying(trunks_).works(subs)
        for kind, chosen in zip((Checking, SubChecking), works, strict=True):
            checking = kind(
                means.bridging, means.nft, self.settings, self.host.clock, chosen,
                guarding=means.guarding,
                ways={physnet: i.ways for physnet, i in means.ground.interfaces.items()},
                grouping=means.grouping, networks=means.networks, answering=means.answering,
            )  # fmt: skip
            found |= checking.run()
        self._listening.follow(rest, {}, opened=False)
        return found

    def refresh(self, changes: Sequence[SetChange]) -> Collection[str]:
        """The rules of security groups and the members of sets, in one transaction, and who is
        behind which tunnel endpoint: by the difference."""
        self._sole()
        means = self._means
        grouping = means.grouping
        if any(isinstance(change.after, GroupLog) for change in changes):
            means.log_hearing.start(means.nft)
        held = grouping.refresh(means.nft, changes) if grouping is not None else set()
        held |= means.networks.refresh(changes, self.plugin_name)
        return held | means.answering.refresh(changes)

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        means = self._means
        subs, rest = trunking.split(batch)
        self._listening.forget(rest)
        carrying = means.carrying(means.trunks(batch))
        following, gone = carrying.dependent(rest), carrying.unplug(subs)
        done = unplug(means.links, means.bridging, means.nft, means.networks, means.batch(rest),
                      means.grouping, means.answering)  # fmt: skip
        means.carrying(means.trunks(batch, gone=True)).follow(following)
        return gone.outcomes(self.plugin_name, VIF_TYPE) | done.outcomes(self.plugin_name, VIF_TYPE)

    def hand_over(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        means = self._means
        self._listening.forget(batch)
        works = means.batch(batch)
        done = leave(means.bridging, means.nft, means.networks, works, means.grouping,
                     means.answering)  # fmt: skip
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def leans_on(self, wiring_: Wiring) -> Iterable[str]:
        """Its bridge, what that leads out by, and the interface below."""
        names = wiring.read(wiring_)
        mapped = self._means.ground.interfaces.get(names.physical_network or "")
        ways = mapped.ways if mapped is not None else ()
        below = self._below(wiring_) if names.sub_port else ()
        return [n for n in (*below, names.bridge, names.uplink, names.parent, *ways) if n]

    def _below(self, wiring_: Wiring) -> Iterable[str]:
        """The device that the frames of a sub-port pass over."""
        trunks_ = self._means.trunks(())
        for port_id, entry in trunks_.entries.items():
            if entry.wiring.device == wiring_.device:
                way = trunks_.way(port_id, entry.attachment)
                yield from [way.device] if isinstance(way, Way) else []

    def observe(self) -> list[Observed]:
        """Every port that has a chain of ours."""
        self._sole()
        means = self._means
        observing = Observing(means.links, means.bridging, means.nft, self.settings)
        return observing.run(self.plugin_name, VIF_TYPE)

    def counters(self, batch: Sequence[Item]) -> dict[str, Counted]:
        """By the taps' own counters and those of the rules that refuse."""
        devices = {item.id: item.made.device for item in batch}
        return counting.read(self._means.links, self._means.nft, devices)

    def unlogged(self, ports: Collection[str]) -> dict[str, int]:
        """By the rules that keep back what is above a port's limit."""
        return self._means.log_hearing.unlogged(self._means.nft, ports)

    # --- single objects ---

    @property
    def _garbage(self) -> Garbage:
        means, settings = self._means, self.settings
        others = frozenset([*settings.interfaces.values(), *settings.bridges.values()])
        return Garbage(others, settings, means.links, means.bridging, means.nft)

    def inventory(self) -> list[Marked]:
        self._sole()
        return self._garbage.inventory()

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        return garbage.expected(self.plugin_name, entries)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        self._sole()
        means = self._means
        failed = self._garbage.discard(objects)
        if means.grouping is not None:
            means.grouping.unused.tidy(means.nft)
        means.answering.tidy()
        return failed

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        self._sole()
        means = self._means
        restoring = Restoring(
            (self.plugin_name, VIF_TYPE), self.settings, means.links, means.bridging, means.nft,
            means.networks,
        )  # fmt: skip
        return restoring.run(objects)
