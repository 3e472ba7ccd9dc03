"""neutron-openvswitch-agent and vifd on one Neutron server in one run, each with its own bridges.

A port is an internal port of the switch with an ``iface-id``, as DHCP and L3 agents make them: both
agents find it by themselves. ``bench/neutron.py --rounds 10 --bursts 20 100``; it takes
.venv/neutron (tools/neutron-env), and writes bench/NEUTRON.md and the picture with ``--keep``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import neutron_picture  # noqa: E402
from neutron_agents import FIREWALLS, Contender, FlowWatch, Stock, Vifd  # noqa: E402
from support.cloud import places  # noqa: E402
from support.cloud.server import NAME, Cloud  # noqa: E402
from vifd.drivers import PortSpec  # noqa: E402
from vifd.drivers.ovsdb import Ovsdb  # noqa: E402
from vifd.testing import netns  # noqa: E402
from vifd.testing.sandbox import PrivateOvs  # noqa: E402
from vifd.testing.wait import until  # noqa: E402

PATIENCE = 900.0
#: Seconds without a change of a flow after which a change is taken to be carried out.
QUIET = 4.0
HEAD = """\
# One Neutron 29 server: vifd and the stock agent

{where}; medians of {rounds} in turns for one port; a VLAN network; both on one switch, each with
its own bridges, both hear all that the server says. A port is an internal port of it, found by
its `iface-id`, bound before. `first flow`: from writing its row to its first flow (of several: of
the last one); `all flows`: to the last change of a flow; `ACTIVE`: in Neutron's database, which
takes one status after the other, some 0.2 s of the server's time each; `rule`: a rule more in the
group of all ports, from the request to the last change of a flow; `CPU`: of the agent; `restart`:
after SIGKILL, until every port is proven (vifd), until stale flows are cleaned (stock). `noop`:
no groups; `openvswitch`: every port in the default group.

