"""How long a plug takes: vifd beside the floor and os-vif, in turns, in one run.

Beside that: plugs on Linux bridges with their floor, what a plugin that hangs costs another's, and
offers.
``python bench/plug.py`` takes a quarter of an hour and needs root (or unprivileged user namespaces)
and an installed Open vSwitch; nothing of the host's is touched. It prints a table and keeps it in
bench/RESULTS.md, and draws docs/plug-time.svg.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import alone
import picture
import report
import scene
import way
from report import Figure, Scenario, aims
from vifd.testing import sandbox
from world import World

#: The first number of ports that come and go; below are those that are present.
FIRST = 3000
NAMES = ("vifd", "floor", "os-vif")
#: Seconds after which nothing is done any more about ports that came or went.
_SETTLED = 5.0


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    :param rounds: by the number of ports present
    :param seconds: no round of a scenario begins after this
    :param batches: rounds of many at once
    :param idle: seconds for which the idle daemon is watched
    :param pieces: sizes of the pieces in which the floor tries a batch; the best one counts
    :param bridged: single plugs on Linux bridges, and batches of 100
    :param hangs: plugs beside each kind of hanging neighbour
    :param offers: offers beside each number of ports
    """

    rounds: dict[int, int]
    seconds: float
    batches: int
    idle: float
    pieces: tuple[int, ...]
    bridged: tuple[int, int]
    hangs: int
    offers: int


FULL = Effort(
    {10: 100, 50: 40, 100: 60, 200: 30, 500: 20, 1000: 8, 2000: 4}, 25.0, 5, 20.0, (1000, 50),
    (60, 7), 40, 400,
)  # fmt: skip
QUICK = Effort(
    {10: 12, 50: 6, 100: 6, 200: 4, 500: 2, 1000: 2, 2000: 2}, 4.0, 1, 5.0, (1000,), (12, 3), 8, 50
)


