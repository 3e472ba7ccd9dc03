"""OVN of one's own beside a private Open vSwitch: its databases, ovn-northd, ovn-controller.

The programs are those of Debian's packages, unpacked by ``tools/bootstrap`` and not installed; an
installed OVN is taken where there is one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from vifd.testing.sandbox import Daemon, PrivateOvs, program
from vifd.testing.wait import PATIENCE, until

_TREE = Path(sys.prefix) / "ovn"


def lacking() -> str | None:
    """Why there is no OVN to test with; ``None`` where there is one."""
    missing = [name for name in ("ovn-northd", "ovn-controller") if _find(name) is None]
    if _schema("nb") is None:
        missing.append("the schemas of its databases")
    return f"no {', '.join(missing)} (tools/bootstrap fetches them)" if missing else None


def _find(name: str) -> str | None:
    unpacked = _TREE / "usr/bin" / name
    return str(unpacked) if unpacked.exists() else shutil.which(name)


def _schema(which: str) -> Path | None:
    for root in (_TREE / "usr/share/ovn", Path("/usr/share/ovn")):
        if (path := root / f"ovn-{which}.ovsschema").exists():
            return path
    return None


class Central:
    """OVN's two databases and ovn-northd.

    :param directory: short: sockets are put there
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._env = {**os.environ, "OVN_RUNDIR": str(directory), "OVS_RUNDIR": str(directory)}
        self.north, self.south = (self._database(which) for which in ("nb", "sb"))
        databases = [f"--ovn{which}-db=unix:{directory}/{which}.sock" for which in ("nb", "sb")]
        self.northd = self._daemon("ovn-northd", databases, f"{directory}/ovn-northd.{{pid}}.ctl")

    def _database(self, which: str) -> Daemon:
        file, socket = self.directory / f"{which}.db", self.directory / f"{which}.sock"
        subprocess.run(
            [program("ovsdb-tool") or "", "create", str(file), str(_schema(which))],
            check=True, capture_output=True,
        )  # fmt: skip
        argv = [str(file), f"--remote=punix:{socket}", f"--unixctl={self.directory}/{which}.ctl"]
        return self._daemon("ovsdb-server", argv, str(socket), which)

    def _daemon(self, name: str, arguments: list[str], ready: str, label: str = "") -> Daemon:
        label = label or name
        log = self.directory / f"{label}.log"
        argv = [
            _find(name) or program(name) or name, *arguments,
            f"--pidfile={self.directory}/{label}.pid", "--overwrite-pidfile", f"--log-file={log}",
            "--no-chdir", "-vconsole:off", "-vsyslog:off",
        ]  # fmt: skip
        daemon = Daemon(label, argv, self._env, ready, self.directory / f"{label}.out")
        daemon.log = log
        return daemon

    @property
    def remote(self) -> str:
        """Where the southbound database is."""
        return f"unix:{self.directory}/sb.sock"

    def start(self) -> None:
        """Start what does not run."""
        for daemon in (self.north, self.south, self.northd):
            daemon.start()

    def stop(self) -> None:
        """Stop all of it: no control plane is left."""
        for daemon in (self.northd, self.south, self.north):
            daemon.stop()

    def close(self) -> None:
        """Stop it for good."""
        for daemon in (self.northd, self.south, self.north):
            daemon.close()

    def nbctl(self, *arguments: str) -> str:
        """``ovn-nbctl`` on the northbound database."""
        return self._tool("ovn-nbctl", "nb", arguments)

    def sbctl(self, *arguments: str) -> str:
        """``ovn-sbctl`` on the southbound database."""
        return self._tool("ovn-sbctl", "sb", arguments)

    def _tool(self, name: str, which: str, arguments: tuple[str, ...]) -> str:
        argv = [_find(name) or name, f"--db=unix:{self.directory}/{which}.sock", *arguments]
        done = subprocess.run(
            argv, env=self._env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def switch(self, name: str, *ports: tuple[str, str, str]) -> None:
        """A logical switch with its ports: id, MAC address, IP address."""
        self.nbctl("ls-add", name)
        for port, mac, address in ports:
            self.nbctl("lsp-add", name, port)
            self.nbctl("lsp-set-addresses", port, f"{mac} {address}")
            self.nbctl("lsp-set-port-security", port, f"{mac} {address}")


class Chassis:
    """An Open vSwitch whose integration bridge belongs to an ovn-controller."""

    def __init__(self, ovs: PrivateOvs, remote: str, name: str, encap_ip: str) -> None:
        self.ovs = ovs
        self.rundir = ovs.rundir
        settings = {
            "system-id": name, "ovn-remote": remote, "ovn-encap-type": "geneve",
            "ovn-encap-ip": encap_ip, "ovn-bridge-datapath-type": "netdev",
        }  # fmt: skip
        self.tell(**{key.replace("-", "_"): value for key, value in settings.items()})
        env = {**ovs.env, "OVN_RUNDIR": str(self.rundir)}
        log = self.rundir / "ovn-controller.log"
        argv = [
            _find("ovn-controller") or "", f"unix:{ovs.socket}",
            f"--pidfile={self.rundir}/ovn-controller.pid", "--overwrite-pidfile",
            f"--log-file={log}", "--no-chdir", "-vconsole:off", "-vsyslog:off",
        ]  # fmt: skip
        ready = f"{self.rundir}/ovn-controller.{{pid}}.ctl"
        self.controller = Daemon("ovn-controller", argv, env, ready, self.rundir / "ovn.out")
        self.controller.log = log

    def tell(self, **ids: str) -> None:
        """Set external ids of the Open_vSwitch row; ``_`` stands for ``-``."""
        for key, value in ids.items():
            self.ovs.vsctl(
                "--no-wait", "set", "Open_vSwitch", ".",
                f"external_ids:{key.replace('_', '-')}={json.dumps(value)}",
            )  # fmt: skip

    def start(self) -> None:
        """Start ovn-controller, and wait until its bridge is there."""
        self.controller.start()
        until(lambda: "br-int" in self.ovs.bridges(), "ovn-controller made its bridge")

    def options(self) -> dict[str, dict[str, Any]]:
        """What a daemon of vifd on this host is told."""
        return {"ovn": {"rundir": self.rundir}}

    def close(self) -> None:
        """Stop it for good."""
        self.controller.close()
