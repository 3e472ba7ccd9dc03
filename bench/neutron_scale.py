"""What a change costs one Neutron server and its bus, by the number of hosts that hear of it.

Drivers of vifd alone (``neutron_lone.py``) stand for hosts; beside them some stock agents on one
switch, counted by their own log. Needs root, and ``tools/neutron-env``. Prints a table; ``--keep``
writes it to ``bench/SCALE.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from support.cloud import places  # noqa: E402
from support.cloud.server import Cloud  # noqa: E402
from support.cloud.stockagent import StockAgent  # noqa: E402
from support.cloud.walker import Machine  # noqa: E402
from vifd.testing import netns  # noqa: E402
from vifd.testing.sandbox import PrivateOvs  # noqa: E402
from vifd.testing.wait import until  # noqa: E402

PATIENCE = 900.0
#: Where what a crowd cost stays.
KEPT = ROOT / "build/bench-scale"
#: Seconds without a message after which a change is over.
QUIET = 4.0
#: Seconds between two reports of a host: few fall into what is measured.
INTERVAL = 60
CALLED = re.compile(r"CALL msg_id: \S+ exchange '\w+' topic '(?!q-reports)")
HEARD = "received message"
HEAD = """\
# What a change costs a Neutron server, by hosts

{where}. Drivers of vifd alone (no switch, no journal), so many as stand in the table, then stock
agents with switches, on one server (Neutron 29, one API and one RPC worker), RabbitMQ and MariaDB.
`asked`: calls to the server; `heard`: messages that reached hosts; CPU seconds of server (API and
RPC), RabbitMQ and MariaDB; all of it per change, as the mean of {changes}. Reports that hosts are
alive fall into the time now and then: they are in CPU, and not among the calls.

