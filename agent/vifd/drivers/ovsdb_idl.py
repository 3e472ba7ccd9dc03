"""The connection to ovsdb-server: ovsdbapp's thread and the IDL, feeding the replica."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from ovs import jsonrpc, stream
from ovs.db import data, idl
from ovsdbapp.backend import ovs_idl
from ovsdbapp.backend.ovs_idl import connection as ovsdbapp_connection

from vifd.drivers import denied, ovsdb_json, ovsdb_poll
from vifd.drivers.aside import Change
from vifd.drivers.ovsdb_replica import COLUMNS, ROOT, Replica
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: Seconds between two attempts as long as no server was ever reached.
RETRY = 0.25
#: Seconds that the library is given to reconnect before the server's schema is looked at.
RECONNECTION = 1.0
#: Milliseconds without a word after which the server is asked for one, and as many later given up.
PROBE = 3000
#: Most milliseconds between two attempts to reach a server that went away, the library's least.
BACKOFF = 1000

Tell = Callable[[Iterable[tuple[str, str]]], None]


def plain(column: Any, datum: Any) -> Any:
    """A column's value without the library's types: scalar, ``None``, frozenset or dict."""
    kind = column.type
    if kind.is_map():
        return {key.value: value.value for key, value in datum.values.items()}
    if kind.n_max == 1:
        return next((atom.value for atom in datum.values), None)
    return frozenset(atom.value for atom in datum.values)


def _columns(row: Any, names: Iterable[str]) -> dict[str, Any]:
    columns, data, defaults = row._table.columns, row._data, row._table.plain_defaults
    # what is not kept is the default; asked for, the library makes one each time
    return {
        name: plain(columns[name], data[name]) if dict.__contains__(data, name) else defaults[name]
        for name in names
    }


def _prepared(tables: Mapping[str, Any]) -> None:
    """Keep by each table what the library works out anew for every row."""
    for name, table in tables.items():
        table.name = name
        for column in table.columns.values():
            # these pass every question on to what they stand for, 200 times a port
            column.name, column.type = column.name, column.type
        table.plain_defaults = {
            key: plain(column, data.Datum.default(column.type))
            for key, column in table.columns.items()
        }


class ReplicaIdl(ovsdbapp_connection.OvsdbIdl):  # type: ignore[misc]
    """The IDL, which hands every change to the replica at the end of the run that brought it."""

    def __init__(self, remote: str, helper: Any, replica: Replica, tell: Tell) -> None:
        super().__init__(remote, helper)
        _prepared(self.tables)
        self._session.reconnect.set_backoff(BACKOFF, BACKOFF)
        # the library asks nothing of a server at a local socket: one that hangs would count as
        # connected for ever
        self._session.reconnect.set_probe_interval(PROBE)
        self._replica = replica
        self._tell_all = tell
        self._pending: list[Change] = []
        self._in_step = False

    def cooperative_yield(self) -> None:
        """Native threads need no yield after each row."""

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        """Note a change; called by the library for each row."""
        names: Iterable[str] = updates._data if event == idl.ROW_UPDATE else row._table.columns
        columns = None if event == idl.ROW_DELETE else _columns(row, names)
        self._pending.append((row._table.name, row.uuid, columns))

    def run(self) -> bool:
        """Process what the server sent; called by the library only."""
        changed = bool(super().run())
        try:
            self._settle()
        except BaseException:
            # A defect; the next run starts over from what the library has.
            self._in_step = False
            self._pending.clear()
            raise
        return changed

    def _settle(self) -> None:
        in_step = self.state == self.IDL_S_MONITORING and self._session.is_connected()
        if in_step and not self._in_step:
            # After a reconnection the library drops all rows without a word and reads them anew.
            self._replica.apply(self._everything(), anew=True)
            self._pending.clear()
        elif self._pending:
            self._tell_all(self._replica.apply(self._pending))
            self._pending.clear()
        if in_step != self._in_step:
            self._in_step = in_step
            self._replica.set_connected(in_step)
            self._tell_all([("connected" if in_step else "disconnected", "")])

    def _everything(self) -> list[Change]:
        return [
            (name, row.uuid, _columns(row, table.columns))
            for name, table in self.tables.items()
            for row in table.rows.values()
        ]


class Backend(ovs_idl.Backend):  # type: ignore[misc]
    """What a command needs; unlike its base, one per object and not one per process."""

    def __init__(self, connection: Any, replica: Replica) -> None:
        self.replica = replica
        super().__init__(connection, start=False, auto_index=False)

    @property
    def ovsdb_connection(self) -> Any:
        """The connection of this object."""
        return self._own_connection

    @ovsdb_connection.setter
    def ovsdb_connection(self, connection: Any) -> None:
        self._own_connection = connection

    def row(self, table: str, uuid: UUID | None) -> Any:
        """The library's row, or ``None``."""
        return None if uuid is None else self.idl.tables[table].rows.get(uuid)


