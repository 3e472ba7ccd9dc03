"""The local Open_vSwitch database, through ovsdbapp."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ovsdbapp.backend.ovs_idl.transaction import Transaction
from ovsdbapp.exceptions import TimeoutException

from vifd.drivers import Bridge, PortRow, PortSpec, liveness
from vifd.drivers import ovsdb_commands as commands
from vifd.drivers.ovsdb_idl import Backend, Connector
from vifd.drivers.ovsdb_replica import Replica
from vifd.drivers.ovsdb_rules import decided, unavailable, undecided
from vifd.errors import BackendError, VifError
from vifd.safety.steady import Steady, advance

LOG = logging.getLogger(__name__)

_FACTS = ("ovs_version", "db_version", "dpdk_initialized", "dpdk_version")

Callback = Callable[[str, str], None]

#: Seconds in which news collect before subscribers are told, in order and one by one.
LINGER = 0.003

#: Seconds more that the switch is waited for, for each further port of a batch: what one costs it
#: on a machine with much else to do, and a thousand ports there already.
PER_PORT = 0.15


class Ovsdb:
    """See :class:`vifd.drivers.Ovsdb`.

    Construction never waits: the server may come later, go, and come back. Reads are answered from
    the replica, which keeps its last content while there is no server; writes fail at once then.
    Callbacks come on one thread of their own and may use this object.

    :param remote: the server, e.g. ``unix:/var/run/openvswitch/db.sock``
    :param timeout: seconds after which a write is given up; whether the server carries it out
        later is unknown then
    """

    def __init__(self, remote: str, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._remote = remote
        self._replica = Replica()
        #: ports that were removed: the number of the configuration that has them no more
        self._released: dict[str, int] = {}
        #: the number when the first port was added
        self._first: int | None = None
        self._callbacks: tuple[Callback, ...] = ()
        self._news: queue.SimpleQueue[Iterable[tuple[str, str]] | None] = queue.SimpleQueue()
        self._teller = Steady(self._tell, "ovsdb-events")
        self._teller.start()
        self._connector = Connector(remote, timeout, self._replica, self._news.put)

    def ping(self, timeout: float) -> str:
        """See :class:`vifd.drivers.Ovsdb`."""
        return liveness.database(self._remote, timeout)

    def close(self) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        self._connector.close()
        self._news.put(None)
        self._teller.join(self._timeout)

    # Reading.

    def connected(self) -> bool:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._replica.connected

    def facts(self) -> dict[str, Any]:
        """See :class:`vifd.drivers.Ovsdb`; empty as long as no server was reached."""
        root = self._replica.root()
        if not root:
            return {}
        found: dict[str, Any] = {name: root.get(name) for name in _FACTS}
        for name in ("datapath_types", "iface_types"):
            found[name] = sorted(root.get(name, ()))
        found["other_config"] = dict(root.get("other_config", {}))
        found["external_ids"] = dict(root.get("external_ids", {}))
        found["system_id"] = found["external_ids"].get("system-id")
        return found

    def bridge(self, name: str) -> Bridge | None:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._replica.bridge(name)

    def bridges(self) -> list[str]:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._replica.bridges()

    def ports(self, bridge: str) -> list[PortRow]:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._replica.ports(bridge)

    def port(self, name: str) -> PortRow | None:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._replica.port(name)

    def port_with(self, interface: str) -> PortRow | None:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._replica.port_with(interface)

    def wait_ports(self, names: Sequence[str], timeout: float) -> dict[str, PortRow]:
        """See :class:`vifd.drivers.Ovsdb`.

        :raises BackendError: a port is not in the database
        :raises BackendUnavailable: the switch has not decided on another one for so long
        """
        found: dict[str, PortRow] = {}

        def look() -> int | None:
            """How many more it has decided on."""
            more = {n: r for n in names if n not in found and decided(r := self._present(n))}
            found.update(more)
            return len(more) or None

        # A switch decides on many at once, or on one after the other: many take longer than a few.
        while left := len(set(names)) - len(found):
            advance()
            patience = timeout + PER_PORT * (left - 1)
            if self._replica.wait(look, patience) is None:
                late = [name for name in names if name not in found]
                raise undecided(late, patience)
        return found

    def _present(self, name: str) -> PortRow:
        row = self._replica.port(name)
        if row is None:
            raise BackendError(facts={"backend": "ovsdb", "problem": f"there is no port {name}"})
        return row

    def subscribe(self, callback: Callback) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        self._callbacks = (*self._callbacks, callback)

    def _tell(self) -> None:
        while (news := self._news.get()) is not None:
            # a port makes five pieces of news in a few milliseconds: one wake for all of them
            time.sleep(LINGER)
            for kind, name in news:
                for callback in self._callbacks:
                    try:
                        callback(kind, name)
                    except Exception:
                        LOG.exception("a subscriber to ovsdb failed on %s %r", kind, name)

    # Writing.

    def ensure_bridge(
        self,
        name: str,
        *,
        datapath_type: str,
        fail_mode: str,
        protocols: Sequence[str],
        external_ids: Mapping[str, str],
    ) -> bool:
        """See :class:`vifd.drivers.Ovsdb`."""
        backend = self._backend()
        command = commands.EnsureBridge(
            backend, name, datapath_type, fail_mode, protocols, external_ids
        )
        return bool(self._commit(backend, command))

    def set_fail_mode(self, name: str, mode: str) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        backend = self._backend()
        self._commit(backend, commands.SetFailMode(backend, name, mode))

    def delete_bridge(self, name: str) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        backend = self._backend()
        self._commit(backend, commands.DeleteBridge(backend, name))

    def ensure_ports(self, bridge: str, specs: Sequence[PortSpec]) -> None:
        """See :class:`vifd.drivers.Ovsdb`.

        :raises ValueError: a name occurs twice
        """
        if len({spec.name for spec in specs}) != len(specs):
            raise ValueError("a name occurs twice in one batch of ports")
        backend = self._backend()
        self._let_go([spec.name for spec in specs])
        self._commit(backend, commands.EnsurePorts(backend, bridge, specs))

    def delete_ports(self, bridge: str, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        backend = self._backend()
        command = commands.DeletePorts(backend, bridge, names)
        self._commit(backend, command)
        if (number := command.number) is not None:
            self._released.update(dict.fromkeys(names, number))

    def _let_go(self, names: Sequence[str]) -> None:
        """Wait until the switch has carried out the removal of ports that are added again.

        One that is slow would see both at once, take the new port for the old one, and go on with a
        device that is gone: such a port looks healthy, and passes nothing.

        :raises BackendUnavailable: it has not in time
        """
        done, asked = self._numbers()
        if self._first is None:
            self._first = asked
        # a larger number than was ever asked for is one of a database that was wiped since
        self._released = {n: k for n, k in self._released.items() if done < k <= asked}
        new = [name for name in names if self._replica.port(name) is None]
        # who removed a port before this process began is not known, only that it is not done
        waiting = dict.fromkeys(new, min(self._first, asked))
        waiting |= {name: self._released[name] for name in names if name in self._released}
        last = max(waiting.values(), default=0)
        if last > done:
            look = lambda: True if self._numbers()[0] >= last else None  # noqa: E731 - a condition
            if self._replica.wait(look, self._timeout) is None:
                raise undecided(list(waiting), self._timeout)

    def _numbers(self) -> tuple[int, int]:
        """The configurations that the switch has carried out, and shall carry out."""
        root = self._replica.root()
        return int(root.get("cur_cfg") or 0), int(root.get("next_cfg") or 0)

    def set_external_ids(self, values: Mapping[str, Mapping[str, str | None]]) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        backend = self._backend()
        self._commit(backend, commands.SetExternalIds(backend, values))

    def _backend(self) -> Backend:
        backend = self._connector.backend
        if backend is None or not self._replica.connected:
            problem = self._connector.problem if backend is None else "the connection was lost"
            raise unavailable(f"{self._remote}: {problem}")
        return backend

    def _commit(self, backend: Backend, command: commands.Command) -> Any:
        # The base class on purpose: the one for Open vSwitch keeps the connection's thread until
        # the switch has acted, and only logs what failed.
        transaction = Transaction(
            backend, backend.ovsdb_connection, self._timeout, check_error=True, log_errors=False
        )
        transaction.add(command)
        advance()
        try:
            transaction.commit()
        except VifError:
            raise
        except TimeoutException:
            # its text is the whole transaction
            raise unavailable(f"no answer within {self._timeout:g} s") from None
        except Exception as error:
            facts = {"backend": "ovsdb", "problem": str(error)}
            raise BackendError(facts=facts, stage="ovsdb") from error
        return command.result
