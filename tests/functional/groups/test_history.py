"""Any history of groups, rules, members, address groups, tunnels and ports, on the fakes of both
plugins and on a real switch: packets go where the model says.

``make stateful RUNS=500`` runs many; ``make stateful SEED=7`` runs one seed anew.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functional.groups.hosts import FakeKernel, FakeSwitch, History, RealSwitch
from functional.groups.machine import HistoryMachine
from restart.test_kill_tunnels import address
from support import histories
from support.tunnelswitch import Switch

__all__ = ["address"]
#: Runs of one seed; those where nobody says otherwise; steps of a run.
RUNS, FEW, FEW_REAL = 20, 12, 2
STEPS, STEPS_REAL = 25, 15


def run(make: Callable[[], History], number: int, runs: int, steps: int) -> None:
    HistoryMachine.make = (make,)
    print(f"seed {number}")
    histories.run(HistoryMachine, number, runs, steps)


@pytest.mark.parametrize(("number", "runs"), histories.seeds(RUNS, FEW))
@pytest.mark.parametrize("host", [FakeSwitch, FakeKernel])
def test_any_history_on_fakes(
    host: type[FakeSwitch | FakeKernel], number: int, runs: int
) -> None:  # fmt: skip
    run(host, number, runs, STEPS)


@pytest.mark.parametrize(("number", "runs"), histories.seeds(RUNS, FEW_REAL))
def test_any_history_on_a_switch(address: None, number: int, runs: int) -> None:
    with Switch() as ovs:
        run(lambda: RealSwitch(ovs), number, runs, STEPS_REAL)
