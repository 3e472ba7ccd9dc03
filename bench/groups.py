"""What a change of a security group costs on Open vSwitch: ``make bench/groups``; beside neutron's
``openvswitch`` firewall driver, and what a packet costs, where ``tools/neutron-env`` was called.

The plugin on a private switch (userspace datapath), in a network namespace of its own; no daemon,
so that what is measured is a rule's way to the switch: from the changed set in memory to the
committed bundle. Medians; CPU of this process and of ovs-vswitchd, per change. ``--keep FILE``
writes the table there as well.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import groups_beside as beside
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
TIMES = 60
#: Seconds of CPU in a fifth of a second that are no work.
_IDLE = 0.02


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
        return beside.cpu(self.ovs.vswitchd.pid)

    def rest(self) -> None:
        """Wait until the switch has worked off what it was given before."""
        self.scene.settle()
        for _ in range(100):
            before = self.switch_cpu()
            time.sleep(0.2)
            if self.switch_cpu() - before <= _IDLE:
                return

    def cost(self, change: Callable[[int], SetChange]) -> Cost:
        """Of a change, again and again; each is one of its own."""
        self.rest()
        took, cpu, before = [], [], self.switch_cpu()
        for number in range(TIMES):
            told = change(number)
            start, used = time.perf_counter(), time.process_time()
            self.ledger.plugin.refresh([told])
            took.append(time.perf_counter() - start)
            cpu.append(time.process_time() - used)
        self.scene.settle()
        switch = (self.switch_cpu() - before) / TIMES
        return Cost(statistics.median(took), statistics.median(cpu), switch)


def rule(port: int, **more: Any) -> dict[str, Any]:
    return {"direction": "ingress", "protocol": "tcp", "port_range_min": port,
            "port_range_max": port, **more}  # fmt: skip


member = beside.member


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
    came_ = Member(ip_address="10.250.0.1")

    def change(number: int) -> SetChange:
        body = bench.sets.security_group(GROUP)
        assert isinstance(body, SecurityGroup)
        members = body.members[:-1] if number % 2 else (*body.members, came_)
        after = SecurityGroup(id=GROUP, rules=body.rules, members=members)
        bench.sets.bodies[key] = after
        came, went = ((), (came_,)) if number % 2 else ((came_,), ())
        return SetChange(key=key, before=body, after=after, added=came, removed=went)

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


def compared(ovs: PrivateOvs, python: str) -> list[str]:
    """vifd, neutron's driver, and no filter at all, on bridges of one switch."""
    out = ["| what | vifd | neutron | ratio |", "|---|---|---|---|"]
    with Bench(ovs) as bench, beside.peer(ovs, python) as peer:
        bench.say(GROUP, *beside.DEFAULT, members=[{"ip_address": member(n)} for n in range(10)])
        peer.tell(rules={GROUP: beside.DEFAULT}, members={GROUP: beside.pairs_of(10)})
        bench.plug(p1=attachment(1, security_groups=[GROUP]))
        peer.plug(1)
        counts = []
        for number in (2, 3):
            before = bench.flows(), len(ovs.ofctl("dump-flows", beside.PEER).splitlines())
            bench.plug(**{f"p{number}": attachment(number, security_groups=[GROUP])})
            peer.plug(number)
            after = bench.flows(), len(ovs.ofctl("dump-flows", beside.PEER).splitlines())
            counts.append((after[0] - before[0], after[1] - before[1]))
        mine, theirs = counts[-1]
        out.append(line("flows of one port more, default group", mine, theirs,
                        f"{mine / theirs:.2f}"))  # fmt: skip
        packets = packets_of(ovs, furnished(ovs, bench, peer))
        for ports in (3, 20):
            for number in range(len(bench.names) + 1, ports + 1):
                bench.plug(**{f"p{number}": attachment(number, security_groups=[GROUP])})
                peer.plug(number)
            for count in (10, 100):
                out += [*rule_changes(bench, peer, count), *member_changes(bench, peer, count * 10)]
    return [*out, "", *packets]


def rule_changes(bench: Bench, peer: beside.Peer, count: int) -> list[str]:
    """One rule more or less."""
    rules = beside.rules(count)
    more = [*rules, beside.rules(count + 1)[-1]]
    bench.say(GROUP, *rules, members=[{"ip_address": member(n)} for n in range(10)])
    peer.tell(rules={GROUP: rules}, members={GROUP: beside.pairs_of(10)})
    members = bench.sets.bodies[SetKey(SetKind.SECURITY_GROUP, GROUP)]
    assert isinstance(members, SecurityGroup)
    said = [{"ip_address": m.ip_address} for m in members.members]
    cost = bench.cost(
        lambda n: bench.sets.group(GROUP, *(rules if n % 2 else more), members=said)
    )  # fmt: skip
    theirs = [peer.tell(rules={GROUP: more if n % 2 else rules}) for n in range(6)]
    return [_row(f"a rule of {count}, {len(bench.names)} ports", cost, theirs)]