"""
#: Seconds (of ``PSS``: MiB) by what was done.
Times = dict[str, list[float]]


class Bench:
    """One contender and what it took."""

    def __init__(self, cloud: Cloud, network: str, contender: Contender) -> None:
        self.cloud = cloud
        self.contender = contender
        self.times: Times = {}
        self._network = network
        self._made = 0
        self._macs: dict[str, str] = {}
        self.database = Ovsdb(contender.ovs.db, timeout=120.0)
        until(self.database.connected, "the database is read")
        self.flows = FlowWatch(contender.ovs, contender.bridge)

    def close(self) -> None:
        self.flows.stop()
        self.database.close()

    def note(self, what: str, value: float) -> None:
        self.times.setdefault(what, []).append(value)

    def bound(self, number: int) -> list[tuple[str, str]]:
        """Ports that are bound to the host, with the names of their devices."""
        wish = {
            "network_id": self._network, "device_owner": "compute:x", "device_id": "x",
            "binding:host_id": self.contender.host,
        }  # fmt: skip
        found: list[tuple[str, str]] = []
        for _ in range(0, number, 20):
            wishes = {"ports": [wish] * min(20, number - len(found))}
            for port in self.cloud.call("POST", "ports", wishes)["ports"]:
                self._made += 1
                device = f"{self.contender.host.replace('-', '')[:7]}{self._made}"
                self._macs[device] = port["mac_address"]
                found.append((port["id"], device))
        return found

    def plug(self, ports: list[tuple[str, str]]) -> float:
        """Put the devices on the switch at once; the time when that was asked."""
        specs = [
            PortSpec(
                device,
                type="internal",
                external_ids={
                    "iface-id": port,
                    "iface-status": "active",
                    "attached-mac": self._macs[device],
                },
            )
            for port, device in ports
        ]
        self.flows.forget()
        began = monotonic()
        self.database.ensure_ports(self.contender.bridge, specs)
        return began

    def unplug(self, ports: list[tuple[str, str]]) -> None:
        """Take them off the switch, and wait until all is quiet; Neutron keeps them."""
        self.database.delete_ports(self.contender.bridge, [device for _, device in ports])
        began = monotonic()
        self._until(lambda: monotonic() - max(began, self.flows.last) > QUIET, "it is quiet")

    def measured(self, what: str, number: int) -> list[tuple[str, str]]:
        """Plug so many at once, and note when they had flows and when Neutron said ACTIVE."""
        ports = self.bound(number)
        busy = self.cpu()
        began = self.plug(ports)
        numbers = self._numbers(ports)
        self._until(lambda: self.flows.lives() and numbers <= self.flows.first.keys(), "flows")
        self.note(f"{what}: first flow", max(self.flows.first[n] for n in numbers) - began)
        self._until(lambda: self._active(ports) == number, "every port is ACTIVE")
        self.note(f"{what}: ACTIVE", monotonic() - began)
        self.note(f"{what}: all flows", self.flows.last - began)
        self.note(f"{what}: CPU", self.cpu() - busy)
        return ports

    def ruled(self, what: str, ports: list[tuple[str, str]], number: int) -> None:
        """Add a rule to the group of all ports."""
        group = self.cloud.show("port", ports[0][0])["security_groups"][0]
        began, busy = monotonic(), self.cpu()
        self.cloud.call("POST", "security-group-rules", {"security_group_rule": {
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
            "protocol": "tcp", "port_range_min": number, "port_range_max": number,
            "remote_ip_prefix": "192.0.2.0/24"}})  # fmt: skip
        self._until(lambda: self.flows.last > began, "a flow changed")
        self._until(lambda: monotonic() - self.flows.last > QUIET, "it is quiet")
        self.note(what, self.flows.last - began)
        self.note(f"{what}: CPU", self.cpu() - busy)

    def free(self, change: int) -> int:
        """A port number of which the group that both share has no rule yet."""
        return 4000 + 100 * (self.contender.name == "vifd") + change

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
        def known() -> set[int]:
            rows = [self.database.port(device) for _, device in ports]
            numbers = {row.ofport or 0 for row in rows if row is not None}
            return {number for number in numbers if number > 0}

        self._until(lambda: len(known()) == len(ports), "the switch has all ports")
        return known()

    def _active(self, ports: list[tuple[str, str]]) -> int:
        # Not by the API: who asks for a hundred ports again and again measures himself.
        ids = ",".join(f"'{port}'" for port, _ in ports)
        text = f"select count(*) from {NAME}.ports where status='ACTIVE' and id in ({ids})"
        return int(self.cloud.database.sql(text))

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, f"{self.contender.name}: {what}", PATIENCE)


def measure(benches: list[Bench], rounds: int, bursts: list[int], *, groups: bool) -> None:
    """Single ports in turns, bursts one after the other."""
    for number in range(rounds + 1):
        for bench in benches if number % 2 else benches[::-1]:
            # the first pays for what is loaded late
            bench.unplug(bench.measured("one port" if number else "first port", 1))
    for bench in benches:
        for burst in bursts:
            ports = bench.measured(f"{burst} at once", burst)
            if burst == bursts[-1]:
                if groups:
                    for change in range(3):
                        bench.ruled(f"rule with {burst}", ports, bench.free(change))
                bench.note(f"PSS with {burst}", bench.memory())
                bench.restarted(f"restart with {burst}", burst)
                bench.note(f"CPU of that start, {burst}", bench.cpu())
            bench.unplug(ports)


def table(firewall: str, benches: list[Bench]) -> str:
    """The medians side by side, and how many times as much stock takes."""
    ours, theirs = ({b.contender.name: b.times for b in benches}[n] for n in ("vifd", "stock"))
    lines = [f"| {firewall} | vifd | stock | stock / vifd |", "|---|---|---|---|"]
    for what, values in ours.items():
        unit = "MiB" if what.startswith("PSS") else "s"
        mine, other = statistics.median(values), statistics.median(theirs[what])
        ratio = f"{other / mine:.1f}" if mine else ""
        lines.append(f"| {what} | {mine:.3f} {unit} | {other:.3f} {unit} | {ratio} |")
    return "\n".join(lines)


def ready(cloud: Cloud, contender: Contender) -> None:
    """Wait until Neutron knows the host, and it has looked at itself."""
    until(lambda: cloud.agent(contender.host), f"{contender.host} is known", PATIENCE)
    until(lambda: contender.settled(0), f"{contender.host} is ready", PATIENCE)


def contest(
    cloud: Cloud, ovs: PrivateOvs, home: Path, network: str, firewall: str,
    given: argparse.Namespace,
) -> list[Bench]:  # fmt: skip
    """Both with one kind of firewall."""
    benches = []
    with ExitStack() as stack:
        for kind in (Vifd, Stock):
            contender: Contender = kind(home / f"{kind.name}-{firewall}", cloud, ovs, firewall)
            stack.callback(contender.kill)
            contender.start()
            ready(cloud, contender)
            # Not earlier: what an agent sets of its bridge cuts off who listens to it.
            bench = Bench(cloud, network, contender)
            stack.callback(bench.close)
            benches.append(bench)
        measure(benches, given.rounds, given.bursts, groups=firewall != "noop")
    return benches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="single ports (10)")
    parser.add_argument("--bursts", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--firewalls", nargs="+", default=list(FIREWALLS), choices=FIREWALLS)
    parser.add_argument("--keep", action="store_true", help="write bench/NEUTRON.md, the picture")
    args = parser.parse_args()
    if lacking := places.lacking():
        raise SystemExit(lacking)
    netns.enter_private_netns()
    loads = [os.getloadavg()[0]]
    tables: dict[str, list[Bench]] = {}
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
        ovs = stack.enter_context(PrivateOvs())
        for firewall in args.firewalls:
            tables[firewall] = contest(cloud, ovs, scratch, network, firewall, args)
            loads.append(os.getloadavg()[0])
            print(table(firewall, tables[firewall]), flush=True)
            if args.keep:
                keep(tables, args.rounds, loads)


def keep(tables: dict[str, list[Bench]], rounds: int, loads: list[float]) -> None:
    """Write what was measured so far."""
    said = ", ".join(f"{load:.1f}" for load in loads)
    where = f"{os.cpu_count()} cores, load {said} at the beginning and after each part"
    text = "\n\n".join(table(f, b) for f, b in tables.items())
    head = HEAD.format(where=where, rounds=rounds)
    (ROOT / "bench/NEUTRON.md").write_text(head + text + "\n")
    rows = {f: {b.contender.name: b.times for b in found} for f, found in tables.items()}
    (ROOT / "docs/neutron.svg").write_text(neutron_picture.drawn(rows, said))


if __name__ == "__main__":
    main()
