"""The optional verbs about single objects: switch ports and taps. OVN sweeps its flows itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vifd.drivers import Drivers, Link, PortRow, PortSpec, Tap
from vifd.errors import BackendUnavailable, GarbageChanged, VifError, wrap
from vifd.plugin import Entry
from vifd.plugin.marked import Desired, Key, Marked, Wanted, is_id
from vifd_ovn.marks import GATE
from vifd_ovn.observing import rows
from vifd_ovn.wiring import OvnWiring
from vifd_ovs.bridge import hearing, marks
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.kinds import Kind

OPENED = "its device is open: a guest, or another program, has it"

Failed = dict[Key, VifError]


def inventory(drivers: Drivers, plugin: str) -> list[Marked]:
    """Switch ports of the plugin, and their taps.

    :raises BackendUnavailable: the database is not connected
    """
    if not drivers.ovsdb.connected():
        problem = "the switch's database is not connected"
        raise BackendUnavailable(facts={"backend": "ovsdb", "problem": problem})
    mine = [row for row in rows(drivers, plugin) if is_id(row.external_ids[marks.PORT])]
    links = drivers.links.get([row.name for row in mine])
    found = []
    for row in mine:
        link = links.get(row.name)
        found.append(_port(row, link))
        if link is not None and link.alias == marks.alias(row.external_ids[marks.PORT]):
            found.append(_device(link, row.external_ids[marks.PORT]))
    owners = {m.name: m.owner for m in found}
    return found + Hearing(drivers).inventory(owners)


def expected(plugin: str, entries: Mapping[str, Entry]) -> Desired:
    """What the ports of a ledger stand for, those of this plugin. Pure."""
    found: dict[Key, Wanted] = {}
    for port_id, entry in entries.items():
        if entry.wiring.plugin != plugin:
            continue
        names, device = OvnWiring.read(entry.wiring), entry.wiring.device
        life = f"{names.generation:#06x}" if names.plugged else ""
        made = str(names.ifindex) if names.plugged and names.ifindex else ""
        found[Key(Kind.SWITCH_PORT, names.bridge, device)] = Wanted(port_id, life)
        found[Key(Kind.DEVICE, "", device)] = Wanted(port_id, made)
        found[hearing.key(device)] = Wanted()
    return found


def discard(drivers: Drivers, objects: Sequence[Marked]) -> Failed:
    """Rows first; a device whose row stays, stays as well."""
    failed: Failed = {}
    for marked in objects:
        if marked.kind == Kind.SWITCH_PORT:
            try:
                _discard_row(drivers, marked)
            except VifError as error:
                failed[marked.key] = error
    kept = {key.name for key in failed}
    for marked in objects:
        if marked.kind == Kind.DEVICE:
            try:
                _discard_device(drivers, marked, kept)
            except VifError as error:
                failed[marked.key] = error
    unheard = [o.name for o in objects if o.kind == Kind.GUARD]
    there = drivers.links.get(unheard) if unheard else {}
    for marked in objects:
        if marked.kind != Kind.GUARD:
            continue
        if marked.name in there:
            failed[marked.key] = _changed(marked, "the device is there")
            continue
        try:
            Hearing(drivers).forget([marked.name])
        except VifError as error:
            failed[marked.key] = error.copy()
    return failed


def restore(drivers: Drivers, objects: Sequence[Marked]) -> Failed:
    """Taps, then rows that name no logical port: closed."""
    failed: Failed = {}
    taps = {o.name: o for o in objects if o.kind == Kind.DEVICE}
    made = drivers.links.create_taps([Tap(name=o.name, **o.backup) for o in taps.values()])
    for name, result in made.items():
        if isinstance(result, Exception):
            failed[taps[name].key] = wrap(result, stage="garbage", port=taps[name].owner)
    for marked in objects:
        if marked.kind != Kind.SWITCH_PORT:
            continue
        spec = PortSpec(marked.name, external_ids=marked.backup["external_ids"])
        try:
            drivers.ovsdb.ensure_ports(marked.where, [spec])
        except VifError as error:
            failed[marked.key] = error.copy()
    return failed


def _port(row: PortRow, link: Link | None) -> Marked:
    ids = {k: v for k, v in row.external_ids.items() if k != GATE and not k.startswith("ovn-")}
    return Marked(
        kind=Kind.SWITCH_PORT, name=row.name, where=row.bridge,
        owner=row.external_ids[marks.PORT],
        identity=row.external_ids.get(marks.GENERATION, ""),
        holder=OPENED if link is not None and link.carrier else "",
        uses=(row.name,), backup={"external_ids": ids},
    )  # fmt: skip


def _device(link: Link, port_id: str) -> Marked:
    backup: dict[str, Any] = {
        "mac": link.mac, "mtu": link.mtu, "alias": link.alias, "multi_queue": link.multi_queue,
        "owner": link.owner, "group": link.group,
    }  # fmt: skip
    return Marked(
        kind=Kind.DEVICE, name=link.name, owner=port_id, identity=str(link.ifindex),
        holder=OPENED if link.carrier else "", uses=(link.name,), backup=backup,
    )  # fmt: skip


def _discard_row(drivers: Drivers, marked: Marked) -> None:
    row = drivers.ovsdb.port(marked.name)
    if row is None:
        return
    if not marks.belongs(row, marked.owner) or row.bridge != marked.where:
        raise _changed(marked, "another port has its name now")
    if row.external_ids.get(marks.GENERATION, "") != marked.identity:
        raise _changed(marked, "it was plugged anew")
    link = drivers.links.get([marked.name]).get(marked.name)
    if link is not None and link.carrier:
        raise _changed(marked, OPENED)
    drivers.ovsdb.delete_ports(row.bridge, [marked.name])


def _discard_device(drivers: Drivers, marked: Marked, kept: set[str]) -> None:
    link = drivers.links.get([marked.name]).get(marked.name)
    if link is None:
        return
    if marked.name in kept:
        raise _changed(marked, "its switch port stays")
    if link.alias != marks.alias(marked.owner) or link.kind != "tun":
        raise _changed(marked, "it does not bear the mark any more")
    if str(link.ifindex) != marked.identity:
        raise _changed(marked, "it was made anew")
    if link.carrier:
        raise _changed(marked, OPENED)
    drivers.links.delete([marked.name])


def _changed(marked: Marked, problem: str) -> GarbageChanged:
    facts = {"object": str(marked.key), "problem": problem}
    return GarbageChanged(facts=facts, port=marked.owner, stage="garbage")
