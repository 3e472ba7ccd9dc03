"""neutron-openvswitch-agent and vifd on one Neutron server in one run, each with its own bridges.

A port is an internal port of the switch with an ``iface-id``, as DHCP and L3 agents make them: both
agents find it by themselves. ``bench/neutron.py --rounds 10 --bursts 20 100``; it takes
.venv/neutron (tools/neutron-env), and writes bench/NEUTRON.md with ``--keep``.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Protocol

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.cloud import places  # noqa: E402
from support.cloud.server import NAME, Cloud  # noqa: E402
from support.cloud.stockagent import StockAgent  # noqa: E402
from support.cloud.vifdhost import VifdHost  # noqa: E402
from vifd.testing import netns  # noqa: E402
from vifd.testing.sandbox import PrivateOvs  # noqa: E402
from vifd.testing.wait import until  # noqa: E402

PATIENCE = 600.0
HEAD = """\
# One Neutron 29 server: vifd and the stock agent

{where}; medians of {rounds} in turns for one port; a VLAN network, no groups (`noop`); both on one
switch, each with its own bridges. A port is an internal port of it, found by its `iface-id`.
`flows`: from adding the ports to a flow of each; `ACTIVE`: in Neutron's database, which takes
one status after the other; `CPU`: of the agent; `restart`: after SIGKILL, until every port is
proven (vifd), until stale flows are cleaned (stock).

"""
#: Seconds (of ``PSS``: MiB) by what was done.
Times = dict[str, list[float]]


class Contender(Protocol):
    """An agent on a host of its own; both hosts' devices lie in one network namespace.

    :ivar bridge: the integration bridge
    """

    name: str
    bridge: str
    host: str
    ovs: PrivateOvs

    def start(self) -> None:
        """Start it, and wait until Neutron knows it and it has looked at its host."""

    def kill(self) -> None:
        """End it as a crash would."""

    def root(self) -> int:
        """The process that began it."""

    def settled(self, ports: int) -> bool:
        """Whether what stood on the host when it was started is as wanted again."""


class Stock:
    """neutron-openvswitch-agent with the firewall driver noop."""

    name = host = "stock"
    bridge, physical = "br-int-s", "br-phys-s"

    def __init__(self, home: Path, cloud: Cloud, ovs: PrivateOvs) -> None:
        self.ovs = ovs
        bridges(ovs, self.bridge, self.physical)
        self._agent = StockAgent(home, cloud, ovs, self.host, {"ovs": named(self)})
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


class Vifd:
    """The daemon, without groups."""

    name = host = "vifd"
    bridge, physical = "br-int-v", "br-phys-v"

    def __init__(self, home: Path, cloud: Cloud, ovs: PrivateOvs) -> None:
        self.ovs = ovs
        bridges(ovs, self.bridge, self.physical)
        self._host = VifdHost(home, cloud, ovs, self.host, {
            "network_neutron": {"security_groups": "false"},
            "ovs": {"create_bridge": "false", **named(self)},
        })  # fmt: skip

    def start(self) -> None:
        self._host.vifd.start()

    def kill(self) -> None:
        self._host.vifd.kill()

    def root(self) -> int:
        pid = self._host.vifd.process.pid
        assert pid is not None
        return pid

    def settled(self, ports: int) -> bool:
        found = self._host.vifd.call("GET", "/v1/status")[1]
        if not found.get("ready"):
            return False
        known = self._host.vifd.get("/v1/ports")["ports"]
        return bool(sum(port["phase"] == "LIVE" for port in known) >= ports)


def named(contender: Stock | Vifd) -> dict[str, object]:
    """The same two options in the same words for both."""
    return {
        "integration_bridge": contender.bridge,
        "bridge_mappings": f"physnet1:{contender.physical}",
    }


def bridges(ovs: PrivateOvs, *names: str) -> None:
    """Both bridges, as a deployment tool leaves them."""
    for name in names:
        ovs.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")


class Bench:
    """One contender and what it took."""

    def __init__(self, cloud: Cloud, network: str, contender: Contender) -> None:
        self.cloud = cloud
        self.contender = contender
        self.times: Times = {}
        self._network = network
        self._made = 0
        self._macs: dict[str, str] = {}

    def note(self, what: str, value: float) -> None:
        self.times.setdefault(what, []).append(value)

    def bound(self, number: int) -> list[tuple[str, str]]:
        """Ports that are bound to the host, with the names of their devices."""
        wish = {
            "network_id": self._network, "device_owner": "compute:x", "device_id": "x",
            "binding:host_id": self.contender.host,
        }  # fmt: skip
        found = []
        for port in self.cloud.call("POST", "ports", {"ports": [wish] * number})["ports"]:
            self._made += 1
            device = f"{self.contender.name[:1]}{self._made}"
            self._macs[device] = port["mac_address"]
            found.append((port["id"], device))
        return found

    def plug(self, ports: list[tuple[str, str]]) -> float:
        """Put the devices on the switch at once; the time when that was asked."""
        words: list[str] = []
        for port, device in ports:
            words += [
                "--", "add-port", self.contender.bridge, device,
                "--", "set", "Interface", device, "type=internal",
                f"external_ids:iface-id={port}", "external_ids:iface-status=active",
                f'external_ids:attached-mac="{self._macs[device]}"',
            ]  # fmt: skip
        began = monotonic()
        self.contender.ovs.vsctl(*words[1:])
        return began

    def unplug(self, ports: list[tuple[str, str]]) -> None:
        """Take them off the switch, and wait until no flow is left; Neutron keeps them."""
        numbers = self._numbers(ports)
        words = [w for _, d in ports for w in ("--", "del-port", self.contender.bridge, d)]
        self.contender.ovs.vsctl(*words[1:])
        self._until(lambda: not numbers & self._wired(), "the flows are gone")

    def measured(self, what: str, number: int) -> list[tuple[str, str]]:
        """Plug so many at once, and note when they had flows and when Neutron said ACTIVE."""
        ports = self.bound(number)
        busy = self.cpu()
        began = self.plug(ports)
        numbers = self._numbers(ports)
        self._until(lambda: numbers <= self._wired(), "every port has flows")
        self.note(f"{what}: flows", monotonic() - began)
        self._until(lambda: self._active(ports) == number, "every port is ACTIVE")
        self.note(f"{what}: ACTIVE", monotonic() - began)
        self.note(f"{what}: CPU", self.cpu() - busy)
        return ports

    def restarted(self, what: str, ports: int) -> None:
        """Kill it and start it anew under so many ports."""
        self.contender.kill()
        began = monotonic()
        self.contender.start()
        self._until(lambda: self.contender.settled(ports), "the resync is done")
        self.note(what, monotonic() - began)

    def cpu(self) -> float:
        """Seconds that its processes computed so far."""
        every = self._processes()
        return sum(sum(p.cpu_times()[:2]) for p in every)

    def memory(self) -> float:
        """Its processes' proportional share, in MiB."""
        return float(sum(p.memory_full_info().pss for p in self._processes())) / 2**20

    def _processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.contender.root())
        return [root, *root.children(recursive=True)]

    def _numbers(self, ports: list[tuple[str, str]]) -> set[int]:
        names = [device for _, device in ports]
        words = [w for name in names for w in ("--", "get", "Interface", name, "ofport")]
        return {int(number) for number in self.contender.ovs.vsctl(*words[1:]).split()}

    def _wired(self) -> set[int]:
        """The numbers of ports from which something is done with frames."""
        text = self.contender.ovs.ofctl("dump-flows", self.contender.bridge, "--no-names")
        return {int(number) for number in re.findall(r"in_port=(\d+)", text)}

    def _active(self, ports: list[tuple[str, str]]) -> int:
        # Not by the API: who asks for a hundred ports again and again measures himself.
        ids = ",".join(f"'{port}'" for port, _ in ports)
        text = f"select count(*) from {NAME}.ports where status='ACTIVE' and id in ({ids})"
        return int(self.cloud.database.sql(text))

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, f"{self.contender.name}: {what}", PATIENCE)


