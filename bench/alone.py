"""The parts of the benchmark that need no worlds: programs of their own, of which this makes lines.

They run in processes of their own, because a process that moved to another network namespace, or
set the interpreter's switch interval, is no longer what the others shall be measured in.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report import Figure, Scenario, aims

#: What a neighbour that waits for ever may add to a plug, in milliseconds.
HANG = 10.0
#: What an offer may take, in milliseconds.
OFFER = 1.0
#: The longest that a program may take, in seconds.
_TIMEOUT = 180.0


def ask(program: str, *arguments: object) -> Any:
    """Run a program of this directory and take its measurements."""
    path = Path(__file__).with_name(program)
    done = subprocess.run(
        [sys.executable, str(path), "--json", *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    return json.loads(done.stdout)


def linuxbridge(
    singles: int, batches: int, without: Sequence[str] = ()
) -> tuple[list[Scenario], list[Figure]]:
    """Plugs on Linux bridges beside their floor, with few and with many ports."""
    costs = ask("linuxbridge.py", "--singles", singles, "--batches", batches)
    scenarios = []
    for rank, cost in enumerate(costs):
        for kind, what in (("one", "one plug"), ("batch", f"{cost['size']} at once")):
            title = f"Linux bridge: {what}, {cost['present']} ports present"
            scenario = Scenario(
                title, *aims(title), rank=20_000 + rank + (100 if kind == "batch" else 0)
            )
            for name, key in (("vifd", kind), ("floor", f"floor_{kind}")):
                if name not in without:
                    scenario.add(name, *(value / 1e3 for value in cost[key]))
            scenarios.append(scenario)
    few, many = costs[0], costs[-1]
    ratio = {key: _p50(many[key]) / _p50(few[key]) for key in ("one", "batch")}
    ports = f"{many['present']} ports present to {few['present']}"
    return scenarios, [
        Figure(f"Linux bridge: one plug, {ports}", ratio["one"], "times"),
        Figure(
            f"Linux bridge: per port of {many['size']} at once, {ports}", ratio["batch"], "times"
        ),
    ]


def hang(rounds: int) -> list[Figure]:
    """What a neighbour that hangs adds to the plug of another plugin's port."""
    taken = ask("hang.py", "--rounds", rounds)
    base = _p50(taken["done"]) * 1e3
    more = {kind: _p50(taken[kind]) * 1e3 - base for kind in ("waits", "computes")}
    return [
        Figure("plug beside another plugin that is done, p50", base, "ms"),
        Figure("more beside one that waits for ever", more["waits"], "ms", HANG),
        Figure("more beside one that computes for ever", more["computes"], "ms"),
    ]


def offer(rounds: int) -> list[Figure]:
    """What an offer takes at the socket of a daemon with so many ports, and what others wait."""
    found = ask("offer.py", "--rounds", rounds)
    limits = {name: OFFER for name in found if name.endswith("in the journal")}
    return [
        Figure(f"{name}, p50", _p50(values) * 1e3, "ms", limits.get(name))
        for name, values in found.items()
    ]


def _p50(values: Sequence[float]) -> float:
    return statistics.median(values)
