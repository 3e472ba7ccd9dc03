"""Any history of groups, rules, members, address groups, tunnels and ports, on the fakes of both
plugins and on a real switch: packets go where the model says.

``make stateful RUNS=500`` runs many.
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
#: Runs where nobody says otherwise.
FEW, FEW_REAL = 12, 2


def run(make: Callable[[], History], few: int, steps: int) -> None:
    """:raises AssertionError: a history ended otherwise than the model"""
    HistoryMachine.make = (make,)
    total = int(os.environ.get("STATEFUL_RUNS") or 0)
    given = os.environ.get("STATEFUL_SEED")
    number = int(given.split(",")[0]) if given else time.time_ns() % 100_000 if total else 1
    print(f"seed {number}")
    rules = settings(
        max_examples=total or few, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
        phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(HistoryMachine), settings=rules)


@pytest.mark.parametrize("host", [FakeSwitch, FakeKernel])
def test_any_history_on_fakes(host: type[FakeSwitch | FakeKernel]) -> None:
    run(host, FEW, 25)


def test_any_history_on_a_switch(address: None) -> None:
    with Switch() as ovs:
        run(lambda: RealSwitch(ovs), FEW_REAL, 15)
