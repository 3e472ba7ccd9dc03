"""What a plug on a Linux bridge costs: few and many ports present, one at a time and in batches,
beside its floor.

Everything happens in network namespaces of its own. The verbs are called in the engine's order
(name, plug, check, activate, check), without the daemon around them, so that two numbers of ports
can be compared. :class:`Floor` makes the same devices and rules through the same drivers, beside as
many ports, and proves nothing; the two take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TypeVar

from oslo_config import cfg

from vifd.drivers import BridgePort, BridgeSpec, Tap
from vifd.model import Attachment
from vifd.plugin import Entry, Host
from vifd.testing.attachments import attachment, mac
from vifd.testing.ledger import Ledger
from vifd.testing.machines import LinuxMachine
from vifd.testing.netns import Namespace
from vifd_linuxbridge import options, ruleset
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import quiet_netfilter

T = TypeVar("T")

#: Ports are spread over so many networks; a bridge takes 1023 ports.
NETWORKS = 20

#: The first number of ports that come and go; below are those that are present.
FIRST = 10_000


@dataclass(frozen=True)
class Cost:
    """Milliseconds.

    :param present: ports that were there
    :param one: each plug of a single port, proven and open
    :param batch: each batch as a whole
    :param floor_one: the floor's single ports
    :param floor_batch: the floor's batches
    :param size: ports per batch
    """

    present: int
    one: tuple[float, ...]
    batch: tuple[float, ...]
    floor_one: tuple[float, ...]
    floor_batch: tuple[float, ...]
    size: int

    @property
    def p50(self) -> float:
        """Of single plugs."""
        return statistics.median(self.one)

    @property
    def per_port(self) -> float:
        """In the median batch."""
        return statistics.median(self.batch) / self.size


class Steady(Ledger):
    """A ledger that tells plugins what changed since it was last asked, as it does not count here
    how a journal is read."""

    def __post_init__(self) -> None:
        self._told: dict[str, Entry] = {}
        super().__post_init__()

    def entries(self) -> dict[str, Entry]:
        """What plugins may see."""
        for gone in self._told.keys() - self.records.keys():
            del self._told[gone]
        for fresh in self.records.keys() - self._told.keys():
            record = self.records[fresh]
            self._told[fresh] = Entry(record.attachment, record.names, record.open)
        return self._told


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds, and what came of it."""
    start = time.perf_counter()
    result = call()
    return (time.perf_counter() - start) * 1000, result


def wanted(number: int) -> Attachment:
    """Port ``number``; neighbours are on different networks."""
    return attachment(number, network=(1 + number % NETWORKS) << 96)


class Plugin:
    """The plugin on a machine of its own."""

    def __init__(self, machine: LinuxMachine) -> None:
        self._ledger = Steady(machine.drivers, _plugin)

    def plug(self, numbers: Sequence[int]) -> float:
        """Milliseconds until all are proven and open."""
        documents = [wanted(number) for number in numbers]
        spent, failed = timed(lambda: self._ledger.plug(*documents))
        if failed:
            raise RuntimeError(str(failed))
        return spent

    def unplug(self, numbers: Sequence[int]) -> None:
        """Take them away."""
        failed = self._ledger.unplug(*(wanted(number).id for number in numbers))
        if failed:
            raise RuntimeError(str(failed))


def _plugin(host: Host) -> LinuxBridgePlugin:
    conf = cfg.ConfigOpts()
    conf.register_opts(list(options.OPTIONS), group="linuxbridge")
    conf([], default_config_files=[])
    conf.set_override("serve_local", True, group="linuxbridge")
    return LinuxBridgePlugin(host, conf.linuxbridge)


