"""Removing orphans from Open vSwitch, and putting them back.

The order is that of an unplug: a port leaves the switch before its guard flow goes, and its device
goes last. What differs from what was listed is left alone, and so is all that belongs to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vifd.drivers import PortRow, PortSpec
from vifd.errors import GarbageChanged, NotRestorable, VifError, wrap
from vifd.openflow.flow import flow
from vifd.plugin.marked import Key, Marked
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.flows import GUARD
from vifd_ovs.bridge.inventory import Holder, Inventory
from vifd_ovs.bridge.kinds import Kind
from vifd_ovs.bridge.switch import switch_of
from vifd_ovs.bridge.tables import CLASSIFY

LOG = logging.getLogger(__name__)

Failed = dict[Key, VifError]
#: The marks of ports that belong to no single port.
_WAYS: dict[str, str] = {Kind.PATCH: marks.PATCH, Kind.TUNNEL: marks.TUNNEL}
#: What takes away the objects that are neither rows nor flows.
Rest = Callable[[Sequence[Marked]], Failed]


def discard(inventory: Inventory, objects: Sequence[Marked], holder: Holder, rest: Rest) -> Failed:
    """Remove objects; all ports of one bridge go in one transaction."""
    failed: Failed = {}
    ovsdb = inventory.host.drivers.ovsdb

    def alive(*kinds: Kind) -> list[Marked]:
        stays = [o for o in objects if o.kind == Kind.SWITCH_PORT and o.key in failed]
        lost = {o.owner for o in stays}
        for o in objects:
            if o.kind in kinds and o.owner in lost and o.key not in failed:
                failed[o.key] = changed(o, "its switch port stays")
        return [o for o in objects if o.kind in kinds and o.key not in failed]

    ports = alive(Kind.SWITCH_PORT, Kind.PATCH, Kind.TUNNEL)
    failed |= {o.key: p for o in ports if (p := _unlike(o, ovsdb.port(o.name), holder))}
    failed |= _rows(inventory, [o for o in ports if o.key not in failed])
    failed |= _flows(inventory, alive(Kind.FLOWS))
    failed |= rest(alive(Kind.SWITCH_PORT, Kind.DEVICE))
    for bridge in alive(Kind.BRIDGE):
        failed |= _bridge(inventory, bridge)
    return failed


def changed(marked: Marked, problem: str) -> GarbageChanged:
    """The error for an object that is left alone."""
    return GarbageChanged(
        facts={"object": str(marked.key), "problem": problem}, port=marked.owner, stage="garbage"
    )


def _unlike(marked: Marked, row: PortRow | None, holder: Holder) -> VifError | None:
    """Why the row of a port may not be removed; ``None`` also where it is gone already."""
    if row is None:
        return None
    if marked.kind in _WAYS:
        if _WAYS[marked.kind] in row.external_ids:
            return None
        return changed(marked, "it does not bear the mark of vifd any more")
    if not marks.belongs(row, marked.owner) or row.bridge != marked.where:
        return changed(marked, "another port has its name now")
    if row.external_ids.get(marks.GENERATION, "") != marked.identity:
        return changed(marked, "it was plugged anew")
    held = holder(row)
    return changed(marked, held) if held else None


def _rows(inventory: Inventory, ports: Sequence[Marked]) -> Failed:
    """One transaction for each bridge."""
    ovsdb = inventory.host.drivers.ovsdb
    by_bridge: dict[str, list[Marked]] = {}
    for port in ports:
        row = ovsdb.port(port.name)
        if row is not None:
            by_bridge.setdefault(row.bridge, []).append(port)
    failed: Failed = {}
    for bridge, chosen in by_bridge.items():
        try:
            ovsdb.delete_ports(bridge, [port.name for port in chosen])
        except VifError as error:
            failed |= {port.key: error.copy() for port in chosen}
    if by_bridge:
        _catch_up(inventory)
    return failed


def _catch_up(inventory: Inventory) -> None:
    """Wait until the switch has let go of the ports: what is sent to it meanwhile only queues up.

    It answers between two rounds of its work; the round after the first answer has seen the change.
    """
    try:
        for _ in range(2):
            inventory.host.drivers.tracer.call("version")
    except VifError as error:
        LOG.debug("not known when the switch has let go of its ports: %s", error)


def _flows(inventory: Inventory, flows: Iterable[Marked]) -> Failed:
    """One bundle for each bridge."""
    by_bridge: dict[str, list[Marked]] = {}
    for marked in flows:
        by_bridge.setdefault(marked.where, []).append(marked)
    failed: Failed = {}
    for bridge, chosen in by_bridge.items():
        if inventory.host.drivers.ovsdb.bridge(bridge) is None:
            continue
        try:
            kept = switch_of(inventory.host, bridge).sweep(int(m.name, 16) for m in chosen)
        except VifError as error:
            failed |= {m.key: error.copy() for m in chosen}
            continue
        wanted = [m for m in chosen if int(m.name, 16) in kept]
        failed |= {m.key: changed(m, "a port has these flows now") for m in wanted}
    return failed


def _bridge(inventory: Inventory, marked: Marked) -> Failed:
    """Remove a bridge of ours on which nothing stands any more."""
    ovsdb = inventory.host.drivers.ovsdb
    there = ovsdb.bridge(marked.name)
    if there is None:
        return {}
    standing = [row.name for row in ovsdb.ports(marked.name) if row.name != marked.name]
    if marks.BRIDGE not in there.external_ids or standing:
        problem = f"{', '.join(standing[:3])} is on it" if standing else "its mark is gone"
        return {marked.key: changed(marked, problem)}
    try:
        ovsdb.delete_bridge(marked.name)
    except VifError as error:
        return {marked.key: error}
    return {}


# --- the way back ---------------------------------------------------------------------------------


def restore(inventory: Inventory, objects: Sequence[Marked]) -> Failed:
    """Put ports back as they were, closed: a guard drops all that they send. Flows are made anew
    only with a document, so they are nobody's loss here."""
    failed: Failed = {}
    for marked in objects:
        if marked.kind == Kind.SWITCH_PORT:
            try:
                _put_back(inventory, marked)
            except VifError as error:
                failed[marked.key] = error
        elif marked.kind in (Kind.PATCH, Kind.TUNNEL, Kind.BRIDGE):
            problem = "vifd makes it anew with the first port that needs it"
            failed[marked.key] = not_restorable(marked, problem)
    return failed


