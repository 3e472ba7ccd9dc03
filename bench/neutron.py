"""neutron-openvswitch-agent and vifd on one Neutron server in one run, each with its own bridges.

A port is an internal port of the switch with an ``iface-id``, as DHCP and L3 agents make them: both
agents find it by themselves. It takes .venv/neutron (tools/neutron-env). A part is one firewall and
single ports (``one``) or a number of ports at once: ``bench/neutron.py --only one 20 --firewalls
noop``. What a part measured stays in ``build/bench-neutron``, whichever run it was in, with what
both agents logged; ``--keep`` writes bench/NEUTRON.md and the picture from all that is there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
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
#: Seconds between two looks.
PAUSE = 0.01
#: Seconds between a binding and the plug of a port that is known.
SPACE = 4.0
#: Where what a part measured stays.
KEPT = ROOT / "build/bench-neutron"
#: The part of single ports; the others are numbers.
ONE = "one"
HEAD = """\
# One Neutron 29 server: vifd and the stock agent

{cores} cores; the load before and after each part stands with it. Medians of {rounds} in turns for
one port. A VLAN network; both on one switch, each with its own bridges, both hear what the server
says, neither logs for debugging. A port is an internal port of the switch, found by its `iface-id`,
and bound before. `known` is one whose binding the agent has heard of, as of any that nova plugs;
the others are plugged as soon as the API has answered, and the server's message of it follows by
some tenths of a second. `first flow`: from writing its row to its first flow (of several: of the
last one); `all flows`: to the last change of a flow; `ACTIVE`: in Neutron's database, which takes
one status after the other, some 0.2 s of the server's time each; `rule`: a rule more in the group
of all ports, from the request to the last change of a flow; `CPU`: of the agent and its helpers,
whose PSS it is as well; `restart`: after SIGKILL, until every port is proven and the server was
read (vifd), until stale flows are cleaned (stock). `noop`: no groups; `openvswitch`: every port in
the default group.

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

    def taken(self) -> Times:
        """What was noted since this was asked last."""
        found, self.times = self.times, {}
        return found

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

    def measured(self, what: str, number: int, *, known: bool) -> list[tuple[str, str]]:
        """Plug so many at once, and note when they had flows and when Neutron said ACTIVE.

        :param known: after the agent has heard of them
        """
        ports = self.bound(number)
        if known:
            time.sleep(SPACE)
            self._until(lambda: self.contender.heard_of([i for i, _ in ports]), "it heard of them")
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
        return 4000 + 1000 * (self.contender.name == "vifd") + change

    def restarted(self, what: str, ports: int) -> None:
        """Kill it and start it anew under so many ports."""
        self.contender.kill()
        began = monotonic()
        self.contender.start()
        self._until(lambda: self.contender.settled(ports), "the resync is done")
        self.note(what, monotonic() - began)

    def cpu(self) -> float:
        """Seconds that its processes computed so far."""
        return float(sum(sum(p.cpu_times()[:2]) for p in self._processes() if p.is_running()))

    def memory(self) -> float:
        """Its processes' proportional share, in MiB."""
        return float(sum(p.memory_full_info().pss for p in self._processes())) / 2**20

    def _processes(self) -> list[psutil.Process]:
        """Those that it started, and those that left it: helpers with privileges are nobody's
        children, and are named by the configuration that they read."""
        root = psutil.Process(self.contender.root())
        found = {root.pid: root, **{p.pid: p for p in root.children(recursive=True)}}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(self.contender.home in word for word in process.cmdline()):
                    found[process.pid] = process
        return list(found.values())

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
        def look() -> bool:
            # who asks all the time takes what he measures
            time.sleep(PAUSE)
            return condition()

        until(look, f"{self.contender.name}: {what}", PATIENCE)


def singles(benches: list[Bench], rounds: int) -> None:
    """Single ports in turns."""
    for number in range(rounds + 1):
        for bench in benches if number % 2 else benches[::-1]:
            # the first pays for what is loaded late
            bench.unplug(bench.measured("one port" if number else "first port", 1, known=False))
            if number:
                bench.unplug(bench.measured("one known port", 1, known=True))


