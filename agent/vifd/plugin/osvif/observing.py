"""Reading back what a classic plugin made, as far as it can be observed."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.drivers import Link, PortRow
from vifd.model import Attachment, Evidence
from vifd.plugin.osvif.naming import Names

#: The one plugin of which it is known that its ports stand in the local switch.
SWITCH = "ovs"


def has_row(plugin: str, names: Names) -> bool:
    """Whether the port must stand in the switch's database."""
    return plugin == SWITCH and bool(names.port)


def has_device(plugin: str, names: Names) -> bool:
    """Whether the port must have a device: the plugin makes it, or it was there after the plug."""
    return names.seen or (plugin == SWITCH and names.object == "VIFOpenVSwitch")


def evidence(
    plugin: str, attachment: Attachment, names: Names, link: Link | None, row: PortRow | None
) -> Iterator[Evidence]:
    """The facts about one port, in the order of the path a frame takes."""
    if has_device(plugin, names):
        yield from _device(attachment, link)
    if has_row(plugin, names):
        yield from _row(attachment, row)
    if not has_device(plugin, names) and not has_row(plugin, names):
        yield Evidence("observable", "nothing: this plugin's work cannot be observed from here")


def _device(attachment: Attachment, link: Link | None) -> Iterator[Evidence]:
    there = link is not None
    yield Evidence("device.exists", there, wanted=True, ok=there, source="netlink")
    if link is None:
        return
    mtu = attachment.network.mtu
    yield Evidence("device.up", link.up, wanted=True, ok=link.up, source="netlink")
    if link.kind == "tun":
        ok = link.mac == attachment.mac
        yield Evidence("device.mac", link.mac, wanted=attachment.mac, ok=ok, source="netlink")
        yield Evidence("device.mtu", link.mtu, wanted=mtu, ok=link.mtu == mtu, source="netlink")
    yield Evidence("device.ifindex", link.ifindex, source="netlink")


def _row(attachment: Attachment, row: PortRow | None) -> Iterator[Evidence]:
    there = row is not None
    yield Evidence("ovsdb.port", there, wanted=True, ok=there, source="ovsdb")
    if row is None:
        return
    works = row.ofport is not None and row.ofport > 0
    yield Evidence("ovsdb.ofport", row.ofport, wanted="> 0", ok=works, source="ovsdb")
    yield Evidence("ovsdb.error", row.error, wanted="", ok=not row.error, source="ovsdb")
    iface_id = row.external_ids.get("iface-id")
    if iface_id is not None:
        ok = iface_id == attachment.id
        yield Evidence("ovsdb.iface-id", iface_id, wanted=attachment.id, ok=ok, source="ovsdb")
    yield Evidence("ovsdb.bridge", row.bridge, source="ovsdb")
