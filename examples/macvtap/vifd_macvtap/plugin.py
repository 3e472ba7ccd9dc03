"""One macvtap device per port on the card that its physical network is mapped to.

A port is closed while its device is down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.drivers import MARK, Link
from vifd.errors import DeviceError, InternalError, NameClash, VifError
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.plugin import (
    Advert,
    Entry,
    Health,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    Uplink,
    VifPlugin,
    mappings,
)
from vifd_macvtap.kernel import Macvtap, Macvtaps

VIF_TYPE = "macvtap"
OPTIONS = (
    cfg.ListOpt(
        "interface_mappings",
        default=[],
        help="physical_network:interface pairs, the network cards that guests are put on.",
    ),
)


class MacvtapPlugin(VifPlugin):
    plugin_name: ClassVar[str] = "macvtap"
    plugin_version: ClassVar[str] = "1.0"
    contract_version: ClassVar[str] = "1.0"

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf)
        self.cards = mappings("interface_mappings", conf.interface_mappings, "interface")
        self.kernel = Macvtaps()

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=(VIF_TYPE,),
            network_types=("flat",),
            features=frozenset({"mtu", "admin_state"}),
            in_place=frozenset({"role", "port.name", "port.admin_state_up", "network.mtu"}),
            on_request=True,  # it filters nothing, so nobody gets it without asking for it
        )

    def probe(self) -> Probe:
        links = self.host.drivers.links.get(sorted(set(self.cards.values())))
        missing = sorted(set(self.cards.values()) - links.keys())
        reasons = [f"interface_mappings: there is no interface {name}" for name in missing]
        health = Health.DEGRADED if reasons else Health.READY
        uplinks = {net: _uplink(card, links.get(card)) for net, card in self.cards.items()}
        return Probe(health, reasons, physical_networks=uplinks)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        # The card, its link and its MTU are judged by vifd from what probe says of them.
        return ()

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        card = self.cards.get(attachment.network.segment.physical_network or "", "")
        return Wiring(self.plugin_name, VIF_TYPE, _device(attachment.id), {"card": card})

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        mtu = attachment.network.mtu
        return Vif("ethernet", device=wiring.device, mac_address=attachment.mac, mtu=mtu)

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        return self._each(batch, self._plug)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        return self._each(batch, partial(self._gate, opened=True))

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        return self._each(batch, partial(self._gate, opened=False))

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        return self._each(batch, self._remove)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        links = self.host.drivers.links.get([item.made.device for item in batch])
        return {item.id: self._report(item, links.get(item.made.device)) for item in batch}

    def leans_on(self, wiring: Wiring) -> Iterable[str]:
        return (str(wiring.details.get("card", "")),)

    def observe(self) -> list[Observed]:
        links = self.host.drivers.links.marked(MARK)
        mine = [link for link in links if link.name.startswith("mvt")]
        wirings = {li.alias.removeprefix(MARK): self._wiring_of(li.name) for li in mine}
        return [Observed(i, w, objects=(f"macvtap {w.device}",)) for i, w in wirings.items()]

    # --- one port ---

    def _plug(self, item: Item) -> None:
        before = self._link(item)
        if before is None:
            self._make(item)
        elif before.alias != _alias(item.id):
            raise NameClash(facts={"device": before.name, "owner": before.alias or "nobody"})
        else:
            settings: dict[str, Any] = {"mac": before.mac, "mtu": before.mtu, "up": before.up}
            back = partial(self.host.drivers.links.set, before.name, **settings)
            item.undo.push("macvtap settings", back)
        wanted = item.attachment
        self.host.drivers.links.set(item.made.device, mac=wanted.mac, mtu=wanted.network.mtu)
        self._gate(item, opened=item.open)

    def _make(self, item: Item) -> None:
        card = str(item.made.details.get("card", ""))
        if not card:
            raise DeviceError(facts={"device": item.made.device, "problem": "no card is mapped"})
        wanted = item.attachment
        item.undo.push("macvtap", lambda: self._remove(item))  # the answer may be lost
        self.kernel.create(
            Macvtap(item.made.device, card, wanted.mac, wanted.network.mtu, _alias(item.id))
        )

    def _gate(self, item: Item, *, opened: bool) -> None:
        if self._link(item) is None:
            raise DeviceError(facts={"device": item.made.device, "problem": "it is gone"})
        self.host.drivers.links.set(item.made.device, up=opened)

    def _remove(self, item: Item) -> None:
        link = self._link(item)
        if link is not None and link.alias == _alias(item.id):  # ours, and this port's
            self.host.drivers.links.delete([link.name])

    def _report(self, item: Item, link: Link | None) -> Report:
        evidence = list(_evidence(item, link))
        return Report(evidence, at=self.host.clock(), passing=link is not None and link.up)

    # --- inside ---

    def _each(self, batch: Sequence[Item], work: Callable[[Item], None]) -> Outcomes:
        """Do it for every port; one that fails does not cost the others."""
        outcomes: Outcomes = {}
        for item in batch:
            try:
                if item.made.device != _device(item.id):
                    raise InternalError(f"the wiring names the device {item.made.device!r}")
                work(item)
                outcomes[item.id] = item.made
            except VifError as error:
                outcomes[item.id] = error.at("macvtap", item.id)
        return outcomes

    def _link(self, item: Item) -> Link | None:
        return self.host.drivers.links.get([item.made.device]).get(item.made.device)

    def _wiring_of(self, device: str) -> Wiring:
        return Wiring(self.plugin_name, VIF_TYPE, device, {})


def _uplink(card: str, link: Link | None) -> Uplink:
    if link is None:
        return Uplink(card, up=False, devices=(card,), problem=f"there is no interface {card}")
    return Uplink(card, up=link.up, mtu=link.mtu, devices=(card,))


def _device(port_id: str) -> str:
    return f"mvt{port_id[:11]}"


def _alias(port_id: str) -> str:
    return f"{MARK}{port_id}"


def _evidence(item: Item, link: Link | None) -> Iterable[Evidence]:
    yield Evidence("device.exists", link is not None, True, link is not None, "netlink")
    if link is None:
        return
    facts = {
        "device.kind": (link.kind, "macvtap"),
        "device.mac": (link.mac, item.attachment.mac),
        "device.mtu": (link.mtu, item.attachment.network.mtu),
        "device.alias": (link.alias, _alias(item.id)),
        "device.up": (link.up, item.open),
    }
    for fact, (have, wanted) in facts.items():
        yield Evidence(fact, have, wanted, have == wanted, "netlink")
