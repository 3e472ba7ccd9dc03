"""Runs of state machines: which seeds, and under which rules."""

from __future__ import annotations

import os
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def seeds(each: int, few: int) -> list[tuple[int, int]]:
    """Seeds, each with the number of its runs, as ``make stateful`` asks for them.

    :param each: runs of one seed where many are asked for
    :param few: runs of the one seed where nobody says otherwise
    """
    if given := os.environ.get("STATEFUL_SEED"):
        return [(int(number), each) for number in given.split(",")]
    total = int(os.environ.get("STATEFUL_RUNS") or 0)
    if not total:
        return [(1, few)]
    first = time.time_ns() % 100_000
    return [(first + n, each) for n in range(-(-total // each))]


def run(machine: type[RuleBasedStateMachine], number: int, runs: int, steps: int) -> None:
    """Run the histories of a seed.

    :raises AssertionError: one ended otherwise than it should
    """
    rules = settings(
        max_examples=runs, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
        phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(machine), settings=rules)
