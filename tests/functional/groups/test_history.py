"""Any history of groups, rules, members, address groups, tunnels and ports, on the fakes of both
plugins and on a real switch: packets go where the model says.

``make stateful RUNS=500`` runs many; ``make stateful SEED=7`` runs one seed anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from functional.groups.hosts import FakeKernel, FakeSwitch, History, RealSwitch
from functional.groups.machine import HistoryMachine
from restart.test_kill_tunnels import address
from support.tunnelswitch import Switch

__all__ = ["address"]
#: Runs of one seed; those where nobody says otherwise; steps of a run.
RUNS, FEW, FEW_REAL = 20, 12, 2
STEPS, STEPS_REAL = 25, 15


def seeds(few: int) -> list[tuple[int, int]]:
    """Seeds, each with the number of its runs."""
    if given := os.environ.get("STATEFUL_SEED"):
        return [(int(number), RUNS) for number in given.split(",")]
    total = int(os.environ.get("STATEFUL_RUNS") or 0)
    if not total:
        return [(1, few)]
    first = time.time_ns() % 100_000
    return [(first + n, RUNS) for n in range(-(-total // RUNS))]


def run(make: Callable[[], History], number: int, runs: int, steps: int) -> None:
    """:raises AssertionError: a history ended otherwise than the model"""
    HistoryMachine.make = (make,)
    print(f"seed {number}")
    rules = settings(
        max_examples=runs, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
        phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(HistoryMachine), settings=rules)


@pytest.mark.parametrize(("number", "runs"), seeds(FEW))
@pytest.mark.parametrize("host", [FakeSwitch, FakeKernel])
def test_any_history_on_fakes(
    host: type[FakeSwitch | FakeKernel], number: int, runs: int
) -> None:  # fmt: skip
    run(host, number, runs, STEPS)


@pytest.mark.parametrize(("number", "runs"), seeds(FEW_REAL))
def test_any_history_on_a_switch(address: None, number: int, runs: int) -> None:
    with Switch() as ovs:
        run(lambda: RealSwitch(ovs), number, runs, STEPS_REAL)
