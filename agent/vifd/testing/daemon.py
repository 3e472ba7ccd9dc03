"""A vifd of one's own: the real daemon as a child process, in a directory of the test's.

Together with :mod:`vifd.testing.sandbox` it is a whole host. It is spoken to through its API.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vifd.testing.sandbox import DATAPATH, Daemon, PrivateOvs
from vifd.testing.wait import PATIENCE, until

#: Options by group; the group ``DEFAULT`` first.
Options = Mapping[str, Mapping[str, object]]


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path | str, timeout: float = 3 * PATIENCE) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def config_text(options: Options) -> str:
    """An agent.conf with these options."""
    parts = []
    for group, values in options.items():
        parts.append(f"[{group}]")
        parts += [f"{name} = {value}" for name, value in values.items()]
    return "\n".join(parts) + "\n"


def sandbox_options(directory: Path, ovs: PrivateOvs) -> dict[str, dict[str, object]]:
    """The options of a daemon that keeps to a directory and a private switch."""
    return {
        "DEFAULT": {"state_path": directory / "state", "log_file": directory / "vifd.log"},
        "api": {"socket": directory / "vifd.sock"},
        "openvswitch": {"ovsdb_connection": ovs.db, "rundir": ovs.rundir},
        "ovs": {
            "integration_bridge": "br-int",
            "datapath_type": DATAPATH,
            "port_timeout": PATIENCE,
        },
        "vhostuser": {"port_timeout": PATIENCE},
        # tests play other programs, which change rules
        "nftables": {"hold_tables": "false"},
        # not the libvirt of the machine
        "libvirt": {"enabled": "false"},
    }


class Vifd:
    """The daemon in a directory: its configuration, journal, log and socket are there.

    As a context manager it is started, waited for, and stopped.

    :param directory: made if it is missing; keep its path short, a socket is put there
    :param options: added to, and taken over, those of :func:`sandbox_options`
    """

    def __init__(self, directory: Path, ovs: PrivateOvs, options: Options | None = None) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.options = sandbox_options(directory, ovs)
        self.configure(options or {})
        argv = [sys.executable, "-m", "vifd.main", "--config-file", str(self.config)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # one that is installed has its byte code: to compile is half of what a start computes
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        self.process = Daemon("vifd", argv, env, str(self.socket), directory / "vifd.out")
        self.process.log = self.log_file

    @property
    def socket(self) -> Path:
        """The socket of the API."""
        return self.directory / "vifd.sock"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "agent.conf"

    @property
    def log_file(self) -> Path:
        """Where it logs."""
        return self.directory / "vifd.log"

    @property
    def log(self) -> str:
        """What the daemon logged so far."""
        path = self.log_file
        return path.read_text(errors="replace") if path.exists() else ""

    def configure(self, options: Options) -> None:
        """Change options in the file; a running daemon takes them after SIGHUP or a restart."""
        for group, values in options.items():
            self.options.setdefault(group, {}).update(values)
        self.config.write_text(config_text(self.options))

    def start(self, timeout: float = PATIENCE) -> None:
        """Start it and wait until the API answers."""
        self.process.start(timeout)

    def ready(self, timeout: float = PATIENCE) -> None:
        """Wait until it is ready: every port of the journal is proven or has its error."""
        until(lambda: self.get("/v1/status").get("ready"), "vifd is ready", timeout)

    def stop(self) -> None:
        """End it in an orderly way."""
        self.process.stop(PATIENCE)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()

    def close(self) -> None:
        """Stop it for good."""
        self.process.close()

    def __enter__(self) -> Vifd:
        try:
            self.start()
            self.ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # what a test that fails leaves would be in the way of those that follow
            with contextlib.suppress(Exception):
                self.clear()
        self.close()

    # --- the API ---

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One call: the HTTP status and the decoded answer (``None`` if empty)."""
        connection = UnixConnection(self.socket)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(raw) if raw else None

    def get(self, path: str) -> Any:
        """What a GET answers; anything but 200 raises."""
        status, answer = self.call("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {answer}")
        return answer

    def plug(self, document: Mapping[str, Any], timeout: float = PATIENCE) -> tuple[int, Any]:
        """PUT a document and wait until the port is active or has failed."""
        port = document["port"]["id"]
        return self.call("PUT", f"/v1/ports/{port}?wait=active&timeout={timeout:g}", document)

    def unplug(self, port: str, timeout: float = PATIENCE) -> tuple[int, Any]:
        """DELETE a port and wait until it is gone."""
        return self.call("DELETE", f"/v1/ports/{port}?wait=gone&timeout={timeout:g}")

    def clear(self, timeout: float = PATIENCE) -> None:
        """Remove every port it has, and raise if one stays: it would be in the next test's way."""
        ids = [port["id"] for port in self.get("/v1/ports")["ports"]]
        if not ids:
            return
        path = f"/v1/ports:unplug?wait=gone&timeout={timeout:g}"
        status, answer = self.call("POST", path, {"ids": ids})
        if status != 200 or any(item["status"] != 204 for item in answer["ports"]):
            raise RuntimeError(f"ports stay: {status} {answer}")
