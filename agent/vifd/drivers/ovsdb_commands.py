"""What is written to the database: each command is one transaction.

They run on the connection's thread, perhaps repeatedly: when another client was faster, the
transaction is composed anew. A refusal is raised before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from ovs.db.idl import Idl
from ovsdbapp.backend.ovs_idl.command import BaseCommand

from vifd.drivers import PortSpec
from vifd.drivers.ovsdb_idl import Backend
from vifd.drivers.ovsdb_replica import ROOT
from vifd.drivers.ovsdb_rules import DEFAULT_PROTOCOLS, member_clash, port_clash
from vifd.errors import BackendError, BridgeMissing


class Command(BaseCommand):  # type: ignore[misc]
    """A transaction composed from the replica's present state."""

    api: Backend

    def run_idl(self, txn: Any) -> None:
        """Compose the transaction; called by the library."""
        # While the replica is read anew there is nothing to compose from: nothing is sent then,
        # and the library calls again once it is in step.
        if self.api.idl.state == Idl.IDL_S_MONITORING:
            self.compose(txn)

    def compose(self, txn: Any) -> None:
        """Add what is to be done."""
        raise NotImplementedError

    def _uuid(self, table: str, name: str) -> UUID | None:
        return self.api.replica.uuid(table, name)

    def _insert(self, txn: Any, table: str, **values: Any) -> Any:
        """Add a row; values that are ``None`` or empty keep the column's default."""
        row = txn.insert(self.api.idl.tables[table])
        for column, value in values.items():
            if value is not None and value != {} and value != "":
                self._set(row, column, value)
        return row

    @staticmethod
    def _set(row: Any, column: str, value: Any) -> None:
        check_column(row._table, column)
        setattr(row, column, value)
        # The library logs a value that breaks the column's constraints, and goes on without it.
        if column not in row._changes:
            raise bad_value(column, value)


class EnsureBridge(Command):
    """Make a bridge, or add what an existing one lacks to be spoken to. The result says which."""

    def __init__(
        self,
        api: Backend,
        name: str,
        datapath_type: str,
        fail_mode: str,
        protocols: Sequence[str],
        external_ids: Mapping[str, str],
    ) -> None:
        super().__init__(api)
        self.name = name
        self.settings: dict[str, Any] = {
            "datapath_type": datapath_type,
            "fail_mode": fail_mode,
            "protocols": list(protocols),
            "external_ids": dict(external_ids),
        }
        self.protocols = frozenset(protocols)

    def compose(self, txn: Any) -> None:
        """See :class:`Command`."""
        uuid = self._uuid("Bridge", self.name)
        self.result = uuid is None
        if uuid is None:
            self._make(txn)
        else:
            self._complete(uuid)

    def _make(self, txn: Any) -> None:
        interface = self._insert(txn, "Interface", name=self.name, type="internal")
        port = self._insert(txn, "Port", name=self.name, interfaces=[interface])
        bridge = self._insert(txn, "Bridge", name=self.name, ports=[port], **self.settings)
        root = next(iter(self.api.idl.tables[ROOT].rows.values()), None)
        if root is None:
            problem = "the database has no root row; it was never initialised"
            raise BackendError(facts={"backend": "ovsdb", "problem": problem}, stage="ovsdb")
        root.addvalue("bridges", bridge)

    def _complete(self, uuid: UUID) -> None:
        have = self.api.replica.columns("Bridge", uuid).get("protocols", frozenset())
        wanted = self.protocols - have
        if wanted and not have:
            wanted |= DEFAULT_PROTOCOLS
        row = self.api.row("Bridge", uuid)
        for protocol in sorted(wanted):
            row.addvalue("protocols", protocol)
        self._close_again(uuid, row)

    def _close_again(self, uuid: UUID, row: Any) -> None:
        """A bridge of ours that another program lets fail open."""
        have = self.api.replica.columns("Bridge", uuid)
        ids, mode = self.settings["external_ids"], self.settings["fail_mode"]
        ours = bool(ids) and ids.items() <= have.get("external_ids", {}).items()
        if ours and have.get("fail_mode") != mode:
            self._set(row, "fail_mode", mode)


