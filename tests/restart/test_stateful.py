"""Whatever happens to a host, in any order: it comes to what is wanted.

``make stateful RUNS=500`` runs many; ``make stateful SEED=7`` runs one seed anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from restart.machine import HostMachine, World
from restart.places import OnBridges, OnSwitch, Place
from restart.test_kill_tunnels import address, ovs
from support import histories
from vifd.testing.sandbox import PrivateOvs

#: A switch on a host that has the address which tunnels leave from.
__all__ = ["address", "ovs"]
#: Runs of one seed, and steps of one run.
RUNS, STEPS = 10, 8
#: What runs where nobody says otherwise: few enough for every change of the code.
FEW = 5


@pytest.fixture(params=["switch", "bridges"])
def world(request: pytest.FixtureRequest, ovs: PrivateOvs, tmp_path: Path) -> Iterator[World]:
    place: Place = OnSwitch(ovs) if request.param == "switch" else OnBridges()
    made = World(ovs, place, tmp_path / "v")
    yield made
    made.close()


@pytest.mark.parametrize(("number", "runs"), histories.seeds(RUNS, FEW))
def test_any_history_ends_as_wanted(number: int, runs: int, world: World) -> None:
    HostMachine.world = world
    sys.stderr.write(f"\nseed {number}, {runs} runs\n")
    start = time.monotonic()
    try:
        histories.run(HostMachine, number, runs, STEPS)
    finally:
        took = time.monotonic() - start
        sys.stderr.write(f"seed {number}: {world.runs} runs, {world.steps} steps, {took:.0f} s\n")
