"""What a plug on a Linux bridge costs: few and many ports present, one at a time and in batches.

Everything happens in a network namespace of its own. The verbs are called in the engine's order
(name, plug, check, activate, check), without the daemon around them, so that two numbers of ports
can be compared; :func:`floor` makes the same devices and rules through the drivers and proves
nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from contract import linuxbridge as make
from vifd.drivers import BridgePort, BridgeSpec, Tap
from vifd.plugin import Entry
from vifd.testing.attachments import attachment, mac
from vifd.testing.ledger import Ledger
from vifd.testing.machines import LinuxMachine
from vifd.testing.netns import Namespace
from vifd_linuxbridge import ruleset
from vifd_linuxbridge.testing import quiet_netfilter

T = TypeVar("T")

#: Ports are spread over so many networks; a bridge takes 1023 ports.
NETWORKS = 20


@dataclass(frozen=True)
class Cost:
    """Milliseconds.

    :param present: ports that were there
    :param one: each plug of a single port, proven and open
    :param batch: each batch as a whole
    :param size: ports per batch
    """

    present: int
    one: tuple[float, ...]
    batch: tuple[float, ...]
    size: int

    @property
    def p50(self) -> float:
        """Of single plugs."""
        return statistics.median(self.one)

    @property
    def per_port(self) -> float:
        """In the fastest batch."""
        return min(self.batch) / self.size


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


def wanted(number: int) -> object:
    """Port ``number``; neighbours are on different networks."""
    return attachment(number, network=(1 + number % NETWORKS) << 96)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds, and what came of it."""
    start = time.perf_counter()
    result = call()
    return (time.perf_counter() - start) * 1000, result


def measure(
    present: Sequence[int] = (10, 1000), singles: int = 30, batches: int = 3, size: int = 100
) -> list[Cost]:
    """The costs with so many ports present, in rising order."""
    with Namespace("bench") as space:
        space.run(quiet_netfilter)
        machine = space.run(LinuxMachine)
        try:
            ledger = Steady(machine.drivers, lambda host: make.plugin(host, serve_local=True))
            return [_measure(ledger, count, singles, batches, size) for count in sorted(present)]
        finally:
            machine.close()


def _measure(ledger: Ledger, present: int, singles: int, batches: int, size: int) -> Cost:
    while len(ledger.records) < present:
        first = len(ledger.records)
        _plug(ledger, range(first, min(first + 200, present)))
    fresh = 10_000
    ones = []
    for number in range(fresh, fresh + singles):
        ones.append(_plug(ledger, [number]))
        _unplug(ledger, [number])
    costs = []
    for turn in range(batches):
        numbers = range(fresh + turn * size, fresh + (turn + 1) * size)
        costs.append(_plug(ledger, numbers))
        _unplug(ledger, numbers)
    return Cost(present, tuple(ones), tuple(costs), size)


def _plug(ledger: Ledger, numbers: Sequence[int]) -> float:
    documents = [wanted(number) for number in numbers]
    spent, failed = timed(lambda: ledger.plug(*documents))  # type: ignore[arg-type]
    if failed:
        raise RuntimeError(str(failed))
    return spent


def _unplug(ledger: Ledger, numbers: Sequence[int]) -> None:
    failed = ledger.unplug(*(attachment(number).id for number in numbers))
    if failed:
        raise RuntimeError(str(failed))


def floor(count: int = 100, turns: int = 3) -> float:
    """Milliseconds per port for the same devices and rules, made in one go and not looked at."""
    with Namespace("floor") as space:
        machine = space.run(LinuxMachine)
        try:
            return min(_floor(machine, count, turn) for turn in range(turns)) / count
        finally:
            machine.close()


def _floor(machine: LinuxMachine, count: int, turn: int) -> float:
    drivers = machine.drivers
    if drivers.bridging is None or drivers.nft is None:
        raise RuntimeError("no drivers")
    bridging, nft = drivers.bridging, drivers.nft
    bridging.make(BridgeSpec("bench", "vifd:net:bench", 1450, "02:00:00:00:00:01"))
    numbers = range(turn * count, (turn + 1) * count)
    taps = [Tap(f"tap{n}", f"fe:{mac(n)[3:]}", 1450, f"vifd:{n}") for n in numbers]
    filters = [ruleset.port_filter(attachment(n), f"tap{n}", opened=True) for n in numbers]
    change = ruleset.install(filters, ruleset.base(False))
    ports = [BridgePort(tap.name, "bench") for tap in taps]

    def work() -> None:
        nft.apply(ruleset.TABLE, change)
        drivers.links.create_taps(taps)
        bridging.enslave(ports)

    spent, _ = timed(work)
    drivers.links.delete([tap.name for tap in taps])
    return spent


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--present", type=int, nargs="+", default=[10, 1000])
    costs = measure(parser.parse_args().present)
    print(f"floor: {floor():.2f} ms per port in a batch of 100")
    for cost in costs:
        print(
            f"{cost.present:5} ports present: one plug p50 {cost.p50:.2f} ms (min "
            f"{min(cost.one):.2f}), {cost.size} at once {min(cost.batch):.0f} ms "
            f"({cost.per_port:.2f} ms per port)"
        )
    first, last = costs[0], costs[-1]
    print(f"ratio: one plug {last.p50 / first.p50:.2f}, batch {last.per_port / first.per_port:.2f}")


if __name__ == "__main__":
    main()
