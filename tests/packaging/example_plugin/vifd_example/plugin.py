"""A tap per port and nothing else: who routes to the guest is somebody else's business.

A port is closed while its device is down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.drivers import MARK, Link, Tap
from vifd.errors import DeviceError, InternalError, MtuTooLarge, VifError, wrap
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.plugin import (
    Advert,
    Entry,
    Health,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    VifPlugin,
)

OPTIONS = (cfg.IntOpt("max_mtu", default=9000, min=68, help="The largest MTU that is taken."),)


class ExamplePlugin(VifPlugin):
    plugin_name: ClassVar[str] = "example"
    plugin_version: ClassVar[str] = "1.0"
    contract_version: ClassVar[str] = "1.0"

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=("example-tap",),
            network_types=("local",),
            features=frozenset({"mtu", "admin_state"}),
            in_place=frozenset({"role", "port.name", "port.admin_state_up", "network.mtu"}),
            on_request=True,  # it filters nothing, so nobody gets it without asking for it
        )

    def probe(self) -> Probe:
        return Probe(Health.READY, facts={"max_mtu": self.conf.max_mtu})

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        wanted, limit = attachment.network.mtu, self.conf.max_mtu
        facts = {"wanted": wanted, "have": limit, "bottleneck": "[example] max_mtu"}
        yield Requirement("mtu", wanted <= limit, MtuTooLarge(facts=facts))

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        # Nothing is made here. What this returns is on disk before plug is called.
        return Wiring(self.plugin_name, "example-tap", f"xmp{attachment.id[:11]}", {})

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        mtu = attachment.network.mtu
        return Vif("ethernet", device=wiring.device, mac_address=attachment.mac, mtu=mtu)

    # --- the work: every verb takes all ports that waited, and answers for each of them ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        outcomes, good = self._sorted(batch)
        before = self.host.drivers.links.get([item.names.device for item in good])
        for item in good:  # before the effect, because the answer to it may be lost
            self._remember(item, before.get(item.names.device))
        made = self.host.drivers.links.create_taps([_tap(item) for item in good])
        for item in good:
            result = made[item.names.device]
            if isinstance(result, Exception):
                outcomes[item.id] = wrap(result, stage="tap", port=item.id)
            else:
                outcomes[item.id] = self._gate(item, opened=item.open)
        return outcomes

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        outcomes, good = self._sorted(batch)
        return outcomes | {item.id: self._gate(item, opened=True) for item in good}

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        outcomes, good = self._sorted(batch)
        return outcomes | {item.id: self._gate(item, opened=False) for item in good}

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        links = self.host.drivers.links.get([item.made.device for item in batch])
        now = self.host.clock()
        reports = {}
        for item in batch:
            link = links.get(item.made.device)
            passing = link.up if link is not None else False
            reports[item.id] = Report(list(_evidence(item, link)), at=now, passing=passing)
        return reports

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        outcomes, good = self._sorted(batch)
        for item in good:
            try:
                self._remover(item)()
                outcomes[item.id] = item.made
            except VifError as error:
                outcomes[item.id] = error.at("tap", item.id)
        return outcomes

    def observe(self) -> list[Observed]:
        found = []
        for link in self.host.drivers.links.marked(MARK):
            if link.name.startswith("xmp"):
                wiring = Wiring(self.plugin_name, "example-tap", link.name, {})
                port_id = link.alias.removeprefix(MARK)
                found.append(Observed(port_id, wiring, objects=(f"tap {link.name}",)))
        return found

    # --- inside ---

    def _sorted(self, batch: Sequence[Item]) -> tuple[Outcomes, list[Item]]:
        """Refuse what is not ours, so that one bad port does not cost the others."""
        outcomes: Outcomes = {}
        good = []
        for item in batch:
            if item.made.device == f"xmp{item.id[:11]}":
                good.append(item)
            else:
                text = f"the wiring names the device {item.made.device!r}"
                outcomes[item.id] = InternalError(text, stage="names", port=item.id)
        return outcomes, good

    def _remember(self, item: Item, before: Link | None) -> None:
        """Register the way back: what was not there is removed, what was ours is as it was."""
        if before is None:
            item.undo.push("tap", self._remover(item))
        elif before.alias == _alias(item.id):
            settings: dict[str, Any] = {"mac": before.mac, "mtu": before.mtu, "up": before.up}
            back = partial(self.host.drivers.links.set, before.name, **settings)
            item.undo.push("tap settings", back)

    def _gate(self, item: Item, *, opened: bool) -> Wiring | VifError:
        links, device = self.host.drivers.links, item.made.device
        try:
            if device not in links.get([device]):
                raise DeviceError(facts={"device": device, "problem": "it is gone"})
            links.set(device, up=opened)
        except VifError as error:
            return error.at("gate", item.id)
        return item.made

    def _remover(self, item: Item) -> Callable[[], None]:
        def remove() -> None:
            links, device = self.host.drivers.links, item.made.device
            link = links.get([device]).get(device)
            if link is not None and link.alias == _alias(item.id):  # ours, and this port's
                links.delete([device])

        return remove


def _alias(port_id: str) -> str:
    return f"{MARK}{port_id}"


def _tap(item: Item) -> Tap:
    wanted = item.attachment
    return Tap(item.names.device, wanted.mac, wanted.network.mtu, _alias(item.id))


def _evidence(item: Item, link: Link | None) -> Iterable[Evidence]:
    yield Evidence("device.exists", link is not None, True, link is not None, "netlink")
    if link is None:
        return
    facts = {
        "device.mac": (link.mac, item.attachment.mac),
        "device.mtu": (link.mtu, item.attachment.network.mtu),
        "device.alias": (link.alias, _alias(item.id)),
        "device.up": (link.up, item.open),
    }
    for fact, (have, wanted) in facts.items():
        yield Evidence(fact, have, wanted, have == wanted, "netlink")
