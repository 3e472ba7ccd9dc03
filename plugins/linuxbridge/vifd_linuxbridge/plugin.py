"""The plugin for tap devices on the kernel's own bridge."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from oslo_config import cfg

from vifd import __version__
from vifd.drivers import Bridging, Nft
from vifd.errors import (
    BackendUnavailable,
    BridgeTaken,
    VifError,
)
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.model.counted import Counted
from vifd.plugin import (
    ANSWERS,
    REPORTED,
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
)
from vifd.plugin.fingerprint import fingerprint, sample
from vifd.plugin.marked import Desired, Key, Marked
from vifd.plugin.meanings import Meanings
from vifd.policy import answering, owntags
from vifd.policy.groups import UNSEEN
from vifd_linuxbridge import (
    arriving,
    counting,
    garbage,
    groupbase,
    options,
    probing,
    ruleset,
    shaping,
    tenancy,
    wiring,
)
from vifd_linuxbridge.announcing import announce
from vifd_linuxbridge.answering import Answering
from vifd_linuxbridge.batch import Batch
from vifd_linuxbridge.checking import Checking
from vifd_linuxbridge.garbage import Garbage
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.guarding import guard
from vifd_linuxbridge.listening import Listening
from vifd_linuxbridge.meanings import MEANINGS
from vifd_linuxbridge.naming import device_name
from vifd_linuxbridge.needs import Needs
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.observing import Observing
from vifd_linuxbridge.plugging import Plugging, close_gates, open_gates
from vifd_linuxbridge.policy_match import CAVEAT
from vifd_linuxbridge.probing import Ground
from vifd_linuxbridge.recalling import Recalling
from vifd_linuxbridge.removal import leave, unplug
from vifd_linuxbridge.restoring import Restoring

LOG = logging.getLogger(__name__)

VIF_TYPE = "bridge"
#: What is not done of security groups, for the enforcement report.
GROUPS_CAVEAT = (
    "ports of DCCP and UDP-Lite are not told apart, so that a rule about them lets nothing pass; "
    "frames of this host itself are judged by the connections that it follows itself; where the "
    "rule set can be flushed (before Linux 6.9), rules hold again once the flush was noticed"
)

#: The same of tags that guests set themselves.
TAGS_CAVEAT = (
    "a tag takes 4 bytes, for which what the network leaves the host by needs room above its MTU; "
    "port security judges the frame beneath one tag, and refuses what has more"
)
#: Why trunks are not carried, nor a service provider's networks.
LACKING = {
    "trunk": probing.NO_TRUNK,
    owntags.QINQ: "the VLAN devices of its networks are of IEEE 802.1Q: none has a service "
    "provider's tag",
}

#: What a plugged port may change in its document without being unplugged.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.binding_profile", "port.device_owner", "port.qos_policy",
    "network.qos_policy", "network.mtu", "network.name", "network.segment.id",
    "instance.name", "instance.project_id", "instance.vcpus",
    "instance.flavor_extra_specs", "instance.image_properties", *REPORTED,
)  # fmt: skip


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
        self._ground = Ground()
        self._groups = Grouping(host, self.plugin_name)
        self._listening = Listening(host)
        self._listening.start()
        #: announcements may not be made; told once
        self._mute = False

    @property
    def _bridging(self) -> Bridging:
        if self.host.drivers.bridging is None:
            raise _without("bridges")
        return self.host.drivers.bridging

    @property
    def _nft(self) -> Nft:
        if self.host.drivers.nft is None:
            raise _without("nftables")
        return self.host.drivers.nft

    @property
    def _networks(self) -> Networks:
        links, ledger = self.host.drivers.links, self.host.ledger
        guarding = self._guarding
        return Networks(
            self._bridging, links, self.settings, ledger, guarding=guarding, sets=self.host.sets
        )

    @property
    def _grouping(self) -> Grouping | None:
        """What holds ports to security groups, where this kernel can do that."""
        if self._ground.untracked is None:
            self._ground = replace(self._ground, untracked=self._nft.untracked() or "")
        return None if self._ground.untracked else self._groups

    @property
    def _answering(self) -> Answering:
        """What is answered of what guests ask."""
        host, on = self.host, self.settings.arp_responder and not self._ground.unanswered
        return Answering(self._nft, host.ledger, host.sets, self.plugin_name, on=on)

    def _batch(self, batch: Sequence[Item]) -> Batch:
        """The ports of a call, with the groups that they are held to."""
        found, grouping = Batch.of(batch), self._grouping
        for work in found:
            work.limiting = not self._ground.unlimited
            work.carrying = not self.settings.vlan_aware
        for work in found if grouping is not None else ():
            work.tracked = True
            work.judged = self._groups.judged(work.item.attachment)
        return found

    @property
    def _guarding(self) -> bool:
        return "guard" not in self._ground.lacking

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=(VIF_TYPE,),
            vnic_types=("normal",),
            network_types=("local", "flat", "vlan", "vxlan"),
            features=frozenset(
                {
                    "port_security",
                    "allowed_address_pairs",
                    "security_groups",
                    "multiqueue",
                    "mtu",
                    "admin_state",
                    owntags.TRANSPARENT,
                    owntags.BENEATH,
                    ANSWERS,
                    *shaping.FEATURES,
                }
            ),
            caveats={
                "port_security": CAVEAT,
                "security_groups": GROUPS_CAVEAT,
                owntags.TRANSPARENT: TAGS_CAVEAT,
                ANSWERS: f"{answering.CAVEAT}; ports without port security are not answered",
                **shaping.CAVEATS,
            },
            lacking=LACKING,
            unseen_ports=UNSEEN,
            in_place=frozenset(IN_PLACE),
            hands_over=True,
            takes_over=True,
        )

    @classmethod
    def meanings(cls) -> Meanings:
        return MEANINGS

    # --- before ---

    def fingerprint(self) -> str:
        """The rules of a sample, and where the networks leave the host."""
        ports = [sample(1, secured=True), sample(2, secured=False)]
        filters = [ruleset.port_filter(a, "tap0", opened=True) for a in ports]
        limited = shaping.port_rules("tap0", probing.LIMITED)
        base = (ruleset.base(self.settings.guests_reach_host), groupbase.base(), shaping.base())
        parts = [repr((f.chains(), f.elements, guard(f))) for f in filters]
        return fingerprint(repr((base, limited)), *parts, repr(self.settings), "addresses stay")

    def probe(self) -> Probe:
        try:
            self._ground = probing.survey(
                self.host.drivers.links, self._bridging, self._nft, self.settings
            )
        except BackendUnavailable as error:
            return Probe(Health.UNAVAILABLE, [error.message])
        return self._alone(probing.probe(self._ground, self.settings))

    def _alone(self, found: Probe) -> Probe:
        """Whether another daemon is at work here. The one thing that is written is who has the
        table, after a restart or a flush."""
        own = self.host.identity
        ported = any(e.wiring.plugin == self.plugin_name for e in self.host.ledger().values())
        try:
            tenancy.renew(self._nft, own, ported=ported)
            tenancy.require(self._nft, own)
        except BridgeTaken as taken:
            reasons = [f"{taken.message}: {taken.hint}", *found.reasons]
            return replace(found, health=Health.UNAVAILABLE, reasons=reasons)
        except VifError as error:
            LOG.debug("whose the packet filter is cannot be told or said now: %s", error)
        return found

    def _sole(self) -> None:
        """What bears the mark of vifd is this daemon's only if no other one is at work here.

        :raises VifError: one is
        """
        tenancy.require(self._nft, self.host.identity)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """The way out of the host for the network, and its MTU; the guest's queues; limits."""
        asked = attachment.plugin == self.plugin_name or attachment.vif_type == VIF_TYPE
        needs = Needs(self.settings, self._ground, self.plugin_name, self.describe().network_types)
        return needs.of(attachment, asked=asked)

    def obstacles(self, attachment: Attachment, wiring_: Wiring) -> Iterable[VifError]:
        made, links = wiring.read(wiring_).multi_queue, self.host.drivers.links
        return tapverbs.obstacles(links, attachment, wiring_, self.settings.max_queues, made=made)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The device's name, and those of what it stands on.

        :raises VifError: the name cannot be had, or the MAC is in use on the network
        """
        device = device_name(attachment, taken)
        several = guest.queues(attachment, self.settings.max_queues) > 1
        names = wiring.plan(attachment, self.settings, multi_queue=several)
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())

    def recall(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Recalled | None:
        """From its chain and its tap, which bear the port's id."""
        self._sole()
        links = self.host.drivers.links
        found = Recalling(links, self._bridging, self._nft, self.settings).run(attachment, taken)
        if found is None:
            return None
        device, names, opened = found
        return Recalled(Wiring(self.plugin_name, VIF_TYPE, device, names.details()), opened)

    def take(self, attachment: Attachment, taken: Mapping[str, Entry], device: str) -> Wiring:
        """Its tap becomes a port of the network's bridge."""
        del taken
        names = arriving.names(self.host.drivers.links, self.settings, attachment, device)
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())

    def vif(self, attachment: Attachment, wiring_: Wiring) -> Vif:
        names, limit = wiring.read(wiring_), self.settings.max_queues
        made, bridge = names.multi_queue, names.bridge
        return tapverbs.vif(attachment, wiring_, limit, made=made, bridge=bridge)

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        links = self.host.drivers.links
        work = self._batch(batch)
        plugging = Plugging(
            links, self._bridging, self._nft, self.settings, self._networks, work,
            own=self.host.identity, grouping=self._grouping, answering=self._answering,
            ovsdb=self.host.drivers.ovsdb,
        )  # fmt: skip
        done = plugging.run().outcomes(self.plugin_name, VIF_TYPE)
        self._listening.follow(batch, done, opened=False)
        return done

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        chosen = self._batch(batch)
        gates = open_gates(self._bridging, self._nft, chosen, guarding=self._guarding)
        done = gates.outcomes(self.plugin_name, VIF_TYPE)
        self._listening.follow(batch, done, opened=True)
        return done

    def announce(self, batch: Sequence[Item]) -> None:
        own = self._listening.heard.take
        problem = announce(self._bridging, Batch.of(batch), self.host.ledger, own)
        if problem is not None and not self._mute:
            LOG.warning(
                "%s: %s. Ports that are opened here after a migration are not announced by vifd. "
                "Next: the drop-in announce-on-linux-bridges.conf", problem.code, problem.message,
            )  # fmt: skip
        self._mute = problem is not None

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        chosen = self._batch(batch)
        gates = close_gates(self._bridging, self._nft, chosen, guarding=self._guarding)
        done = gates.outcomes(self.plugin_name, VIF_TYPE)
        self._listening.follow([replace(i, open=False) for i in batch], done, opened=False)
        return done

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        checking = Checking(
            self._bridging, self._nft, self.settings, self.host.clock, self._batch(batch),
            guarding=self._guarding,
            ways={physnet: i.ways for physnet, i in self._ground.interfaces.items()},
            grouping=self._grouping, networks=self._networks, answering=self._answering,
        )  # fmt: skip
        found = checking.run()
        self._listening.follow(batch, {}, opened=False)
        return found

    def refresh(self, changes: Sequence[SetChange]) -> Collection[str]:
        """The rules of security groups and the members of sets, in one transaction, and who is
        behind which tunnel endpoint: by the difference."""
        self._sole()
        grouping = self._grouping
        held = grouping.refresh(self._nft, changes) if grouping is not None else set()
        held |= self._networks.refresh(changes, self.plugin_name)
        return held | self._answering.refresh(changes)

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        self._listening.forget(batch)
        links = self.host.drivers.links
        done = unplug(links, self._bridging, self._nft, self._networks, self._batch(batch),
                      self._grouping, self._answering)  # fmt: skip
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def hand_over(self, batch: Sequence[Item]) -> Outcomes:
        self._sole()
        self._listening.forget(batch)
        works = self._batch(batch)
        done = leave(self._bridging, self._nft, self._networks, works, self._grouping,
                     self._answering)  # fmt: skip
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def leans_on(self, wiring_: Wiring) -> Iterable[str]:
        """Its bridge, what that leads out by, and the interface below."""
        names = wiring.read(wiring_)
        mapped = self._ground.interfaces.get(names.physical_network or "")
        ways = mapped.ways if mapped is not None else ()
        return [name for name in (names.bridge, names.uplink, names.parent, *ways) if name]

    def observe(self) -> list[Observed]:
        """Every port that has a chain of ours."""
        self._sole()
        observing = Observing(self.host.drivers.links, self._bridging, self._nft, self.settings)
        return observing.run(self.plugin_name, VIF_TYPE)

    def counters(self, batch: Sequence[Item]) -> dict[str, Counted]:
        """By the taps' own counters and those of the rules that refuse."""
        devices = {item.id: item.made.device for item in batch}
        return counting.read(self.host.drivers.links, self._nft, devices)

    # --- single objects ---

    @property
    def _garbage(self) -> Garbage:
        links = self.host.drivers.links
        settings = self.settings
        others = frozenset([*settings.interfaces.values(), *settings.bridges.values()])
        return Garbage(others, settings, links, self._bridging, self._nft)

    def inventory(self) -> list[Marked]:
        self._sole()
        return self._garbage.inventory()

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        return garbage.expected(self.plugin_name, entries)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        self._sole()
        failed = self._garbage.discard(objects)
        if self._grouping is not None:
            self._grouping.tidy(self._nft)
        self._answering.tidy()
        return failed

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        self._sole()
        links, plugin = self.host.drivers.links, (self.plugin_name, VIF_TYPE)
        restoring = Restoring(
            plugin, self.settings, links, self._bridging, self._nft, self._networks
        )
        return restoring.run(objects)


def _without(what: str) -> BackendUnavailable:
    problem = f"this vifd was put together without a driver for {what}"
    return BackendUnavailable(facts={"backend": "linuxbridge", "problem": problem})


__all__ = ["IN_PLACE", "VIF_TYPE", "LinuxBridgePlugin"]
