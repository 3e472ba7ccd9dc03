"""Neutron's server with its broker and database, and the API as a test asks it."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.cloud import places
from support.cloud.broker import Broker
from support.cloud.child import Child
from support.cloud.database import Database
from vifd.testing.wait import until

#: Seconds in which API and RPC server are up on a busy machine; alone it takes 15 to 30.
PATIENCE = 240.0
NAME = "neutron"

_POLICY = """\
create_port:binding:host_id: ""
create_port:binding:profile: ""
update_port:binding:host_id: ""
update_port:binding:profile: ""
get_port:binding:vif_details: ""
get_port_binding: ""
create_port_binding: ""
delete_port_binding: ""
activate: ""
"""


class Cloud:
    """RabbitMQ, MariaDB, the API and the RPC server.

    :param home: a directory with a short name, for the sockets in it
    :param options: by group, added to the server's own
    :param port: of the API
    :param shift: added to the ports of broker and database, for one beside another
    :param venv: the environment of the release that is to run
    """

    def __init__(
        self,
        home: Path,
        options: Mapping[str, Mapping[str, object]] | None = None,
        port: int = 9696,
        shift: int = 0,
        venv: Path = places.VENV,
    ) -> None:
        self.home = home
        self.port = port
        self.venv = venv
        self.broker = Broker(home / "q", 5672 + shift)
        self.database = Database(home / "d", 3306 + shift)
        self.conf = home / "neutron.conf"
        self._options = options or {}
        self._child: Child | None = None

    # --- its life ---

    def start(self) -> None:
        """Start all of it, and wait until the API answers and the RPC server consumes."""
        self.broker.start()
        self.database.start()
        self.database.sql(f"create database if not exists {NAME}")
        self.database.grant(NAME)
        self._write()
        self._schema()
        self.start_server()

    def start_server(self) -> None:
        """Start API and RPC server alone."""
        argv: list[str | Path] = [
            self.venv / "bin/python", Path(__file__).with_name("neutron_server.py"),
            "--log-dir", self.home, "--log-file", "neutron-server.log", "--config-file", self.conf,
        ]  # fmt: skip
        self._child = Child(argv, self.home / "server.out", {"PYTHONWARNINGS": "ignore"})
        until(self._is_up, "the API answers and RPC is served", PATIENCE, self.told)

    def stop_server(self) -> None:
        """End API and RPC server."""
        if self._child is not None:
            self._child.terminate()
            self._child = None

    def stop(self) -> None:
        """End all of it."""
        self.stop_server()
        self.broker.stop()
        self.database.stop()

    def told(self) -> str:
        """The last of what the server said, for a test that fails."""
        logs = [self.home / f"{name}.log" for name in ("api", "rpc")]
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())

    # --- the API ---

    def call(self, method: str, path: str, body: Any = None, within: float = 240.0) -> Any:
        """A request to the API; its answer decoded.

        :raises Refused: an answer that is no success
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v2.0/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=within) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text else None

    def make(self, kind: str, **fields: Any) -> Any:
        """Make a resource: ``port``, ``network``, ``subnet``…"""
        return self.call("POST", f"{_plural(kind)}", {kind: fields})[kind]

    def show(self, kind: str, id_: str) -> Any:
        """A resource."""
        return self.call("GET", f"{_plural(kind)}/{id_}")[kind]

    def change(self, kind: str, id_: str, **fields: Any) -> Any:
        """A resource, changed."""
        return self.call("PUT", f"{_plural(kind)}/{id_}", {kind: fields})[kind]

    def remove(self, kind: str, id_: str) -> None:
        """Remove a resource."""
        self.call("DELETE", f"{_plural(kind)}/{id_}")

    def agent(self, host: str) -> Any:
        """The layer 2 agent of a host, or None."""
        found = self.call("GET", f"agents?host={host}")["agents"]
        return next((a for a in found if a["binary"] == "neutron-openvswitch-agent"), None)

    def status(self, port_id: str) -> str:
        """A port's status."""
        return str(self.show("port", port_id)["status"])

    def ports(self, network_id: str) -> Any:
        """The ports of a network, by id."""
        found = self.call("GET", f"ports?network_id={network_id}")["ports"]
        return {port["id"]: port for port in found}

    # --- inside ---

    def _is_up(self) -> bool:
        assert self._child is not None
        self._child.lives()
        try:
            self.call("GET", "networks", within=20)
        except Refused as error:
            # uwsgi goes on without what it shall serve.
            if "no python application" in self.told() or error.status < 500:
                raise
            return False
        except OSError:
            return False
        return "q-plugin" in self.broker.ctl("list_consumers", "queue_name").split()

    def _write(self) -> None:
        paste = next(
            p for p in (self.venv / f"{d}/neutron/api-paste.ini" for d in ("suite/etc", "etc"))
            if p.exists()
        )  # fmt: skip
        policy = self.home / "policy.yaml"
        policy.write_text(_POLICY)
        groups: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "bind_port": self.port, "core_plugin": "ml2",
                "service_plugins": "router,qos,trunk,log",
                "auth_strategy": "noauth", "state_path": self.home, "api_workers": 1,
                "transport_url": self.broker.url, "api_paste_config": paste,
                "rpc_workers": 1, "rpc_state_report_workers": 1, "agent_down_time": 30,
                "notify_nova_on_port_status_changes": False,
                "notify_nova_on_port_data_changes": False,
            },
            "database": {
                "connection": f"mysql+pymysql://{NAME}:{NAME}@127.0.0.1:{self.database.port}/{NAME}",
            },
            "oslo_concurrency": {"lock_path": self.home / "lock"},
            "oslo_policy": {"policy_file": policy},
            "ml2": {
                "tenant_network_types": "vlan", "extension_drivers": "port_security,qos",
                "mechanism_drivers": "vifd,openvswitch,l2population",
            },
            "ml2_type_flat": {"flat_networks": "*"},
            "ml2_type_vlan": {"network_vlan_ranges": "physnet1:100:999,physnet2:100:999"},
            "ml2_type_vxlan": {"vni_ranges": "1001:1999"},
            "ml2_type_gre": {"tunnel_id_ranges": "2001:2999"},
            "quotas": {"quota_port": -1, "quota_network": -1, "quota_security_group_rule": -1},
        }  # fmt: skip
        for group, values in self._options.items():
            groups.setdefault(group, {}).update(values)
        self.conf.write_text(written(groups))

    def _schema(self) -> None:
        if self.database.sql(f"show tables in {NAME}"):
            return
        if not self._dump.exists():
            self._make_schema()
        with self._dump.open("rb") as dump:
            argv = ["mariadb", "--no-defaults", "-uroot", "-S", str(self.database.socket), NAME]
            subprocess.run(argv, stdin=dump, check=True, timeout=PATIENCE)

    def _make_schema(self) -> None:
        """By the migrations, and kept for the next time."""
        done = subprocess.run(
            [self.venv / "bin/neutron-db-manage", "--config-file", self.conf, "upgrade", "heads"],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        dump = ["mariadb-dump", "--no-defaults", "-uroot", "-S", str(self.database.socket), NAME]
        text = subprocess.run(dump, capture_output=True, check=True, timeout=PATIENCE).stdout
        self.database.sql(f"drop database {NAME}; create database {NAME}")
        scratch = self._dump.with_suffix(".new")
        scratch.write_bytes(text)
        scratch.rename(self._dump)

    @property
    def _dump(self) -> Path:
        """The schema of the release, kept: making it by its migrations takes half a minute."""
        return self.venv / "schema.sql"


def written(groups: Mapping[str, Mapping[str, object]]) -> str:
    """A configuration file."""
    parts = []
    for group, values in groups.items():
        parts += [f"[{group}]", *(f"{name} = {value}" for name, value in values.items()), ""]
    return "\n".join(parts)


class Refused(AssertionError):
    """The API's answer is no success.

    :ivar status: of HTTP
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:2000]}")
        self.status = status


def _plural(kind: str) -> str:
    return {"policy": "policies"}.get(kind, f"{kind}s")
