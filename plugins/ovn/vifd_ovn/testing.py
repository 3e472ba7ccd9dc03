"""What the contract suite must know of the OVN plugin, and an ovn-controller that is a fake."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vifd.drivers import Drivers
from vifd.openflow import action as act
from vifd.openflow.flow import Flow, flow
from vifd.plugin import VifPlugin
from vifd.testing.openflow import FakeOpenFlow
from vifd.testing.ovsdb import FakeOvsdb
from vifd.testing.profile import Profile as Base
from vifd_ovn.controller import CONNECTED, DAEMON
from vifd_ovn.marks import GATE, INSTALLED, INSTALLED_AT
from vifd_ovs.bridge.chassis import BRIDGE

#: What a chassis is told, as ovs-vsctl would write it.
SETTINGS = {
    "system-id": "here",
    "ovn-remote": "unix:/nonexistent/sb.sock",
    "ovn-encap-type": "geneve",
    "ovn-encap-ip": "192.0.2.10",
}
#: OVN takes a row's id for the cookie.
_COOKIE = 0x5EED


class FakeController:
    """Wires what names a logical port, and lets go of what does not, as ovn-controller does.

    :ivar hasty: it says that a port is installed before its flows are there
    """

    def __init__(self, ovsdb: FakeOvsdb, openflow: FakeOpenFlow) -> None:
        self._ovsdb = ovsdb
        self._openflow = openflow
        self._flows: dict[str, Flow] = {}
        self.running = True
        self.hasty = False
        ovsdb.root["external_ids"] = dict(SETTINGS)
        ovsdb.ensure_bridge(
            BRIDGE, datapath_type="netdev", fail_mode="secure", protocols=("OpenFlow14",),
            external_ids={},
        )  # fmt: skip
        ovsdb.subscribe(self._changed)

    def stop(self) -> None:
        """End; what was wired stays wired."""
        self.running = False

    def start(self) -> None:
        """Look at everything anew."""
        self.running = True
        for name in [*self._flows, *(row.name for row in self._ovsdb.ports(BRIDGE))]:
            self._changed("port", name)

    def _changed(self, kind: str, name: str) -> None:
        if kind != "port" or not self.running:
            return
        row = self._ovsdb.port(name)
        wired = row is not None and GATE in row.external_ids and (row.ofport or 0) > 0
        wanted = _classify(row.ofport or 0) if row is not None and wired else None
        if self.hasty:
            wanted = None
        have = self._flows.get(name)
        if have != wanted:
            self._replace(name, have, wanted)
        if row is not None and wired and row.external_ids.get(INSTALLED) != "true":
            said = {INSTALLED: "true", INSTALLED_AT: "1"}
            self._ovsdb.set_external_ids({name: said})
        elif row is not None and not wired and INSTALLED in row.external_ids:
            self._ovsdb.set_external_ids({name: {INSTALLED: None, INSTALLED_AT: None}})

    def _replace(self, name: str, have: Flow | None, wanted: Flow | None) -> None:
        self._flows.pop(name, None)
        if wanted is not None:
            self._flows[name] = wanted
        self._openflow.apply(BRIDGE, add=[wanted] if wanted else [], delete=[have] if have else [])


def _classify(number: int) -> Flow:
    return flow(0, 100, _COOKIE, [act.set_field("reg14", number)], in_port=number)


class Answering(socketserver.ThreadingUnixStreamServer):
    """A unix socket that answers one question in JSON-RPC, as often as somebody connects.

    :param answer: the result of a method with its parameters
    """

    daemon_threads = True

    def __init__(self, path: Path, answer: Callable[[str, list[Any]], object]) -> None:
        self.answer = answer
        super().__init__(str(path), _Asked)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the socket up."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        Path(str(self.server_address)).unlink(missing_ok=True)


class _Asked(socketserver.BaseRequestHandler):
    server: Answering

    def handle(self) -> None:
        request = json.loads(self.request.recv(65536))
        result = self.server.answer(request["method"], request["params"])
        answer = {"id": request["id"], "result": result, "error": None}
        self.request.sendall(json.dumps(answer).encode())


class Southbound:
    """OVN's southbound database with the rows that a test puts into it.

    :ivar rows: by table
    """

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"Port_Binding": [], "Chassis": []}
        self._server = Answering(path, self._transact)

    def _transact(self, _method: str, params: list[Any]) -> object:
        operation = params[1]
        column, _, value = operation["where"][0]
        rows = [row for row in self.rows[operation["table"]] if row.get(column) == value]
        return [{"rows": rows}]

    def close(self) -> None:
        """Go away."""
        self._server.close()


class Profile(Base):
    """A host of fakes with an ovn-controller on it."""

    bridges = (BRIDGE,)

    def __init__(self, cls: type[VifPlugin]) -> None:
        super().__init__(cls)
        self._directory = tempfile.TemporaryDirectory(prefix="ovn-")
        self._socket = control_socket(Path(self._directory.name))
        self.options = {"rundir": self._directory.name}

    def close(self) -> None:
        """Give the control socket up."""
        self._socket.close()
        self._directory.cleanup()

    @contextlib.contextmanager
    def prepared(self, drivers: Drivers) -> Iterator[None]:
        """Make the host a chassis."""
        if isinstance(drivers.ovsdb, FakeOvsdb) and isinstance(drivers.openflow, FakeOpenFlow):
            FakeController(drivers.ovsdb, drivers.openflow)
        yield


def control_socket(rundir: Path, says: str = CONNECTED) -> Answering:
    """ovn-controller's control socket, with a pid file that leads to it."""
    pid = os.getpid()
    (rundir / f"{DAEMON}.pid").write_text(f"{pid}\n")
    return Answering(rundir / f"{DAEMON}.{pid}.ctl", lambda _method, _params: says)
