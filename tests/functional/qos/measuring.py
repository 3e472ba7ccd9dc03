"""Measured rates held to what was asked for."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from functional.qos.stations import SPAN

RATE = 10_000
#: A tenth of a second's worth: less would cost what a busy machine makes the switch wait.
BURST = 2_000
#: So many measurements there are at most: on a machine that is busy with others a sender may not
#: get to send enough.
TRIES = 6


def limit(direction: str, rate: int = RATE) -> dict[str, Any]:
    """A rule that limits bandwidth."""
    return {"type": "bandwidth_limit", "max_kbps": rate, "max_burst_kbps": BURST,
            "direction": direction}  # fmt: skip


def close_to(wanted: float, found: Iterator[float], burst: float = BURST * 1000) -> float:
    """The first measurement that is within 10 % of what is wanted. None may be above; where none
    is within and the machine is busy with others, it did not get to send enough.

    :param burst: what may pass besides, in one measurement
    """
    seen = []
    for value in itertools.islice(found, TRIES):
        seen.append(value)
        assert value <= 1.1 * wanted + burst / SPAN
        if abs(value - wanted) <= wanted / 10:
            return value
    skip_if_busy(seen)
    return max(seen)


def skip_if_busy(seen: list[float]) -> None:
    """A sender that has no turn measures the machine, and not the limit."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 3 * cores:
        pytest.skip(f"needs a machine that is not busy: load {load:.0f}, measured {max(seen):.3g}")