def measure(benches: list[Bench], rounds: int, bursts: list[int]) -> None:
    """Single ports in turns, bursts one after the other."""
    for number in range(rounds + 1):
        for bench in benches if number % 2 else benches[::-1]:
            if number == 0:  # the first pays for what is loaded late
                bench.unplug(bench.measured("first port", 1))
            else:
                bench.unplug(bench.measured("one port", 1))
    for bench in benches:
        for burst in bursts:
            ports = bench.measured(f"{burst} at once", burst)
            if burst == bursts[-1]:
                bench.note(f"PSS with {burst}", bench.memory())
                bench.restarted(f"restart with {burst}", burst)
                bench.note(f"CPU of that start, {burst}", bench.cpu())
            bench.unplug(ports)


def table(benches: list[Bench]) -> str:
    """The medians side by side, and how many times as much stock takes."""
    ours, theirs = ({b.contender.name: b.times for b in benches}[n] for n in ("vifd", "stock"))
    lines = ["| | vifd | stock | stock / vifd |", "|---|---|---|---|"]
    for what, values in ours.items():
        unit = "MiB" if what.startswith("PSS") else "s"
        mine, other = statistics.median(values), statistics.median(theirs[what])
        lines.append(f"| {what} | {mine:.2f} {unit} | {other:.2f} {unit} | {other / mine:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="single ports (10)")
    parser.add_argument("--bursts", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--keep", action="store_true", help="write bench/NEUTRON.md")
    args = parser.parse_args()
    if lacking := places.lacking():
        raise SystemExit(lacking)
    netns.enter_private_netns()
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nb")))
        cloud = Cloud(scratch / "c")
        stack.callback(cloud.stop)
        cloud.start()
        given = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
        network = str(cloud.make("network", name="bench", **given)["id"])
        cloud.make(
            "subnet", network_id=network, cidr="10.8.0.0/21", ip_version=4, enable_dhcp=False
        )
        benches = []
        ovs = stack.enter_context(PrivateOvs())
        for kind in (Vifd, Stock):
            contender: Contender = kind(scratch / kind.name, cloud, ovs)
            stack.callback(contender.kill)
            contender.start()
            benches.append(Bench(cloud, network, contender))
        for bench in benches:
            host = bench.contender.host
            until(lambda: cloud.agent(host), f"{host} is known", PATIENCE)  # noqa: B023
            until(lambda: bench.contender.settled(0), f"{host} is ready", PATIENCE)  # noqa: B023
        measure(benches, args.rounds, args.bursts)
        text = table(benches)
    print(text)
    if args.keep:
        where = f"{os.cpu_count()} cores, load {load:.1f} at the beginning"
        (ROOT / "bench/NEUTRON.md").write_text(
            HEAD.format(where=where, rounds=args.rounds) + text + "\n"
        )


if __name__ == "__main__":
    main()
