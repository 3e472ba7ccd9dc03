"""What a change of a security group costs on Open vSwitch: ``make bench/groups``.

The plugin on a private switch (userspace datapath), in a network namespace of its own; no daemon,
so that what is measured is a rule's way to the switch: from the changed set in memory to the
committed bundle. Medians; CPU of this process and of ovs-vswitchd, per change. ``--keep FILE``
writes the table there as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import ovs as make
from functional.groups.rig import Rig
from functional.scene import Scene
from vifd.model.sets import Member, SecurityGroup, SetKey, SetKind
from vifd.plugin.sets import SetChange
from vifd.testing import netns
from vifd.testing.attachments import attachment
from vifd.testing.ledger import Ledger
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.sets import MemorySets

GROUP = "11111111-0000-4000-8000-000000000001"
TIMES = 15
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """Of one change: seconds, of the daemon's and of the switch's CPU as well."""

    seconds: float
    daemon: float
    switch: float


class Bench(Rig):
    """Ports on a private switch, without guests."""

    def __init__(self, ovs: PrivateOvs) -> None:
        super().__init__()
        self.ovs = ovs
        self.sets, self.names = MemorySets(), {}
        self.scene = self.enter_context(Scene(ovs))
        self.ledger = self.scene.ledger = Ledger(
            self.scene.machine.drivers, make.plugin, sets=self.sets, patience=120.0
        )

    def flows(self) -> int:
        return len(self.ledger.drivers.openflow.dump("br-int", 0, 0))

    def switch_cpu(self) -> float:
        fields = Path(f"/proc/{self.ovs.vswitchd.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def cost(self, change: Callable[[int], SetChange]) -> Cost:
        """Of a change, again and again; each is one of its own."""
        took, cpu, before = [], time.process_time(), self.switch_cpu()
        for number in range(TIMES):
            told = change(number)
            start = time.perf_counter()
            self.ledger.plugin.refresh([told])
            took.append(time.perf_counter() - start)
        self.scene.settle()
        daemon, switch = time.process_time() - cpu, self.switch_cpu() - before
        return Cost(statistics.median(took), daemon / TIMES, switch / TIMES)


def rule(port: int, **more: Any) -> dict[str, Any]:
    return {"direction": "ingress", "protocol": "tcp", "port_range_min": port,
            "port_range_max": port, **more}  # fmt: skip


def member(number: int) -> str:
    return f"10.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def of_rules(bench: Bench, count: int) -> Cost:
    """One rule more, one rule less."""
    rules = [rule(1 + n) for n in range(count)]

    def change(number: int) -> SetChange:
        return bench.sets.group(GROUP, *(rules if number % 2 else [*rules, rule(60000 + number)]))

    bench.say(GROUP, *rules)
    return bench.cost(change)


def of_members(bench: Bench) -> Cost:
    """One member more, one member less, of a set that is there; as the journal tells it."""
    key = SetKey(SetKind.SECURITY_GROUP, GROUP)
    came = Member(ip_address="10.250.0.1")

    def change(number: int) -> SetChange:
        body = bench.sets.security_group(GROUP)
        assert isinstance(body, SecurityGroup)
        members = body.members[:-1] if number % 2 else (*body.members, came)
        after = SecurityGroup(id=GROUP, rules=body.rules, members=members)
        return bench.sets.change(key, after)

    return bench.cost(change)


def line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def shown(cost: Cost) -> list[str]:
    return [f"{x * 1000:.2f}" for x in (cost.seconds, cost.daemon, cost.switch)]


def ours(ovs: PrivateOvs) -> list[str]:
    out = ["| what | ports | flows | change, ms | daemon CPU, ms | switch CPU, ms |",
           "|---|---|---|---|---|---|"]  # fmt: skip
    with Bench(ovs) as bench:
        bench.say(GROUP)
        bench.plug(port=attachment(1, security_groups=[GROUP]))
        for count in (1, 10, 100, 1000):
            cost = of_rules(bench, count)
            out.append(line(f"one rule of {count}", 1, bench.flows(), *shown(cost)))
        for ports in (1, 100):
            if ports > 1:
                more = {
                    f"p{n}": attachment(n, security_groups=[GROUP]) for n in range(2, ports + 1)
                }
                bench.plug(**more)
            for count in (10, 1000, 5000):
                members = [{"ip_address": member(n)} for n in range(count)]
                bench.say(GROUP, rule(22, remote_group_id=GROUP), members=members)
                cost = of_members(bench)
                out.append(line(f"one member of {count}", ports, bench.flows(), *shown(cost)))
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", metavar="FILE", help="write the table there as well")
    args = parser.parse_args()
    netns.enter_private_netns()
    with PrivateOvs() as ovs:
        text = "\n".join(ours(ovs))
    sys.stdout.write(text + "\n")
    if args.keep:
        Path(args.keep).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
