"""What bears the plugin's mark: switch ports, flows, and tap devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vifd.drivers import Drivers, Link, PortRow, Tap
from vifd.errors import VifError, wrap
from vifd.plugin import Entry, Host
from vifd.plugin.marked import Desired, Key, Marked, Wanted, is_id
from vifd_ovs.bridge import discarding, hearing, marks, wiring
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.inventory import Inventory
from vifd_ovs.bridge.kinds import Kind
from vifd_ovs.observing import enslaved

#: Interface types that are another plugin's.
_VHOST = "dpdkvhostuser"
OPENED = "its device is open: a guest, or another program, has it"


class Garbage:
    """The optional verbs about single objects."""

    def __init__(self, host: Host, bridges: Bridges) -> None:
        self._drivers: Drivers = host.drivers
        self._inventory = Inventory(host, bridges, _has_device)

    def inventory(self) -> list[Marked]:
        """Switch ports, patch ports, bridges, flows by cookie, and taps."""
        taps = {link.name: link for link in self._drivers.links.marked(marks.ALIAS)}
        rows = self._inventory.rows()
        asked = [r.name for r in rows if marks.PORT in r.external_ids and r.name not in taps]
        links = {**self._drivers.links.get(asked), **taps}
        found = list(self._inventory.inventory(rows, lambda row: _held(links.get(row.name))))
        elsewhere = enslaved(self._drivers, [n for n, link in taps.items() if link.kind == "tun"])
        elsewhere |= self._of_other_daemons()
        found += [m for link in taps.values() if (m := _device(link, elsewhere)) is not None]
        owners = {m.name: m.owner for m in found if m.kind in (Kind.DEVICE, Kind.SWITCH_PORT)}
        return found + Hearing(self._drivers).inventory(owners)

    def _of_other_daemons(self) -> set[str]:
        """The devices that are on a bridge of another daemon."""
        ovsdb, bridges = self._drivers.ovsdb, self._inventory.elsewhere()
        return {row.name for bridge in bridges for row in ovsdb.ports(bridge)}

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        names = {i: wiring.read_if(e.wiring) for i, e in entries.items()}
        mine = [i for i, w in names.items() if w and not w.interface_type and not w.sub_port]
        taps = [entries[i].wiring.device for i in mine]
        return self._inventory.expected(entries) | {hearing.key(name): Wanted() for name in taps}

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        links = self._drivers.links.get([o.name for o in objects if o.kind == Kind.SWITCH_PORT])

        def holder(row: PortRow) -> str:
            return _held(links.get(row.name))

        failed = discarding.discard(self._inventory, objects, holder, self._devices)
        return failed | self._unheard([o for o in objects if o.kind == Kind.GUARD])

    def _unheard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        """What was said of devices that are gone; of one that is there it stays."""
        there = self._drivers.links.get([o.name for o in objects]) if objects else {}
        going = [o for o in objects if o.name not in there]
        stays = "the device is there"
        kept: dict[Key, VifError] = {
            o.key: discarding.changed(o, stays) for o in objects if o.name in there
        }
        try:
            if going:
                Hearing(self._drivers).forget(o.name for o in going)
        except VifError as error:
            kept |= {o.key: error.copy() for o in going}
        return kept

    def _devices(self, objects: Iterable[Marked]) -> dict[Key, VifError]:
        """All in one request; each as long as it is the one that was listed."""
        devices = {o.name: o for o in objects if o.kind == Kind.DEVICE}
        present = self._drivers.links.get(list(devices))
        elsewhere = enslaved(self._drivers, list(present))
        failed: dict[Key, VifError] = {}
        for name, link in present.items():
            problem = _unlike(devices[name], link, name in elsewhere)
            if problem:
                failed[devices[name].key] = discarding.changed(devices[name], problem)
        chosen = [name for name in present if devices[name].key not in failed]
        try:
            if chosen:
                self._drivers.links.delete(chosen)
                # what was said of them goes with them, and is no orphan of its own
                Hearing(self._drivers).forget(chosen)
        except VifError as error:
            failed |= {devices[name].key: error.copy() for name in chosen}
        return failed

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        """Taps first, as a switch port without its device would only have an error."""
        failed: dict[Key, VifError] = {}
        taps = {o.name: o for o in objects if o.kind == Kind.DEVICE}
        made = self._drivers.links.create_taps([_tap(m) for m in taps.values()])
        for name, result in made.items():
            if isinstance(result, Exception):
                failed[taps[name].key] = wrap(result, stage="garbage", port=taps[name].owner)
        # heard by the host or not as the next plug wants it; until then rather not
        there = [name for name, result in made.items() if not isinstance(result, Exception)]
        bridges = {o.name: o.where for o in objects if o.kind == Kind.SWITCH_PORT}
        Hearing(self._drivers).unheard(there, bridges)
        rows = [o for o in objects if o.kind not in (Kind.DEVICE, Kind.GUARD)]
        return failed | discarding.restore(self._inventory, rows)


def _has_device(row: PortRow) -> bool:
    return not row.type.startswith(_VHOST)


def _held(link: Link | None) -> str:
    return OPENED if link is not None and link.carrier else ""


def _device(link: Link, elsewhere: set[str]) -> Marked | None:
    port_id = marks.port_of_alias(link.alias)
    if link.kind != "tun" or link.name in elsewhere or not port_id or not is_id(port_id):
        return None
    return Marked(
        kind=Kind.DEVICE,
        name=link.name,
        owner=port_id,
        identity=str(link.ifindex),
        holder=_held(link),
        uses=(link.name,),
        backup=_settings(link),
    )


def _settings(link: Link) -> dict[str, Any]:
    return {
        "mac": link.mac,
        "mtu": link.mtu,
        "alias": link.alias,
        "multi_queue": link.multi_queue,
        "owner": link.owner,
        "group": link.group,
    }


def _tap(marked: Marked) -> Tap:
    return Tap(name=marked.name, **marked.backup)


def _unlike(marked: Marked, link: Link, elsewhere: bool) -> str:
    """Why a device may not be removed, or the empty string."""
    if link.alias != marks.alias(marked.owner) or link.kind != "tun":
        return "it does not bear the mark any more"
    if str(link.ifindex) != marked.identity:
        return "it was made anew"
    if elsewhere:
        return "it is a port of a bridge of the kernel now"
    return _held(link)