def not_restorable(marked: Marked, problem: str) -> NotRestorable:
    """The error for an object that does not come back."""
    facts = {"object": str(marked.key), "problem": problem}
    return NotRestorable(facts=facts, port=marked.owner, stage="garbage")


def _put_back(inventory: Inventory, marked: Marked) -> None:
    drivers, was = inventory.host.drivers, marked.backup
    there = drivers.ovsdb.port(marked.name)
    if there is not None:
        if marks.belongs(there, marked.owner):
            return
        raise not_restorable(marked, f"a port of that name is on bridge {there.bridge}")
    if drivers.ovsdb.bridge(marked.where) is None:
        raise not_restorable(marked, f"bridge {marked.where} is gone")
    number = was.get("ofport")
    if number is not None and number > 0:
        holder = next((r for r in drivers.ovsdb.ports(marked.where) if r.ofport == number), None)
        if holder is not None:
            problem = f"its number {number} belongs to {holder.name} now"
            raise not_restorable(marked, problem)
        cookie = cookies.port(_generation(marked), number)
        guard = flow(CLASSIFY, GUARD, cookie, in_port=number)
        drivers.openflow.apply(marked.where, add=[guard])
    try:
        drivers.ovsdb.ensure_ports(marked.where, [_spec(marked.name, was)])
    except Exception as error:
        raise wrap(error, stage="garbage", port=marked.owner) from error


def _spec(name: str, was: dict[str, Any]) -> PortSpec:
    return PortSpec(
        name, ofport=was.get("ofport"), tag=was.get("tag"), type=was.get("type", ""),
        mtu=was.get("mtu"), options=was.get("options", {}),
        external_ids=was.get("external_ids", {}),
    )  # fmt: skip


def _generation(marked: Marked) -> int:
    try:
        return int(marked.identity, 16)
    except ValueError:
        return 0