def _fetch_schema(remote: str) -> dict[str, Any]:
    """Ask a server for its schema.

    :raises OSError: it cannot be reached
    """
    error, sock = stream.Stream.open_block(stream.Stream.open(remote))
    if error:
        raise OSError(error, os.strerror(error))
    connection = jsonrpc.Connection(sock)
    try:
        request = jsonrpc.Message.create_request("get_schema", [ROOT])
        error, reply = connection.transact_block(request)
    finally:
        connection.close()
    if error:
        raise OSError(error, os.strerror(error) if error > 0 else "the connection was closed")
    if reply.error is not None:
        raise OSError(0, f"the server has no database {ROOT}: {reply.error}")
    schema: dict[str, Any] = reply.result
    return schema


def _present(schema: dict[str, Any]) -> dict[str, list[str]]:
    """The columns that we need and that this server has."""
    tables = {table: schema["tables"].get(table, {}).get("columns", {}) for table in COLUMNS}
    return {table: [c for c in COLUMNS[table] if c in tables[table]] for table in COLUMNS}


def _helper(schema: dict[str, Any]) -> Any:
    helper = idl.SchemaHelper(schema_json=schema)
    for table, columns in _present(schema).items():
        if columns:
            helper.register_columns(table, columns)
    return helper


class Connector:
    """Connects on a thread of its own, however long that takes; later the library reconnects.

    A server that comes back with another version of the schema may lack a column that the library
    goes on to ask for, in vain: then the connection is made anew.
    """

    def __init__(self, remote: str, timeout: float, replica: Replica, tell: Tell) -> None:
        ovsdb_json.install()
        ovsdb_poll.install()
        self._remote = remote
        self._timeout = timeout
        self._replica = replica
        self._tell_all = tell
        self._closing = threading.Event()
        self._lost = threading.Event()
        self._columns: dict[str, list[str]] = {}
        self.problem = "not yet connected"
        self.backend: Backend | None = None
        self._thread = Steady(self._run, "ovsdb-connect")
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may work
                self.backend = None
                problem = denied.why(self._remote, str(error))
                if problem != self.problem:
                    self.problem = problem
                    LOG.warning("ovsdb %s: %s; trying again", self._remote, problem)
                self._closing.wait(RETRY)
            else:
                self._mind()

    def _tell(self, news: Iterable[tuple[str, str]]) -> None:
        news = list(news)
        if ("disconnected", "") in news:
            self._lost.set()
        self._tell_all(news)

    def _mind(self) -> None:
        """Return once the server has another schema than the one that the library knows."""
        while not self._closing.is_set():
            self._lost.wait()
            self._lost.clear()
            while not self._closing.wait(RECONNECTION) and not self._replica.connected:
                if self._outdated():
                    LOG.warning("ovsdb %s: the schema is another one now", self._remote)
                    self._hang_up()
                    return

    def _outdated(self) -> bool:
        """Whether a server is there and has other columns than the library asks for."""
        try:
            return _present(_fetch_schema(self._remote)) != self._columns
        except Exception:  # noqa: BLE001 - nobody there: the library tries again as well
            return False

    def _connect(self) -> None:
        schema = _fetch_schema(self._remote)
        self._columns = _present(schema)
        helper = _helper(schema)
        replica_idl = ReplicaIdl(self._remote, helper, self._replica, self._tell)
        connection = ovsdbapp_connection.Connection(replica_idl, self._timeout)
        # Before the start, which announces the connection: who hears of it may write at once.
        self.backend = Backend(connection, self._replica)
        try:
            connection.start()
        except BaseException:
            replica_idl.close()
            self._replica.set_connected(False)
            raise
        LOG.info("ovsdb %s: connected", self._remote)

    def close(self) -> None:
        """Stop connecting, and close the connection."""
        self._closing.set()
        self._lost.set()
        self._thread.join(self._timeout)
        self._hang_up()

    def _hang_up(self) -> None:
        backend, self.backend = self.backend, None
        if backend is None or not backend.ovsdb_connection.is_running:
            return
        connection = backend.ovsdb_connection
        connection.is_running = False
        connection.txns.alert_notify()
        connection.thread.join(self._timeout)
        self._replica.set_connected(False)