def member_changes(bench: Bench, peer: beside.Peer, count: int) -> list[str]:
    """One member more or less."""
    bench.say(GROUP, *beside.DEFAULT, members=[{"ip_address": member(n)} for n in range(count)])
    peer.tell(rules={GROUP: beside.DEFAULT}, members={GROUP: beside.pairs_of(count)})
    cost = of_members(bench)
    theirs = [peer.tell(members={GROUP: beside.pairs_of(count + n % 2)}) for n in range(1, 7)]
    return [_row(f"a member of {count}, {len(bench.names)} ports", cost, theirs)]


def _row(what: str, mine: Cost, theirs: list[dict[str, float]]) -> str:
    other = statistics.median(t["seconds"] for t in theirs)
    return line(f"{what}, ms", f"{mine.seconds * 1000:.2f}", f"{other * 1000:.1f}",
                f"{other / mine.seconds:.0f}x sooner")  # fmt: skip


def packets_of(ovs: PrivateOvs, names: dict[str, tuple[str, str]]) -> list[str]:
    """What a packet of an established connection costs; ratios are vifd's to the other's."""
    out = ["| packets of an established connection | from port | bytes | per second there | back | "
           "latency, us | CPU of the switch there, us | back |", "|---" * 8 + "|"]  # fmt: skip
    measures = ("rate there", "rate back", "latency", "CPU there", "CPU back")
    for sport, size in itertools.product((40000, 4000), (18, 1358)):
        found = beside.traffic(ovs, names, size, sport)
        for who, figures in found.items():
            shown = [f"{beside.typical(m, figures[m]):.{0 if m[0] == 'r' else 1}f}"
                     for m in measures]  # fmt: skip
            out.append(line(who, sport, size + 42, *shown))
        mine, *others = names
        for who in others:
            ratios = [f"{beside.ratio(m, found[mine][m], found[who][m]):.3f}" for m in measures]
            out.append(line(f"{mine} : {who}", sport, size + 42, *ratios))
    return out


def packets_alone(ovs: PrivateOvs, python: str) -> list[str]:
    """The same without the rest of the comparison."""
    with Bench(ovs) as bench, beside.peer(ovs, python) as peer:
        return packets_of(ovs, furnished(ovs, bench, peer))


def furnished(ovs: PrivateOvs, bench: Bench, peer: beside.Peer) -> dict[str, tuple[str, str]]:
    """Two ports on each of three bridges; their devices."""
    for number in range(len(bench.names) + 1, 3):
        bench.say(GROUP, *beside.DEFAULT, members=[{"ip_address": member(n)} for n in range(10)])
        peer.tell(rules={GROUP: beside.DEFAULT}, members={GROUP: beside.pairs_of(10)})
        bench.plug(**{f"p{number}": attachment(number, security_groups=[GROUP])})
        peer.plug(number)
    beside.plain(ovs, (1, 2))
    return {
        "vifd": (bench.scene.device(bench.names["p1"]), bench.scene.device(bench.names["p2"])),
        "neutron": ("peer1", "peer2"), "NORMAL, no filter": ("plain1", "plain2"),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = ".venv/neutron/bin/python"
    parser.add_argument("--neutron", default=default, help="a Python that has Neutron")
    parser.add_argument("--keep", metavar="FILE", help="write the table there as well")
    parser.add_argument("--packets", action="store_true", help="packets alone")
    args = parser.parse_args()
    netns.enter_private_netns()
    if args.packets:
        with PrivateOvs() as ovs:
            sys.stdout.write("\n".join(packets_alone(ovs, args.neutron)) + "\n")
        return 0
    with PrivateOvs() as ovs:
        text = "\n".join(ours(ovs))
    if Path(args.neutron).exists():
        with PrivateOvs() as ovs:
            text += "\n\n" + "\n".join(compared(ovs, args.neutron))
    else:
        sys.stderr.write(f"no {args.neutron}: not compared; tools/neutron-env makes it\n")
    sys.stdout.write(text + "\n")
    if args.keep:
        Path(args.keep).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