class Bench:
    """One run: the worlds, and what was measured in them."""

    def __init__(self, effort: Effort, without: Sequence[str] = ()) -> None:
        self.worlds: list[World] = []
        self.effort = effort
        self.without = without
        self.scenarios: list[Scenario] = []
        self.figures: list[Figure] = []

    def turns(self, rounds: int) -> Iterator[list[World]]:
        """The worlds in turn, beginning with another one each round."""
        end = time.monotonic() + self.effort.seconds
        for number in range(rounds):
            if number >= 3 and time.monotonic() > end:
                return
            start = number % len(self.worlds)
            yield [*self.worlds[start:], *self.worlds[:start]]

    def scenario(self, title: str, *, rank: int = 9999) -> Scenario:
        """Begin a line of the table."""
        say(title)
        scenario = Scenario(title, *aims(title), rank=rank)
        self.scenarios.append(scenario)
        return scenario

    def world(self, name: str) -> World | None:
        """A contender's world, if it takes part."""
        return next((world for world in self.worlds if world.name == name), None)

    def fill(self, count: int) -> None:
        """Have so many ports present everywhere."""
        say(f"{count} ports present")
        for world in self.worlds:
            world.call("fill", count)

    # --- scenarios ---

    def at_once(self, count: int) -> None:
        """Many ports from an empty bridge, and away again; those of the last round stay."""
        self.fill(0)
        plug = self.scenario(f"{count} at once, from empty")
        unplug = self.scenario("unplug of 100") if count == 100 else Scenario("")
        pieces: dict[int, Scenario] = {size: Scenario("") for size in self.effort.pieces}
        numbers = list(range(count))
        rounds = self.effort.batches if count <= 100 else max(1, self.effort.batches // 2)
        for world in self.worlds if count <= 100 else ():
            warm_up(world, numbers)
        for worlds in self.turns(rounds):
            for world in worlds:
                if world.name == "floor":
                    self._pieces(world, numbers, pieces, unplug)
                elif world.name == "vifd" or count <= 100:
                    world.call("fill", 0)  # those of the round before
                    note(plug, world, world.call("batch", numbers))
                    if count <= 100:
                        unplug.add(world.name, world.call("unplug", numbers))
        best = min(pieces.values(), key=lambda piece: piece.p50("floor") or 0.0)
        plug.add("floor", *best.times.get("floor", ()))

    def _pieces(
        self,
        world: World,
        numbers: Sequence[int],
        pieces: dict[int, Scenario],
        unplug: Scenario,
    ) -> None:
        for size, found in pieces.items():
            world.call("fill", 0)
            world.call("chunk", size)
            found.add("floor", world.call("batch", numbers))
            if len(numbers) <= 100:
                unplug.add("floor", world.call("unplug", numbers))
        world.call("chunk", 1000)

    def singly(self, present: int, where: str = "", *, rank: int = 0) -> None:
        """One plug at a time beside ports that are there."""
        scenario = self.scenario(f"one plug, {present} ports present{where}", rank=rank + present)
        used = 0.0
        for world in self.worlds:
            warm_up(world, [FIRST])
        for worlds in self.turns(self.effort.rounds[present]):
            for world in worlds:
                number = FIRST + len(scenario.times.get(world.name, ())) % 300
                before = world.call("cpu") if world.name == "vifd" else 0.0
                note(scenario, world, world.call("one", number))
                used += world.call("cpu") - before if world.name == "vifd" else 0.0
                world.call("unplug", [number])
        took = sum(scenario.times.get("vifd", ()))
        if took:
            title = f"CPU of vifd per plug, {present} ports present{where}, of the plug's time"
            limit = {10: 0.4, 500: 0.1}.get(present) if not where else None
            self.figures.append(Figure(title, used / took, "", limit))

    def together(self, present: int) -> None:
        """Eight callers, four plugs each."""
        each = self.scenario(f"8 callers, {present} ports present, one plug", rank=1000 + present)
        share = self.scenario(f"8 callers, {present} ports present, per port", rank=1000 + present)
        numbers = list(range(FIRST, FIRST + 4 * scene.CALLERS))
        for worlds in self.turns(max(2, self.effort.rounds[present] // 10)):
            for world in worlds:
                if world.name == "os-vif":
                    continue
                *plugs, whole = world.call("callers", numbers)
                each.add(world.name, *plugs)
                share.add(world.name, whole / len(numbers))
                world.call("unplug", numbers)

    def footprint(self, present: int) -> None:
        """What the daemon itself needs, with so many ports."""
        world = self.world("vifd")
        if world is None:
            return
        say(f"memory, idle CPU and start with {present} ports")
        world.call("fill", present)
        time.sleep(_SETTLED)
        worn = world.call("memory")
        start, before = time.monotonic(), world.call("cpu")
        time.sleep(self.effort.idle)
        share = (world.call("cpu") - before) / (time.monotonic() - start) * 100
        restart = world.call("restart")
        fresh = world.call("memory")
        ports = f"{present} ports"
        memory = {100: 70.0, 1000: 120.0}.get(present)
        ready = {0: 0.5, 200: 0.6, 1000: 1.0}.get(present)
        if present != 200:
            self.figures += [
                Figure(f"resident memory with {ports}", fresh["rss"], "MiB", memory),
                Figure("its proportional share", fresh["pss"], "MiB"),
                Figure(f"resident memory before that restart, {ports}", worn["rss"], "MiB"),
                Figure(f"idle CPU with {ports}", share, "% of a core", 0.2),
            ]
        self.figures.append(Figure(f"restart until {ports} are proven", restart, "s", ready))

    def footprints(self, *presents: int) -> None:
        """The same with several numbers of ports."""
        for present in presents:
            self.footprint(present)

    def beside(self, present: int) -> None:
        """Plugs beside so many ports that are there."""
        self.fill(present)
        self.singly(present)
        self.together(present)

    def many(self, present: int) -> None:
        """One plug beside more ports than a host usually has."""
        self.fill(present)
        self.singly(present)

    def one_network(self, *presents: int) -> None:
        """One plug beside ports of the same network, which all hear of it."""
        for present in presents:
            self.fill(present)
            self.singly(present, " on one network", rank=3000)

    # --- without worlds ---

    def linuxbridge(self) -> None:
        """Plugs on Linux bridges, 10 and 1000 ports present."""
        say("Linux bridge")
        scenarios, figures = alone.linuxbridge(*self.effort.bridged, self.without)
        self.scenarios += scenarios
        self.figures += figures

    def hang(self) -> None:
        """Plugs beside another plugin that hangs."""
        say("a hanging neighbour")
        self.figures += alone.hang(self.effort.hangs)

    def offer(self) -> None:
        """Offers beside 0, 100 and 1000 ports in the journal."""
        say("offers")
        self.figures += alone.offer(self.effort.offers)


#: Parts that compare worlds, in an order that fills and clears least.
PARTS: dict[str, Callable[[Bench], None]] = {
    "at-once-100": lambda bench: bench.at_once(100),
    "at-once-500": lambda bench: bench.at_once(500),
    "500": lambda bench: bench.beside(500),
    "at-once-1000": lambda bench: bench.at_once(1000),
    "1000": lambda bench: bench.many(1000),
    "2000": lambda bench: bench.many(2000),
    "footprint": lambda bench: bench.footprints(1000, 200, 100, 0),
    "100": lambda bench: bench.beside(100),
    "10": lambda bench: bench.beside(10),
}
#: Parts with all ports on one network, in worlds of their own.
ONE_NETWORK: dict[str, Callable[[Bench], None]] = {
    "one-network": lambda bench: bench.one_network(50, 200),
    "one-network-1000": lambda bench: bench.one_network(1000),
}
#: What a quick run leaves out.
LONG = ("at-once-1000", "1000", "2000", "one-network-1000")
#: Parts that need none; they run when the worlds are gone.
ALONE: dict[str, Callable[[Bench], None]] = {
    "linuxbridge": Bench.linuxbridge,
    "hang": Bench.hang,
    "offer": Bench.offer,
}


def warm_up(world: World, numbers: Sequence[int]) -> None:
    """Once without the clock: caches, connections and a machine that slept."""
    world.call("batch", numbers)
    world.call("unplug", numbers)


def note(scenario: Scenario, world: World, took: float | list[float]) -> None:
    """Take a time; os-vif has two, until the port is there and until its call returned."""
    if isinstance(took, list):
        scenario.add(world.name, took[0])
        scenario.add(f"{world.name} call", took[1])
    else:
        scenario.add(world.name, took)


def say(text: str) -> None:
    """What is being done, for who waits."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run(bench: Bench, chosen: Sequence[str]) -> None:
    """Run these parts."""
    compare(bench, PARTS, chosen, scene.NETWORKS)
    compare(bench, ONE_NETWORK, chosen, 1)
    for name, part in ALONE.items():
        if name in chosen:
            part(bench)


def compare(
    bench: Bench, parts: dict[str, Callable[[Bench], None]], chosen: Sequence[str], networks: int
) -> None:
    """Run these parts in worlds whose ports are on so many networks."""
    compared = [name for name in parts if name in chosen]
    with contextlib.ExitStack() as stack:
        stack.callback(bench.worlds.clear)
        for name in NAMES if compared else ():
            if name not in bench.without:
                bench.worlds.append(World(name, networks))
                stack.callback(bench.worlds[-1].close)
        for name in compared:
            parts[name](bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if it ran, whatever the figures are."""
    parts = [*PARTS, *ONE_NETWORK, *ALONE]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: a minute")
    parser.add_argument(
        "--keep", action="store_true", help="keep table and picture, whatever was left out"
    )
    parser.add_argument("--ratios", type=Path, help="add the ratios to this file, a line of JSON")
    parser.add_argument("--only", action="append", choices=parts, help="these parts alone")
    parser.add_argument(
        "--profile", action="store_true", help="the way of one plug, step by step; nothing is kept"
    )
    parser.add_argument("--without", action="append", choices=[*NAMES, *ALONE], default=[])
    options = parser.parse_args(arguments)
    if lacking := sandbox.missing():
        parser.error(f"not installed: {', '.join(lacking)}; run tools/bootstrap")
    if options.profile:
        print(way.profile((10,) if options.quick else (10, 100, 500), 20 if options.quick else 40))
        return 0
    start = time.monotonic()
    bench = Bench(QUICK if options.quick else FULL, options.without)
    left_out = (*options.without, *(LONG if options.quick else ()))
    run(bench, options.only or [name for name in parts if name not in left_out])
    scenarios = sorted(bench.scenarios, key=lambda scenario: scenario.rank)
    text = report.render(scenarios, bench.figures, time.monotonic() - start)
    say("")
    print(text)
    if options.ratios:
        report.keep_ratios(options.ratios, scenarios)
    if options.keep or not (options.quick or options.only or options.without):
        report.keep(text)
        picture.keep()
    return 0


if __name__ == "__main__":
    sys.exit(main())
