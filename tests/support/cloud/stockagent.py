"""The stock agent of the same release, on a switch of the test's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from support.cloud import places
from support.cloud.child import Child
from support.cloud.server import Cloud, written
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

_AS_ROOT = places.ROOT / "tests/fullstack/bin/as-root"


class StockAgent:
    """neutron-openvswitch-agent.

    :param home: its configuration and log
    :param options: by group, over its own
    """

    def __init__(
        self, home: Path, cloud: Cloud, ovs: PrivateOvs, host: str,
        options: Mapping[str, Mapping[str, object]],
    ) -> None:  # fmt: skip
        self.home = home
        self._ovs = ovs
        self._child: Child | None = None
        groups: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "host": host, "transport_url": cloud.broker.url, "state_path": home,
                "debug": True, "log_file": home / "agent.log",
            },
            "oslo_concurrency": {"lock_path": home / "lock"},
            "agent": {"root_helper": _AS_ROOT, "report_interval": 10},
            "ovs": {"ovsdb_connection": ovs.db, "datapath_type": "netdev"},
            "securitygroup": {"firewall_driver": "noop"},
        }  # fmt: skip
        for group, values in options.items():
            groups.setdefault(group, {}).update(values)
        home.mkdir(parents=True, exist_ok=True)
        self.conf = home / "agent.conf"
        self.conf.write_text(written(groups))

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._child is not None
        return self._child.pid

    @property
    def log(self) -> str:
        """What it logged so far, over all its lives."""
        path = self.home / "agent.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def rest(self, timeout: float) -> None:
        """Wait until it has been through all of its work twice: what it is told of by then is done,
        and nothing is begun and not ended, as it changes flows in steps."""
        began = len(self.log)
        until(lambda: self.log[began:].count("completed. Processed ports") > 2, "it rests", timeout)

    def start(self) -> None:
        """Start it and wait for nothing."""
        told = {
            "PYTHONWARNINGS": "ignore", "OVS_RUNDIR": str(self._ovs.rundir),
            "PATH": f"{places.VENV / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        }  # fmt: skip
        argv: list[str | Path] = [
            places.VENV / "bin/neutron-openvswitch-agent",
            "--config-file",
            self.conf,
        ]
        self._child = Child(argv, self.home / "out", told)

    def kill(self) -> None:
        """End it at once: it does not listen to SIGTERM."""
        if self._child is not None:
            self._child.kill()
            self._child = None