"""


@dataclass(frozen=True)
class Count:
    """So much happened so far."""

    asked: int
    heard: int
    server: float
    broker: float
    database: float

    def since(self, before: Count, changes: int) -> list[float]:
        pairs = zip(vars(self).values(), vars(before).values(), strict=True)
        return [(now - then) / changes for now, then in pairs]


class Crowd(Protocol):
    """Hosts of one kind."""

    name: str
    hosts: list[str]

    def messages(self) -> tuple[int, int]:
        """Calls that were made, and messages that were heard, but for reports."""

    def ready(self) -> bool:
        """Whether every host has read the server."""

    def use(self, port: dict[str, Any], host: str) -> None:
        """Something uses a port."""

    def read(self) -> None:
        """Every host has a port now, of which it may not have been told."""

    def settled(self) -> bool:
        """Whether every host knows its port."""

    def close(self) -> None:
        """End."""


class Ours:
    """Drivers in processes."""

    name = "vifd"

    def __init__(self, cloud: Cloud, number: int, processes: int) -> None:
        self.hosts = [f"lone-{n}" for n in range(number)]
        each = number // processes
        argv = [sys.executable, str(Path(__file__).with_name("neutron_lone.py"))]
        self._children = [
            subprocess.Popen(
                [*argv, str(n * each), str(each), cloud.broker.url, str(INTERVAL)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for n in range(processes)
        ]  # fmt: skip

    def settled(self) -> bool:
        return sum(int(told["newest"]) for told in self._told()) == len(self.hosts)

    def read(self) -> None:
        self._told("read")

    def _told(self, word: str = "") -> list[dict[str, Any]]:
        answers = []
        for child in self._children:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{word}\n")
            child.stdin.flush()
            answers.append(json.loads(child.stdout.readline()))
        return answers

    def messages(self) -> tuple[int, int]:
        asked: Counter[str] = Counter()
        heard: Counter[str] = Counter()
        for told in self._told():
            asked.update(told["asked"])
            heard.update(told["heard"])
        del asked["report_state"]
        return asked.total(), heard.total() - heard["vifd_echo"]

    def ready(self) -> bool:
        return sum(int(str(told["ready"])) for told in self._told()) == len(self.hosts)

    def use(self, port: dict[str, Any], host: str) -> None:
        """A lone host uses whatever is bound to it."""

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()


class Stock:
    """Stock agents, each with bridges of its own on one switch."""

    name = "stock"

    def __init__(self, cloud: Cloud, number: int, home: Path, ovs: PrivateOvs) -> None:
        self.hosts = [f"stock-{n}" for n in range(number)]
        self._ovs = ovs
        self._machines: dict[str, Machine] = {}
        self._agents = []
        for n, host in enumerate(self.hosts):
            for bridge in (f"br-i{n}", f"br-p{n}"):
                ovs.vsctl("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
            self._agents.append(StockAgent(home / host, cloud, ovs, host, {
                "DEFAULT": {"default_log_levels": "oslo_messaging=DEBUG,amqp=WARN"},
                "ovs": {
                    "integration_bridge": f"br-i{n}", "bridge_mappings": f"physnet1:br-p{n}",
                    # All are in one network namespace.
                    "of_listen_port": 6700 + n,
                },
                "agent": {"report_interval": INTERVAL},
                "securitygroup": {"firewall_driver": "openvswitch"},
            }))  # fmt: skip
            self._agents[-1].start()

    def messages(self) -> tuple[int, int]:
        logs = [agent.log for agent in self._agents]
        return sum(len(CALLED.findall(x)) for x in logs), sum(x.count(HEARD) for x in logs)

    def ready(self) -> bool:
        return all("iteration:0 completed" in agent.log for agent in self._agents)

    def read(self) -> None:
        """It heard of its port."""

    def settled(self) -> bool:
        return True

    def use(self, port: dict[str, Any], host: str) -> None:
        bridge, id_ = f"br-i{self.hosts.index(host)}", str(port["id"])
        fixed: list[dict[str, str]] = port["fixed_ips"]
        self._machines[id_] = Machine(
            self._ovs, bridge, id_, f"m{id_[:8]}", str(port["mac_address"]), fixed[0]["ip_address"]
        )

    def close(self) -> None:
        for machine in self._machines.values():
            machine.close()
        for agent in self._agents:
            agent.kill()


class Scale:
    """One crowd on the server."""

    def __init__(self, cloud: Cloud, network: str, crowd: Crowd) -> None:
        self.cloud, self.network, self.crowd = cloud, network, crowd
        self.rows: list[str] = []
        self._last = (0, 0)
        self._changed = 0.0

    def count(self) -> Count:
        mine = self.crowd.messages()
        return Count(*mine, *(_cpu(tree) for tree in _trees(self.cloud)))

    def quiet(self) -> bool:
        now = self.crowd.messages()
        if now != self._last:
            self._last, self._changed = now, monotonic()
        return monotonic() - self._changed > QUIET

    def row(self, what: str, changes: int, act: Callable[[int], object]) -> None:
        """Do something so many times, and note what each cost."""
        until(self.quiet, "nothing goes on", PATIENCE)
        before = self.count()
        for number in range(changes):
            act(number)
        self._changed = monotonic()
        until(self.quiet, what, PATIENCE)
        asked, heard, *cpu = self.count().since(before, changes)
        cells = [f"{asked:.1f}", f"{heard:.1f}", *(f"{seconds:.3f}" for seconds in cpu)]
        self.rows.append(f"| {self.crowd.name}, {len(self.crowd.hosts)}: {what} | "
                         + " | ".join(cells) + " |")  # fmt: skip
        print(self.rows[-1], flush=True)

    def port(self, number: int) -> dict[str, Any]:
        host = self.crowd.hosts[number % len(self.crowd.hosts)]
        made: dict[str, Any] = self.cloud.make("port", **self._wish(host))
        self.crowd.use(made, host)
        until(
            lambda: self.cloud.status(str(made["id"])) == "ACTIVE", "ACTIVE", PATIENCE,
            lambda: (self.cloud.show("port", str(made["id"])), self.crowd.messages()),
        )  # fmt: skip
        return made

    def _wish(self, host: str) -> dict[str, str]:
        return {
            "network_id": self.network, "binding:host_id": host, "device_owner": "compute:nova",
            "device_id": "x",
        }  # fmt: skip

    def run(self, changes: int) -> None:
        began = monotonic()
        until(self.crowd.ready, f"{self.crowd.name}: every host has read the server", PATIENCE)
        print(f"{self.crowd.name}: ready in {monotonic() - began:.0f} s", flush=True)
        hosts = self.crowd.hosts
        for start in range(0, len(hosts), 20):
            wishes = [self._wish(host) for host in hosts[start : start + 20]]
            for port in self.cloud.call("POST", "ports", {"ports": wishes})["ports"]:
                self.crowd.use(port, port["binding:host_id"])
        print(f"{self.crowd.name}: bound in {monotonic() - began:.0f} s", flush=True)
        self.crowd.read()
        until(self.crowd.settled, "every host knows its port", PATIENCE)
        print(f"{self.crowd.name}: settled in {monotonic() - began:.0f} s", flush=True)
        ports: list[dict[str, Any]] = []
        self.row("a port is bound and ACTIVE", changes, lambda n: ports.append(self.port(n)))
        self.row("a port gets another name", changes,
                 lambda n: self.cloud.change("port", ports[n]["id"], name=f"n{n}"))  # fmt: skip
        groups: list[str] = ports[0]["security_groups"]

        def ruled(number: int) -> None:
            rule = {"security_group_id": groups[0], "direction": "ingress", "ethertype": "IPv4",
                    "protocol": "tcp", "port_range_min": self.free + number,
                    "port_range_max": self.free + number}  # fmt: skip
            self.cloud.call("POST", "security-group-rules", {"security_group_rule": rule})

        self.row("a rule more in the group of all ports", changes, ruled)
        self.row("a port comes into that group", changes,
                 lambda n: ports.append(self.port(len(ports))))  # fmt: skip
        self.row("a port of it is deleted", changes,
                 lambda _n: self.cloud.remove("port", str(ports.pop()["id"])))  # fmt: skip

    @property
    def free(self) -> int:
        """A port number of which the group has no rule yet."""
        return 5000 if self.crowd.name == "vifd" else 6000


def _trees(cloud: Cloud) -> list[psutil.Process]:
    assert cloud._child is not None
    assert cloud.broker._child is not None
    assert cloud.database._child is not None
    parts = (cloud._child, cloud.broker._child, cloud.database._child)
    return [psutil.Process(part.pid) for part in parts]


def _cpu(root: psutil.Process) -> float:
    every = [root, *root.children(recursive=True)]
    return float(sum(sum(p.cpu_times()[:2]) for p in every if p.is_running()))


def run(given: argparse.Namespace) -> None:
    """Both crowds, or one, on one server."""
    if lacking := places.lacking():
        raise SystemExit(lacking)
    netns.enter_private_netns()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ns")))
        cloud = Cloud(scratch / "c", {"DEFAULT": {"agent_down_time": 600}})
        stack.callback(cloud.stop)
        cloud.start()
        vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
        network = str(cloud.make("network", name="s", **vlan)["id"])
        cloud.make("subnet", network_id=network, cidr="10.8.0.0/21", ip_version=4,
                   enable_dhcp=False)  # fmt: skip
        ovs = stack.enter_context(PrivateOvs())
        makes: dict[str, Callable[[], Crowd]] = {
            "vifd": lambda: Ours(cloud, given.hosts, given.processes),
            "stock": lambda: Stock(cloud, given.stock, scratch, ovs),
        }
        for name in given.only:
            crowd = makes[name]()
            stack.callback(crowd.close)
            scale = Scale(cloud, network, crowd)
            scale.run(given.changes)
            crowd.close()
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / name).write_text("\n".join(scale.rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--stock", type=int, default=3)
    parser.add_argument("--changes", type=int, default=5)
    parser.add_argument(
        "--only", nargs="+", default=["vifd", "stock"], choices=["vifd", "stock", "page"],
        help="a crowd, or page for none; what another run measured stays",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="write bench/SCALE.md")
    given = parser.parse_args()
    if given.only != ["page"]:
        run(given)
    rows = [path.read_text() for path in sorted(KEPT.iterdir(), reverse=True)]
    where = f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
    head = "| hosts: change | asked | heard | server | RabbitMQ | MariaDB |"
    table = "\n".join([head, "|---|---|---|---|---|---|", *rows]) + "\n"
    print(table)
    if given.keep:
        text = HEAD.format(where=where, changes=given.changes)
        (ROOT / "bench/SCALE.md").write_text(text + table)


if __name__ == "__main__":
    main()