class Floor:
    """The same devices and rules, made in one go and not looked at."""

    def __init__(self, machine: LinuxMachine) -> None:
        drivers = machine.drivers
        if drivers.bridging is None or drivers.nft is None:
            raise RuntimeError("no drivers")
        self._links, self._bridging, self._nft = drivers.links, drivers.bridging, drivers.nft
        for number in range(NETWORKS):
            self._bridging.make(
                BridgeSpec(
                    f"br{number}", f"vifd:net:{number}", 1450, f"02:00:00:00:00:{number:02x}"
                )
            )
        self._nft.apply(ruleset.TABLE, ruleset.install([], ruleset.base(False)))

    def plug(self, numbers: Sequence[int]) -> float:
        """Milliseconds until all are asked for."""
        taps = [Tap(f"tap{n}", f"fe:{mac(n)[3:]}", 1450, f"vifd:{n}") for n in numbers]
        filters = [ruleset.port_filter(wanted(n), f"tap{n}", opened=True) for n in numbers]
        ports = [BridgePort(f"tap{n}", f"br{n % NETWORKS}") for n in numbers]

        def work() -> None:
            self._nft.apply(ruleset.TABLE, ruleset.install(filters))
            self._links.create_taps(taps)
            self._bridging.enslave(ports)

        return timed(work)[0]

    def unplug(self, numbers: Sequence[int]) -> None:
        """Take them away."""
        devices = [f"tap{n}" for n in numbers]
        self._links.delete(devices)
        self._nft.apply(ruleset.TABLE, ruleset.remove(devices))


@contextmanager
def _machine(name: str) -> Iterator[LinuxMachine]:
    with Namespace(name) as space:
        space.run(quiet_netfilter)
        machine = space.run(LinuxMachine)
        try:
            yield machine
        finally:
            machine.close()


def measure(
    present: Sequence[int] = (10, 1000), singles: int = 30, batches: int = 3, size: int = 100
) -> list[Cost]:
    """The costs with so many ports present, in rising order."""
    with _machine("bench") as one, _machine("floor") as other:
        pair = (Plugin(one), Floor(other))
        costs, there = [], 0
        for count in sorted(present):
            for first in range(there, count, 200):
                for who in pair:
                    who.plug(range(first, min(first + 200, count)))
            there = count
            costs.append(_measure(pair, count, singles, batches, size))
        return costs


def _measure(
    pair: tuple[Plugin, Floor], present: int, singles: int, batches: int, size: int
) -> Cost:
    one = _turns(pair, 1, singles)
    batch = _turns(pair, size, batches)
    return Cost(present, one[0], batch[0], one[1], batch[1], size)


def _turns(pair: tuple[Plugin, Floor], size: int, rounds: int) -> list[tuple[float, ...]]:
    """What each took, in turns, after once without the clock."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        numbers = range(FIRST + turn * size, FIRST + (turn + 1) * size)
        for index in (0, 1) if turn % 2 else (1, 0):
            spent = pair[index].plug(numbers)
            pair[index].unplug(numbers)
            if turn:
                taken[index].append(spent)
    return [tuple(values) for values in taken]


def table(costs: Sequence[Cost]) -> str:
    """The figures for a reader."""
    lines = []
    for cost in costs:
        one, batch = statistics.median(cost.floor_one), statistics.median(cost.floor_batch)
        lines.append(
            f"{cost.present:5} ports present: one plug p50 {cost.p50:.2f} ms (floor {one:.2f}), "
            f"{cost.size} at once {cost.per_port:.2f} ms per port (floor {batch / cost.size:.2f})"
        )
    few, many = costs[0], costs[-1]
    one, batch = many.p50 / few.p50, many.per_port / few.per_port
    return "\n".join([*lines, f"last to first: one plug {one:.2f}, per port at once {batch:.2f}"])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--present", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--singles", type=int, default=30, help="plugs of one port (30)")
    parser.add_argument("--batches", type=int, default=3, help="plugs of 100 at once (3)")
    parser.add_argument("--json", action="store_true", help="every measurement, for a program")
    parsed = parser.parse_args()
    costs = measure(parsed.present, parsed.singles, parsed.batches)
    print(json.dumps([asdict(cost) for cost in costs]) if parsed.json else table(costs))


if __name__ == "__main__":
    main()
