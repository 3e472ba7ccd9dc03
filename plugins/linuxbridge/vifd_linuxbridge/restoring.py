"""Putting back what was removed as garbage: networks as they were, ports from their document.

A tap without its filter would be open, so a port comes back by the usual plug, closed, with the
filter first; what its device was besides is then put back on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vifd.drivers import (
    BridgePort,
    BridgeSpec,
    Bridging,
    Device,
    Links,
    Nft,
    Spec,
    VlanSpec,
    VxlanSpec,
)
from vifd.errors import NotRestorable, VifError, wrap
from vifd.model import Attachment, Wiring, restore
from vifd.model.trunks import is_sub_port
from vifd.plugin import Item
from vifd.plugin.marked import Key, Marked
from vifd_linuxbridge import marks, ruleset, wiring
from vifd_linuxbridge.batch import Batch
from vifd_linuxbridge.kinds import Kind
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.plugging import Plugging
from vifd_linuxbridge.ruleset import TABLE

LOG = logging.getLogger(__name__)

Failed = dict[Key, VifError]


def tap_backup(device: Device, names: Mapping[int, str]) -> dict[str, Any]:
    """What a tap is besides what its document tells.

    :param names: of devices, by ifindex
    """
    link = device.link
    return {
        "mac": link.mac, "mtu": link.mtu, "multi_queue": link.multi_queue,
        "bridge": names.get(device.master or 0, ""),
    }  # fmt: skip


def network_backup(
    device: Device, names: Mapping[int, str], uplinks: Sequence[str]
) -> dict[str, Any]:
    """What it takes to make a bridge, VLAN or VXLAN device again.

    :param uplinks: interfaces of the host that are ports of the bridge
    """
    link = device.link
    return {
        "kind": link.kind, "alias": link.alias, "mtu": link.mtu, "mac": link.mac,
        "vlan_filtering": bool(device.vlan_filtering), "number": device.number,
        "local": device.local, "group": device.group, "port": device.port,
        "parent": names.get(device.parent or 0, ""), "bridge": names.get(device.master or 0, ""),
        "uplinks": list(uplinks),
    }  # fmt: skip


@dataclass(frozen=True)
class Restoring:
    """One ``restore`` call.

    :param plugin: name and VIF type, for the wirings
    """

    plugin: tuple[str, str]
    settings: Settings
    links: Links
    bridging: Bridging
    nft: Nft
    networks: Networks

    def run(self, objects: Sequence[Marked]) -> Failed:
        """Bridges first, then what leads out of them, then ports.

        :returns: what is not back, with the reason
        """
        failed: Failed = {}
        networks = [o for o in objects if o.kind == Kind.NETWORK_DEVICE]
        for marked in sorted(networks, key=lambda o: o.backup.get("kind") != "bridge"):
            failed |= _try([marked], partial(self._network, marked))
        ports: dict[str, list[Marked]] = {}
        for marked in objects:
            if marked.kind in (Kind.CHAIN, Kind.DEVICE):
                ports.setdefault(marked.owner, []).append(marked)
            elif marked.kind != Kind.NETWORK_DEVICE:
                failed[marked.key] = refusal(marked, "without a filter it is of no use")
        for mine in ports.values():
            failed |= _try(mine, partial(self._port, mine))
        return failed

    # --- networks ---

    def _network(self, marked: Marked) -> None:
        was = marked.backup
        if not was:
            problem = "it is not known what it was; the first port that needs it makes it"
            raise refusal(marked, problem)
        self._free(marked, was["uplinks"])
        self.bridging.make(self._spec(marked))
        ports = [BridgePort(name, marked.name) for name in was["uplinks"]]
        if was["bridge"] and was["bridge"] in self.bridging.get([was["bridge"]]):
            ports = [BridgePort(marked.name, was["bridge"])]
        for error in (self.bridging.enslave(ports) if ports else {}).values():
            raise error

    def _free(self, marked: Marked, uplinks: Iterable[str]) -> None:
        """Whether the interfaces of the host may be ports of the bridge, as they were."""
        there = self.bridging.get([marked.name, *uplinks])
        bridge = there.get(marked.name)
        index = bridge.link.ifindex if bridge is not None else None
        for name in uplinks:
            device = there.get(name)
            if device is None:
                raise refusal(marked, f"interface {name} is gone")
            if device.master is not None and device.master != index:
                raise refusal(marked, f"interface {name} is a port of another bridge now")
            if self.bridging.addresses(name) and not self.settings.enslave_addressed:
                raise refusal(marked, f"interface {name} has addresses of the host now")

    def _spec(self, marked: Marked) -> Spec:
        was, name = marked.backup, marked.name
        alias, mtu, number = was["alias"], was["mtu"], was["number"] or 0
        match was["kind"]:
            case "bridge":
                return BridgeSpec(name, alias, mtu, was["mac"], was["vlan_filtering"])
            case "vlan":
                return VlanSpec(name, alias, mtu, was["parent"], number)
            case "vxlan":
                settings = self.settings
                return VxlanSpec(
                    name, alias, mtu, number, was["local"], group=was["group"],
                    parent=was["parent"] or self._holder(was), port=was["port"] or settings.port,
                    ttl=settings.ttl, remotes=settings.remotes,
                )  # fmt: skip
        raise refusal(marked, f"it was a device of kind {was['kind']}")

    def _holder(self, was: Mapping[str, Any]) -> str:
        """The device that a tunnel joins its group on."""
        device = self.bridging.holder(was["local"]) if was["group"] else None
        return device.link.name if device is not None else ""

    # --- ports ---

    def _port(self, objects: Sequence[Marked]) -> None:
        chain = next((o for o in objects if o.kind == Kind.CHAIN), None)
        device = next((o for o in objects if o.kind == Kind.DEVICE), None)
        document = chain.backup.get("document") if chain is not None else None
        if chain is None or document is None:
            problem = "its marks did not tell its document, and without it there is no filter"
            raise refusal(objects[0], problem)
        self._unclaimed(chain)
        attachment = restore(document, port_id=chain.owner).attachment
        if is_sub_port(attachment):
            problem = "a sub-port is on its parent's device, and comes back with its document alone"
            raise refusal(chain, problem)
        if device is None:
            self._filter(attachment, chain.name)
        else:
            self._tap(attachment, device)

    def _unclaimed(self, chain: Marked) -> None:
        present = self.nft.chains(TABLE, [chain.name]).get(chain.name)
        if present is not None and marks.port_of(present.comment) != chain.owner:
            raise refusal(chain, "a filter of that name is another port's now")

    def _filter(self, attachment: Attachment, device: str) -> None:
        """A filter whose device was gone already."""
        base = ruleset.base(self.settings.guests_reach_host)
        closed = ruleset.port_filter(attachment, device, opened=False, limiting=False)
        self.nft.apply(TABLE, ruleset.install([closed], base))

    def _tap(self, attachment: Attachment, device: Marked) -> None:
        was = device.backup
        several = bool(was.get("multi_queue"))
        names = wiring.plan(attachment, self.settings, multi_queue=several)
        if was.get("bridge", names.bridge) not in ("", names.bridge):
            problem = f"it was on bridge {was['bridge']}, its network is on {names.bridge} now"
            raise refusal(device, problem)
        made = Wiring(*self.plugin, device.name, names.details())
        item = Item(attachment, made, open=False)
        batch = Batch.of([item])
        drivers = self.links, self.bridging, self.nft
        Plugging(*drivers, self.settings, self.networks, batch).run()
        for error in batch.failed.values():
            if left := item.undo.run():
                error.facts["not_undone"] = left
                LOG.warning("left on the host by the return of %s: %s. Next: `vifctl gc` finds it. "
                            "port=%s", device.name, "; ".join(left), attachment.id)  # fmt: skip
            raise error
        item.undo.keep()
        self._as_it_was(device.name, was)

    def _as_it_was(self, name: str, was: Mapping[str, Any]) -> None:
        link = self.links.get([name]).get(name)
        mac, mtu = was.get("mac"), was.get("mtu")
        if link is not None and (mac, mtu) != (link.mac, link.mtu) and mac and mtu:
            self.links.set(name, mac=mac, mtu=mtu)


def refusal(marked: Marked, problem: str) -> NotRestorable:
    """The error for an object that does not come back."""
    facts = {"object": str(marked.key), "problem": problem}
    return NotRestorable(facts=facts, port=marked.owner, stage="garbage")


def _try(objects: Sequence[Marked], work: Callable[[], None]) -> Failed:
    """Whatever happens to one, the others have their turn."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the bridge may answer with any exception
        known = wrap(error, stage="garbage")
        return {m.key: known.copy() for m in objects}
    return {}