class SetFailMode(Command):
    """Say what a bridge does with frames that no flow takes."""

    def __init__(self, api: Backend, name: str, mode: str) -> None:
        super().__init__(api)
        self.name = name
        self.mode = mode

    def compose(self, txn: Any) -> None:
        """See :class:`Command`."""
        row = self.api.row("Bridge", self._uuid("Bridge", self.name))
        if row is not None:
            self._set(row, "fail_mode", self.mode)


class DeleteBridge(Command):
    """Remove a bridge with its ports."""

    def __init__(self, api: Backend, name: str) -> None:
        super().__init__(api)
        self.name = name

    def compose(self, txn: Any) -> None:
        """See :class:`Command`."""
        row = self.api.row("Bridge", self._uuid("Bridge", self.name))
        if row is not None:
            next(iter(self.api.idl.tables[ROOT].rows.values())).delvalue("bridges", row)


class EnsurePorts(Command):
    """Make ports, and bring existing ones to what is wanted."""

    def __init__(self, api: Backend, bridge: str, specs: Sequence[PortSpec]) -> None:
        super().__init__(api)
        self.bridge = bridge
        self.specs = specs

    def compose(self, txn: Any) -> None:
        """See :class:`Command`."""
        bridge = self.api.row("Bridge", self._uuid("Bridge", self.bridge))
        if bridge is None:
            raise BridgeMissing(facts={"bridge": self.bridge}, stage="ovsdb")
        missing = []
        for spec in self.specs:
            uuid = self._uuid("Port", spec.name)
            if uuid is None:
                if (other := self.api.replica.port_with(spec.name)) is not None:
                    raise member_clash(spec.name, other)
                missing.append(spec)
            else:
                self._refuse_foreign(bridge, uuid, spec.name)
                self._bring(uuid, spec)
        if missing:
            self._make(txn, bridge.uuid, missing)

    def _refuse_foreign(self, bridge: Any, port: UUID, name: str) -> None:
        owner = self.api.replica.owner(port)
        if owner != bridge.uuid:
            there = self.api.replica.columns("Bridge", owner)["name"] if owner else "?"
            row = self.api.replica.port(name)
            raise port_clash(name, there, row.external_ids if row else {})

    def _make(self, txn: Any, bridge: UUID, specs: Sequence[PortSpec]) -> None:
        """Insert rows as the protocol writes them (RFC 7047): the library's row objects take ten
        times as long, and keep all readers waiting meanwhile."""
        for index, spec in enumerate(specs):
            interface = {
                "name": spec.name,
                "type": spec.type,
                "ofport_request": spec.ofport or None,
                "mtu_request": spec.mtu or None,
                "options": _map(spec.options),
                "external_ids": _map(spec.external_ids),
            }
            inner = ["named-uuid", f"interface{index}"]
            port = {"name": spec.name, "tag": spec.tag, "interfaces": inner}
            txn.add_op(self._insertion("Interface", f"interface{index}", interface))
            txn.add_op(self._insertion("Port", f"port{index}", port))
        ports = ["set", [["named-uuid", f"port{index}"] for index in range(len(specs))]]
        txn.add_op(
            {
                "op": "mutate",
                "table": "Bridge",
                "where": [["_uuid", "==", ["uuid", str(bridge)]]],
                "mutations": [["ports", "insert", ports]],
            }
        )

    def _insertion(self, table: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The operation that adds a row; values that are ``None`` keep the column's default."""
        row = {column: value for column, value in values.items() if value is not None}
        for column in row:
            check_column(self.api.idl.tables[table], column)
        return {"op": "insert", "table": table, "uuid-name": name, "row": row}

    def _bring(self, uuid: UUID, spec: PortSpec) -> None:
        """Write only what differs: a transaction that changes nothing is not even sent."""
        have = self.api.replica.columns("Port", uuid)
        if have.get("tag") != spec.tag:
            self._set(self.api.row("Port", uuid), "tag", [] if spec.tag is None else spec.tag)
        for column in ("vlan_mode", "trunks"):
            if have.get(column):
                self._set(self.api.row("Port", uuid), column, [])
        interface = self._uuid("Interface", spec.name)
        if interface is None:
            return
        have = self.api.replica.columns("Interface", interface)
        row = self.api.row("Interface", interface)
        wanted = {"type": spec.type, "ofport_request": spec.ofport, "mtu_request": spec.mtu}
        for column, value in wanted.items():
            if value is not None and (have.get(column) or None) != (value or None):
                self._set(row, column, [] if value == 0 else value)
        for column, pairs in (("options", spec.options), ("external_ids", spec.external_ids)):
            set_keys(row, column, have.get(column, {}), pairs)


def check_column(table: Any, column: str) -> None:
    """Refuse a column that the server's schema lacks."""
    if column not in table.columns:
        problem = f"this version has no column {column} in table {table.name}"
        raise BackendError(facts={"backend": "ovsdb", "problem": problem}, stage="ovsdb")


def _map(pairs: Mapping[str, str]) -> list[Any]:
    """A map as the protocol writes it."""
    return ["map", list(pairs.items())]


class DeletePorts(Command):
    """Remove ports of one bridge.

    :ivar number: of the configuration that has them no more, once the transaction is committed:
        the switch has let go when ``cur_cfg`` is that large. ``None`` where nothing was removed.
    """

    def __init__(self, api: Backend, bridge: str, names: Sequence[str]) -> None:
        super().__init__(api)
        self.bridge = bridge
        self.names = names
        self._txn: Any = None

    def compose(self, txn: Any) -> None:
        """See :class:`Command`."""
        self._txn = None
        bridge = self.api.row("Bridge", self._uuid("Bridge", self.bridge))
        for name in self.names if bridge is not None else ():
            uuid = self._uuid("Port", name)
            if uuid is not None and self.api.replica.owner(uuid) == bridge.uuid:
                bridge.delvalue("ports", self.api.row("Port", uuid))
                self._txn = txn
        if self._txn is not None:
            for root in self.api.idl.tables[ROOT].rows.values():
                root.increment("next_cfg")

    @property
    def number(self) -> int | None:
        """See the class."""
        return None if self._txn is None else self._txn.get_increment_new_value()


class SetExternalIds(Command):
    """Set and remove external ids of interfaces."""

    def __init__(self, api: Backend, values: Mapping[str, Mapping[str, str | None]]) -> None:
        super().__init__(api)
        self.values = values

    def compose(self, txn: Any) -> None:
        """See :class:`Command`."""
        missing = [name for name in self.values if self._uuid("Interface", name) is None]
        if missing:
            problem = f"no interface {', '.join(missing)}"
            facts = {"backend": "ovsdb", "problem": problem, "missing": missing}
            raise BackendError(facts=facts, stage="ovsdb")
        for name, pairs in self.values.items():
            uuid = self._uuid("Interface", name)
            if uuid is not None:
                have = self.api.replica.columns("Interface", uuid).get("external_ids", {})
                set_keys(self.api.row("Interface", uuid), "external_ids", have, pairs)


def bad_value(column: str, value: object) -> BackendError:
    """A value that the column cannot hold."""
    problem = f"constraint violation: {value!r} is no value for column {column}"
    facts = {"backend": "ovsdb", "problem": problem, "column": column}
    return BackendError(facts=facts, stage="ovsdb")


def set_keys(
    row: Any, column: str, have: Mapping[str, str], wanted: Mapping[str, str | None]
) -> None:
    """Bring the named keys of a map to the wanted values, ``None`` for absent."""
    for key, value in wanted.items():
        if value is None and key in have:
            row.delkey(column, key)
        elif value is not None and have.get(key) != value:
            row.setkey(column, key, value)
            if key not in row._mutations.get("_inserts", {}).get(column, ()):
                raise bad_value(column, {key: value})
