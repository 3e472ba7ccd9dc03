"""The database as this process knows it: plain values, safe to read on any thread.

The IDL's own rows belong to the connection's thread. It applies each batch of changes here in one
step, so that a reader never meets half a transaction; values are replaced, never changed in place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from vifd.drivers import Bridge, PortRow, aside
from vifd.drivers.aside import Change, Columns

T = TypeVar("T")

ROOT = "Open_vSwitch"
#: The tables and columns that are replicated; those that a server lacks are left out.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    ROOT: (
        "bridges",
        "external_ids",
        "other_config",
        "next_cfg",
        "cur_cfg",
        "ovs_version",
        "db_version",
        "dpdk_initialized",
        "dpdk_version",
        "iface_types",
        "datapath_types",
    ),
    "Bridge": (
        "name",
        "ports",
        "datapath_type",
        "datapath_id",
        "fail_mode",
        "protocols",
        "external_ids",
        "other_config",
        "stp_enable",
        "rstp_enable",
        "mcast_snooping_enable",
        "flood_vlans",
        "flow_tables",
        "mirrors",
    ),
    "Port": (
        "name",
        "interfaces",
        "tag",
        "vlan_mode",
        "trunks",
        "external_ids",
        "other_config",
        "qos",
        "protected",
        "status",
        "rstp_status",
    ),
    "Interface": (
        "name",
        "type",
        "options",
        "external_ids",
        "ofport",
        "ofport_request",
        "error",
        "link_state",
        "admin_state",
        "mac_in_use",
        "mtu",
        "mtu_request",
        "ifindex",
        "status",
        *aside.POLICING,
    ),
    **aside.COLUMNS,
}
_INTERFACE_TEXTS = ("type", "error", "link_state", "admin_state", "mac_in_use")
_INTERFACE_NUMBERS = ("ofport", "ofport_request", "mtu", "mtu_request", "ifindex")
_INTERFACE_MAPS = ("options", "external_ids", "status")


class Replica:
    """Rows by identity, with the indices that readers need. Every call may come from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._connected = False
        self._clear()

    def _clear(self) -> None:
        self._rows: dict[str, dict[UUID, dict[str, Any]]] = {table: {} for table in COLUMNS}
        self._named: dict[str, dict[str, UUID]] = {table: {} for table in COLUMNS}
        #: Port to bridge, and interface to port.
        self._owner: dict[UUID, UUID] = {}
        #: What readers were given, until one of its rows changes.
        self._bridges: dict[str, Bridge | None] = {}
        self._ports: dict[UUID, PortRow | None] = {}

    # Writing, by the connection's thread.

    def apply(self, changes: Sequence[Change], *, anew: bool = False) -> set[tuple[str, str]]:
        """Take changes in one step, and return what they concern: ``(kind, name)`` pairs.

        :param anew: the changes are the whole database
        """
        concerned: set[tuple[str, str]] = set()
        changes = aside.steady(changes)
        with self._changed:
            if anew:
                self._clear()
            changes = [change for change in changes if not self._known(*change)]
            for table, uuid, columns in changes:
                concerned |= self._concerned(table, uuid, columns)
                self._take(table, uuid, columns)
            for table, uuid, columns in changes:
                concerned |= self._concerned(table, uuid, columns)
            concerned |= self._beside(changes)
            self._changed.notify_all()
        return concerned

    def _known(self, table: str, uuid: UUID, columns: Columns | None) -> bool:
        """Whether nothing but a count of seconds has changed."""
        if table != "Port" or columns is None or not columns.keys() <= aside.COUNTED:
            return False
        old = self._rows[table].get(uuid, {})
        return all(old.get(name) == value for name, value in columns.items())

    def _take(self, table: str, uuid: UUID, columns: Columns | None) -> None:
        rows, names = self._rows[table], self._named[table]
        old = rows.pop(uuid, {})
        if "name" in old and names.get(old["name"]) == uuid:
            del names[old["name"]]
        new = {**old, **columns} if columns is not None else {}
        if columns is not None:
            rows[uuid] = new
        if "name" in new and table not in aside.COLUMNS:
            names[new["name"]] = uuid
        children = {"Bridge": "ports", "Port": "interfaces"}.get(table)
        if children is not None and old.get(children) is not new.get(children):
            before, after = frozenset(old.get(children, ())), frozenset(new.get(children, ()))
            for child in before - after:
                self._ports.pop(child, None)
                if self._owner.get(child) == uuid:
                    del self._owner[child]
            self._owner.update((child, uuid) for child in after - before)
            for child in after - before:
                self._ports.pop(child, None)
        self._forget(table, uuid, columns)

    def _forget(self, table: str, uuid: UUID, columns: Columns | None) -> None:
        """Drop what was made for readers from a row that changed."""
        if table == "Interface":
            self._ports.pop(self._owner.get(uuid, uuid), None)
        elif table == "Port":
            self._ports.pop(uuid, None)
        if table == "Bridge" or (table == "Port" and (columns is None or "name" in columns)):
            self._bridges.clear()
        if table == "Bridge" and (columns is None or "name" in columns):
            self._ports.clear()

    def _beside(self, changes: Sequence[Change]) -> set[tuple[str, str]]:
        """Whose the rows are that stand beside ports and bridges; what was made of them goes."""
        changed: dict[str, set[UUID]] = {}
        for table, uuid, _ in changes:
            if table in aside.COLUMNS:
                changed.setdefault(table, set()).add(uuid)
        if not changed:
            return set()
        ports, bridges = aside.users(self._rows, changed)
        for uuid in ports:
            self._ports.pop(uuid, None)
        if bridges:
            self._bridges.clear()
        told = {("port", self._rows["Port"][uuid]["name"]) for uuid in ports}
        return told | {("bridge", self._rows["Bridge"][uuid]["name"]) for uuid in bridges}

    def _concerned(self, table: str, uuid: UUID, columns: Columns | None) -> set[tuple[str, str]]:
        row = self._rows[table].get(uuid)
        if row is None or table == ROOT or table in aside.COLUMNS:
            return set()
        if table == "Bridge" and columns is not None and columns.keys() <= {"ports"}:
            return set()  # the ports that came or went are told themselves
        if table == "Interface":
            row = self._rows["Port"].get(self._owner.get(uuid, uuid))
        return {("bridge" if table == "Bridge" else "port", row["name"])} if row else set()

    def set_connected(self, connected: bool) -> bool:
        """Note whether the replica is in step with a server, and say whether that is news."""
        with self._changed:
            news = self._connected != connected
            self._connected = connected
            self._changed.notify_all()
            return news

    # Reading.

    @property
    def connected(self) -> bool:
        """Whether the replica is in step with a server."""
        return self._connected

    def uuid(self, table: str, name: str) -> UUID | None:
        """The row of a name."""
        with self._changed:
            return self._named[table].get(name)

    def owner(self, uuid: UUID) -> UUID | None:
        """The bridge of a port, the port of an interface."""
        with self._changed:
            return self._owner.get(uuid)

    def columns(self, table: str, uuid: UUID) -> Columns:
        """A row as it is; empty when it is gone."""
        with self._changed:
            return self._rows[table].get(uuid, {})

    def root(self) -> Columns:
        """The one row of the root table; empty as long as there is none."""
        with self._changed:
            return next(iter(self._rows[ROOT].values()), {})

    def bridge(self, name: str) -> Bridge | None:
        """A bridge."""
        with self._changed:
            if name not in self._bridges:
                self._bridges[name] = self._bridge(name)
            return self._bridges[name]

    def bridges(self) -> list[str]:
        """The names of all bridges, sorted."""
        with self._changed:
            return sorted(self._named["Bridge"])

    def _bridge(self, name: str) -> Bridge | None:
        row = self._row("Bridge", name)
        if row is None:
            return None
        return Bridge(
            name=name,
            datapath_type=row.get("datapath_type") or "",
            fail_mode=row.get("fail_mode") or "",
            protocols=tuple(sorted(row.get("protocols", ()))),
            external_ids=row.get("external_ids", {}),
            other_config=row.get("other_config", {}),
            stp=bool(row.get("stp_enable")),
            rstp=bool(row.get("rstp_enable")),
            snooping=bool(row.get("mcast_snooping_enable")),
            flood_vlans=tuple(sorted(row.get("flood_vlans", ()))),
            flow_tables=aside.flow_tables(self._rows, row),
            mirrors=aside.mirrors(self._rows, row),
        )

    def _row(self, table: str, name: str) -> dict[str, Any] | None:
        uuid = self._named[table].get(name)
        return None if uuid is None else self._rows[table].get(uuid)

    def port(self, name: str) -> PortRow | None:
        """A port of some bridge."""
        with self._changed:
            uuid = self._named["Port"].get(name)
            return None if uuid is None else self._port(uuid)

    def port_with(self, interface: str) -> PortRow | None:
        """The port that an interface belongs to."""
        with self._changed:
            uuid = self._named["Interface"].get(interface)
            port = None if uuid is None else self._owner.get(uuid)
            return None if port is None else self._port(port)

    def ports(self, bridge: str) -> list[PortRow]:
        """The ports of a bridge, by name."""
        with self._changed:
            row = self._row("Bridge", bridge) or {}
            found = [self._port(uuid) for uuid in row.get("ports", ())]
        return sorted((port for port in found if port), key=lambda port: port.name)

    def _port(self, uuid: UUID) -> PortRow | None:
        if uuid not in self._ports:
            self._ports[uuid] = self._read_port(uuid)
        return self._ports[uuid]

    def _read_port(self, uuid: UUID) -> PortRow | None:
        row = self._rows["Port"].get(uuid)
        bridge = self._rows["Bridge"].get(self._owner.get(uuid, uuid))
        if row is None or bridge is None:
            return None
        interface = self._interface(row)
        columns: dict[str, Any] = {text: interface.get(text) or "" for text in _INTERFACE_TEXTS}
        columns |= {number: interface.get(number) for number in _INTERFACE_NUMBERS}
        columns |= {pairs: interface.get(pairs, {}) for pairs in _INTERFACE_MAPS}
        members = (self._rows["Interface"].get(uuid) for uuid in row.get("interfaces", ()))
        return PortRow(
            name=row["name"], bridge=bridge["name"], tag=row.get("tag"),
            interfaces=tuple(sorted(str(member["name"]) for member in members if member)),
            vlan_mode=row.get("vlan_mode") or "",
            trunks=tuple(sorted(row.get("trunks") or ())),
            protected=bool(row.get("protected")),
            tree_state=aside.tree_state(row),
            policing=aside.policing(interface),
            qos=aside.qos(self._rows, row.get("qos")), **columns,
        )  # fmt: skip

    def _interface(self, port: Columns) -> Columns:
        """The interface of a port; of a bond the one of its name, or the first, with the link and
        MTU of the whole: up where one member is, and no more than the smallest carries. A limit of
        one member limits the bond."""
        rows = [self._rows["Interface"].get(uuid) for uuid in port.get("interfaces", ())]
        named = sorted((row for row in rows if row), key=lambda row: str(row["name"]))
        same = (row for row in named if row["name"] == port["name"])
        chosen = next(same, named[0] if named else {})
        if len(named) < 2:
            return chosen
        states = {row.get("link_state") for row in named}
        mtus = [row["mtu"] for row in named if row.get("mtu")]
        state = "up" if "up" in states else chosen.get("link_state")
        limited = next((row for row in named if aside.policing(row)), chosen)
        limits = {column: limited.get(column) for column in aside.POLICING}
        return {**chosen, **limits, "link_state": state, "mtu": min(mtus, default=None)}

    def wait(self, look: Callable[[], T | None], timeout: float) -> T | None:
        """Look at the replica whenever it changes until there is a result, or time is up."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := look()) is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return look()
        return found
