"""Any history of trunks, on fakes and on a real switch: frames of each port go to its network; and
on bridges of the kernel: every sub-port has its device, and its tag passes while it shall.

``make stateful RUNS=500`` runs many; ``make stateful SEED=7`` runs one seed anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from contract import linuxbridge
from contract import ovs as make
from functional.scene import Scene
from functional.trunks.bridge_machine import BridgeTrunkMachine
from functional.trunks.machine import Make, TrunkMachine
from support import histories
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd.testing.sandbox import PrivateOvs

#: Runs of one seed; those where nobody says otherwise; steps of a run.
RUNS, FEW, FEW_REAL = 20, 6, 1
STEPS = 20


@contextlib.contextmanager
def on_fakes() -> Iterator[Ledger]:
    yield Ledger(FakeMachine().drivers, make.plugin)


@contextlib.contextmanager
def on_bridges() -> Iterator[Ledger]:
    ledger = Ledger(FakeMachine().drivers, lambda host: linuxbridge.plugin(host, serve_local=True))
    ledger.plugin.probe()
    yield ledger


def run(host: Make, number: int, runs: int, machine: type[TrunkMachine] = TrunkMachine) -> None:
    machine.make = (host,)
    print(f"seed {number}")
    histories.run(machine, number, runs, STEPS)


@pytest.mark.parametrize(("number", "runs"), histories.seeds(RUNS, FEW))
def test_any_history_on_bridges_of_the_kernel(number: int, runs: int) -> None:
    run(on_bridges, number, runs, BridgeTrunkMachine)


@pytest.mark.parametrize(("number", "runs"), histories.seeds(RUNS, FEW))
def test_any_history_on_fakes(number: int, runs: int) -> None:
    run(on_fakes, number, runs)


@pytest.mark.parametrize(("number", "runs"), histories.seeds(RUNS, FEW_REAL))
def test_any_history_on_a_switch(ovs: PrivateOvs, number: int, runs: int) -> None:
    @contextlib.contextmanager
    def on_a_switch() -> Iterator[Ledger]:
        with Scene(ovs) as scene:
            yield scene.ledger

    run(on_a_switch, number, runs)
