"""Whatever happens to a host, in any order: it comes to what is wanted.

``make stateful RUNS=500`` runs many; ``make stateful SEED=7`` runs one seed anew.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from restart.machine import HostMachine, World
from restart.test_kill_tunnels import address, ovs
from vifd.testing.sandbox import PrivateOvs

#: A switch on a host that has the address which tunnels leave from.
__all__ = ["address", "ovs"]
#: Runs of one seed, and steps of one run.
RUNS, STEPS = 10, 8
#: What runs where nobody says otherwise: few enough for every change of the code.
FEW = 5


@pytest.fixture
def world(ovs: PrivateOvs, tmp_path: Path) -> Iterator[World]:
    made = World(ovs, tmp_path / "v")
    yield made
    made.close()


def _seeds() -> list[tuple[int, int]]:
    """Seeds, each with the number of its runs."""
    if given := os.environ.get("STATEFUL_SEED"):
        return [(int(number), RUNS) for number in given.split(",")]
    total = int(os.environ.get("STATEFUL_RUNS") or 0)
    if not total:
        return [(1, FEW)]
    first = time.time_ns() % 100_000
    return [(first + n, RUNS) for n in range(-(-total // RUNS))]


@pytest.mark.parametrize(("number", "runs"), _seeds())
def test_any_history_ends_as_wanted(number: int, runs: int, world: World) -> None:
    rules = settings(
        max_examples=runs, stateful_step_count=STEPS, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )  # fmt: skip
    HostMachine.world = world
    sys.stderr.write(f"\nseed {number}, {runs} runs\n")
    start = time.monotonic()
    try:
        run_state_machine_as_test(seed(number)(HostMachine), settings=rules)
    finally:
        took = time.monotonic() - start
        sys.stderr.write(f"seed {number}: {world.runs} runs, {world.steps} steps, {took:.0f} s\n")
