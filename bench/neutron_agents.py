"""The two that are held against each other in ``bench/neutron.py``: vifd and the stock agent.

Each has a host of its own; the devices of both lie in one network namespace, on one switch.
"""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from time import monotonic
from typing import Protocol

from support.cloud.server import Cloud
from support.cloud.stockagent import StockAgent
from support.cloud.vifdhost import VifdHost
from vifd.testing.sandbox import PrivateOvs

#: Security groups: none, or by flows.
FIREWALLS = ("noop", "openvswitch")
#: What vifd logs when it has read the server.
READ = "ports are bound here; read in"


class Contender(Protocol):
    """An agent on its host.

    :ivar bridge: the integration bridge
    :ivar home: its directory, which every process of it is started with
    """

    name: str
    home: str
    bridge: str
    physical: str
    host: str
    ovs: PrivateOvs

    def start(self) -> None:
        """Start it and wait for nothing more than that it runs."""

    def kill(self) -> None:
        """End it as a crash would."""

    def root(self) -> int:
        """The process that began it."""

    def settled(self, ports: int) -> bool:
        """Whether what stood on the host when it was started is as wanted again."""

    def heard_of(self, ports: list[str]) -> bool:
        """Whether the service has told it of these ports, where it says so."""

    def log(self) -> str:
        """What it logged so far."""


class Stock:
    """neutron-openvswitch-agent."""

    name = "stock"

    def __init__(self, home: Path, cloud: Cloud, ovs: PrivateOvs, firewall: str) -> None:
        self.ovs, self.host, self.home = ovs, f"stock-{firewall}", str(home)
        self.bridge, self.physical = f"br-is-{firewall[:2]}", f"br-ps-{firewall[:2]}"
        bridges(self)
        self._agent = StockAgent(home, cloud, ovs, self.host, {
            "ovs": named(self), "securitygroup": {"firewall_driver": firewall},
            "DEFAULT": {"debug": False},
        })  # fmt: skip
        self._read = 0

    def start(self) -> None:
        self._read = len(self._agent.log)
        self._agent.start()

    def kill(self) -> None:
        self._agent.kill()

    def root(self) -> int:
        return self._agent.pid

    def settled(self, ports: int) -> bool:
        # Stale flows are looked for where there are ports, after all of them were wired.
        last = "cleanup stale flows" if ports else "iteration:0 completed"
        return last in self._agent.log[self._read :]

    def heard_of(self, ports: list[str]) -> bool:
        return True

    def log(self) -> str:
        return self._agent.log


class Vifd:
    """The daemon."""

    name = "vifd"

    def __init__(self, home: Path, cloud: Cloud, ovs: PrivateOvs, firewall: str) -> None:
        self.ovs, self.host, self.home = ovs, f"vifd-{firewall}", str(home)
        self.bridge, self.physical = f"br-iv-{firewall[:2]}", f"br-pv-{firewall[:2]}"
        bridges(self)
        self._host = VifdHost(home, cloud, ovs, self.host, {
            "network_neutron": {
                "security_groups": str(firewall != "noop").lower(), "rpc_timeout": 60,
                "report_interval": 10,
            },
            "ovs": {"create_bridge": "false", **named(self)},
        })  # fmt: skip

    def start(self) -> None:
        self._read = len(self._host.vifd.log)
        self._host.vifd.start()

    def kill(self) -> None:
        self._host.vifd.kill()

    def root(self) -> int:
        pid = self._host.vifd.process.pid
        assert pid is not None
        return pid

    def settled(self, ports: int) -> bool:
        found = self._host.vifd.call("GET", "/v1/status")[1]
        if not found.get("ready") or READ not in self._host.vifd.log[self._read :]:
            return False
        known = self._host.vifd.get("/v1/ports")["ports"]
        return bool(sum(port["phase"] == "LIVE" for port in known) >= ports)

    def heard_of(self, ports: list[str]) -> bool:
        return all(map(self._host.phase, ports))

    def log(self) -> str:
        return self._host.vifd.log


class FlowWatch:
    """When flows of a bridge changed, as the switch tells it: nobody has to ask again and again.

    :ivar first: by number of a port, when its first flow came
    :ivar last: when a flow changed last
    """

    def __init__(self, ovs: PrivateOvs, bridge: str) -> None:
        self.first: dict[int, float] = {}
        self.last = 0.0
        self._process = subprocess.Popen(
            ["ovs-ofctl", "monitor", f"unix:{ovs.rundir}/{bridge}.mgmt", "--no-names", "watch:"],
            env={"OVS_RUNDIR": str(ovs.rundir), "PATH": "/usr/bin:/usr/sbin:/bin:/sbin"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def forget(self) -> None:
        """What comes from now on counts."""
        self.first.clear()

    def lives(self) -> bool:
        """:raises AssertionError: the switch has cut it off"""
        assert self._process.poll() is None, "the monitor of flows has ended"
        return True

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "event=" not in line:
                continue
            now = self.last = monotonic()
            if "event=DELETED" not in line:
                for number in re.findall(r"in_port=(\d+)", line):
                    self.first.setdefault(int(number), now)


def named(contender: Stock | Vifd) -> dict[str, object]:
    """The same two options in the same words for both."""
    return {
        "integration_bridge": contender.bridge,
        "bridge_mappings": f"physnet1:{contender.physical}",
    }


def bridges(contender: Stock | Vifd) -> None:
    """Both bridges, as a deployment tool leaves them."""
    for name in (contender.bridge, contender.physical):
        contender.ovs.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")
