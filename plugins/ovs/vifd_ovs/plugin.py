"""The plugin for tap devices on an Open vSwitch bridge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from oslo_config import cfg

from vifd import __version__
from vifd.errors import VifError
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.plugin import (
    Advert,
    Entry,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    guest,
    tapverbs,
    trunks,
)
from vifd.plugin.fingerprint import fingerprint
from vifd.plugin.meanings import Meanings
from vifd_ovs import adopting, hosted, hybrid, moving, observing, options, probing
from vifd_ovs.bridge import releasing, subports, wiring
from vifd_ovs.bridge.advertised import ADVERT
from vifd_ovs.bridge.chassis import taken_by_ovn
from vifd_ovs.bridge.meanings import MEANINGS
from vifd_ovs.bridge.plugin import BridgePlugin
from vifd_ovs.bridge.removal import unplug
from vifd_ovs.bridge.rows import bridges_of
from vifd_ovs.bridge.taps import give_back, remove_devices
from vifd_ovs.checking import Checking
from vifd_ovs.garbage import Garbage
from vifd_ovs.options import Settings
from vifd_ovs.plugging import Plugging
from vifd_ovs.removal import ends

VIF_TYPE = "ovs"


class OvsPlugin(BridgePlugin[Settings]):
    """Taps on a bridge of Open vSwitch; see the package ``vifd_ovs.bridge`` for the flows."""

    plugin_name: ClassVar[str] = "ovs"
    plugin_version: ClassVar[str] = __version__
    vif_type: ClassVar[str] = VIF_TYPE

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf, options.settings(conf))
        self.objects = Garbage(host, self._bridges)
        #: ports of others as they were found last
        self._hosted: Mapping[str, str] = {}

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return replace(ADVERT, vif_types=(VIF_TYPE,), hands_over=True, takes_over=True)

    @classmethod
    def meanings(cls) -> Meanings:
        return MEANINGS

    # --- before ---

    def fingerprint(self) -> str:
        """That of the switch's side, and what the taps are besides."""
        taps = guest.tap_mac("02:00:00:00:00:01"), "the host does not hear taps"
        return fingerprint(super().fingerprint(), *taps)

    def probe(self) -> Probe:
        self._read_mtus()
        found = probing.probe(self.host.drivers, self.settings, self._bridges)
        return self._alone(self._with_tunnels(self._with_meters(self._with_tags(found))))

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """A port of another program has its own name and number."""
        if attachment.hosted is None:
            return super().name(attachment, taken)
        ovsdb, bridge = self.host.drivers.ovsdb, self.settings.bridge
        return self._wiring(*hosted.name(ovsdb, self._naming, bridge, attachment, taken))

    def ports_of_others(self) -> Mapping[str, str] | None:
        """Ports of others on the integration bridge that bear a port's id."""
        ovsdb, bridge = self.host.drivers.ovsdb, self.settings.bridge
        if not ovsdb.connected() or taken_by_ovn(ovsdb.facts(), bridge):
            return None
        self._hosted = hosted.found(ovsdb, bridge, self._hosted)
        return self._hosted

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """The segment's physical network, its bridge, and its MTU; the guest's queues."""
        yield from super().requires(attachment)
        yield tapverbs.queues_needed(attachment, self.settings.max_queues)

    def obstacles(self, attachment: Attachment, wiring_: Wiring) -> Iterable[VifError]:
        yield from super().obstacles(attachment, wiring_)
        names, links = wiring.read(wiring_), self.host.drivers.links
        if attachment.hosted is None and not names.sub_port:
            limit, made = self.settings.max_queues, names.multi_queue
            yield from tapverbs.obstacles(links, attachment, wiring_, limit, made=made)

    def vif(self, attachment: Attachment, wiring_: Wiring) -> Vif:
        names, limit = wiring.read(wiring_), self.settings.max_queues
        if names.sub_port:
            return trunks.vif(attachment, names.bridge)
        made, bridge = names.multi_queue, names.bridge
        return tapverbs.vif(attachment, wiring_, limit, made=made, bridge=bridge)

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        switches = self._answers_for(batch)
        subs, batch = subports.split(batch)
        ours, theirs = hosted.split(batch)
        name, host, bridges = self.plugin_name, self.host, self._bridges
        done: Outcomes = {}
        if theirs:
            following = hosted.HostedPlugging(host, bridges, theirs, self.settings.ofports)
            done |= following.run(switches).outcomes(name, VIF_TYPE)
        if ours:
            plugging = Plugging(name, host, self.settings, bridges, ours)
            done |= plugging.run(switches).outcomes(name, VIF_TYPE)
        return done | self._plug_subs(switches, subs)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        switches = self._switches_for(batch)
        subs, batch = subports.split(batch)
        ours, theirs = hosted.split(batch)
        given = self.plugin_name, self.host, self._bridges, switches, self._strangers
        found = self._check_subs(switches, subs)
        if theirs:
            following = hosted.HostedChecking(*given, theirs)
            following.answer_within = self._answering.patience
            found |= following.run()
        if ours:
            checking = Checking(*given, ours)
            checking.max_queues = self.settings.max_queues
            checking.answer_within = self._answering.patience
            found |= checking.run()
        return found

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        drivers, switches = self.host.drivers, self._answers_for(batch)
        subs, batch = subports.split(batch)
        gone = self._unplug_subs(switches, subs)
        ours, theirs = hosted.split(batch)
        taps, known = partial(remove_devices, drivers), partial(ends, drivers.links)
        done = unplug(drivers, switches, ours, taps, known).outcomes(self.plugin_name, VIF_TYPE)
        theirs_gone = hosted.unplug(drivers, switches, theirs)
        return gone | done | theirs_gone.outcomes(self.plugin_name, VIF_TYPE)

    def observe(self) -> list[Observed]:
        """Switch ports and devices that bear our mark, on the integration bridge and on every
        bridge that the ledger names."""
        self._sole()
        bridges = bridges_of(self.host, self.settings.bridge)
        return observing.observe(self.host.drivers, bridges, self.plugin_name, VIF_TYPE)

    def claim(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring | None:
        """A tap on the integration bridge whose port has the iface-id of this one."""
        if taken_by_ovn(self.host.drivers.ovsdb.facts(), self.settings.bridge):
            return None
        found = adopting.claim(
            self.host.drivers, self._naming, self.settings.bridge, attachment, taken
        )
        return found and self._wiring(*found)

    def take(
        self, attachment: Attachment, taken: Mapping[str, Entry], device: str
    ) -> Wiring | None:
        """Its tap becomes a port of the integration bridge, from another plugin or from behind a
        bridge of another program (hybrid plugging)."""
        if not device:
            ours = self.host.drivers, self._naming, self.settings.bridge
            found = hybrid.claim(*ours, attachment, taken)
            return found and self._wiring(*found)
        links = self.host.drivers.links
        names = moving.names(links, self._naming, attachment, taken, device)
        return self._wiring(device, names)

    def hand_over(self, batch: Sequence[Item]) -> Outcomes:
        between, batch = hybrid.split(batch)
        drivers, switches = self.host.drivers, self._answers_for(batch)
        swept = hybrid.sweep(drivers, between).outcomes(self.plugin_name, VIF_TYPE)
        done = moving.leave(drivers, switches, batch)
        return swept | done.outcomes(self.plugin_name, VIF_TYPE)

    def release_problem(self, item: Item) -> str:
        return releasing.hindrance(self.host, item.id, wiring.read(item.made))

    def release(self, batch: Sequence[Item]) -> Outcomes:
        kind = self.plugin_name, VIF_TYPE
        drivers, switches = self.host.drivers, self._answers_for(batch)
        subs, batch = subports.split(batch)
        gone = self._unplug_subs(switches, subs)
        ours, theirs = hosted.split(batch)
        behind = [item for item in ours if hybrid.is_of(item)]
        ours = [item for item in ours if item not in behind]
        taps = partial(give_back, drivers)
        put_back = hybrid.give_back(drivers, switches, behind).outcomes(*kind)
        done = releasing.release(drivers, switches, ours, taps)
        left = hosted.unplug(drivers, switches, theirs)
        return gone | put_back | done.outcomes(*kind) | left.outcomes(*kind)


__all__ = ["VIF_TYPE", "OvsPlugin"]