def burst(bench: Bench, number: int, *, groups: bool) -> None:
    """So many ports at once, and what is done while they are there."""
    ports = bench.measured(f"{number} known at once", number, known=True)
    if groups:
        for change in range(3):
            bench.ruled(f"rule with {number}", ports, bench.free(number + change))
    bench.note(f"PSS with {number}", bench.memory())
    bench.restarted(f"restart with {number}", number)
    bench.note(f"CPU of that start, {number}", bench.cpu())
    bench.unplug(ports)


@dataclass(frozen=True)
class Part:
    """What one part measured.

    :ivar load: of a minute, before and after it
    :ivar times: by agent
    """

    firewall: str
    part: str
    rounds: int
    load: tuple[float, float]
    times: dict[str, Times]

    def keep(self) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{self.firewall}-{self.part}.json").write_text(json.dumps(asdict(self)))

    def table(self) -> str:
        """The medians side by side, and how many times as much stock takes."""
        load = " to ".join(f"{value:.1f}" for value in self.load)
        lines = [
            f"| {self.firewall}, load {load} | vifd | stock | stock / vifd |",
            "|---|---|---|---|",
        ]
        for what, values in self.times["vifd"].items():
            unit = "MiB" if what.startswith("PSS") else "s"
            mine, other = statistics.median(values), statistics.median(self.times["stock"][what])
            ratio = f"{other / mine:.1f}" if mine else ""
            lines.append(f"| {what} | {mine:.3f} {unit} | {other:.3f} {unit} | {ratio} |")
        return "\n".join(lines)


def kept() -> list[Part]:
    """All parts that were measured, in one order."""
    found = [Part(**json.loads(path.read_text())) for path in KEPT.glob("*.json")]
    return sorted(found, key=lambda p: (p.firewall, p.part != ONE and int(p.part)))


def page() -> None:
    """Write bench/NEUTRON.md and the picture from all parts that were measured."""
    parts = kept()
    rounds = ", ".join(sorted({str(p.rounds) for p in parts if p.part == ONE}))
    head = HEAD.format(cores=os.cpu_count(), rounds=rounds)
    text = "\n\n".join(part.table() for part in parts)
    (ROOT / "bench/NEUTRON.md").write_text(f"{head}{text}\n")
    loads = [value for part in parts for value in part.load]
    rows: dict[str, dict[str, Times]] = {}
    for part in parts:
        for name, times in part.times.items():
            rows.setdefault(part.firewall, {}).setdefault(name, {}).update(times)
    said = f"{min(loads):.1f} to {max(loads):.1f}"
    (ROOT / "docs/neutron.svg").write_text(neutron_picture.drawn(rows, said))


def ready(cloud: Cloud, contender: Contender) -> None:
    """Wait until Neutron knows the host, and it has looked at itself."""
    until(lambda: cloud.agent(contender.host), f"{contender.host} is known", PATIENCE)
    until(lambda: contender.settled(0), f"{contender.host} is ready", PATIENCE)


def contest(
    cloud: Cloud, ovs: PrivateOvs, home: Path, network: str, firewall: str,
    given: argparse.Namespace,
) -> None:  # fmt: skip
    """Both with one kind of firewall; each part is kept when it is over."""
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
        for name in given.only:
            began = os.getloadavg()[0]
            if name == ONE:
                singles(benches, given.rounds)
            else:
                for bench in benches:
                    burst(bench, int(name), groups=firewall != "noop")
            times = {bench.contender.name: bench.taken() for bench in benches}
            part = Part(firewall, name, given.rounds, (began, os.getloadavg()[0]), times)
            part.keep()
            print(part.table(), flush=True)
            for bench in benches:
                log = KEPT / f"{firewall}-{name}-{bench.contender.name}.log"
                log.write_text(bench.contender.log())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="single ports (10)")
    parser.add_argument(
        "--only", nargs="+", default=[ONE, "20", "100"],
        help="parts: one, or ports at once; page for none, with --keep",
    )  # fmt: skip
    parser.add_argument("--firewalls", nargs="+", default=list(FIREWALLS), choices=FIREWALLS)
    parser.add_argument("--keep", action="store_true", help="write bench/NEUTRON.md, the picture")
    args = parser.parse_args()
    if args.only != ["page"]:
        run(args)
    if args.keep:
        page()


def run(args: argparse.Namespace) -> None:
    """One server for the parts that are wanted."""
    if lacking := places.lacking():
        raise SystemExit(lacking)
    netns.enter_private_netns()
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
            contest(cloud, ovs, scratch, network, firewall, args)


if __name__ == "__main__":
    main()
