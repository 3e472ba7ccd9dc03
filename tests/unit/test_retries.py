"""When ports that failed are tried again."""

from __future__ import annotations

import time
from itertools import pairwise

from vifd.engine.retries import IDLE, Retries


def due(retries: Retries, port: str) -> float:
    left = retries.remaining(port)
    assert left is not None
    return left


def test_pauses_grow_up_to_the_longest_and_never_end() -> None:
    retries, pauses = Retries(), []
    for _ in range(12):
        retries.later("a", first=1.0, longest=60.0)
        pauses.append(due(retries, "a"))
    assert all(b > a for a, b in pairwise(pauses[:6]))
    assert 59.0 < pauses[-1] <= 75.0


def test_who_asks_anew_starts_anew() -> None:
    retries = Retries()
    for _ in range(6):
        retries.later("a", first=1.0, longest=60.0)
    retries.afresh(["a", "nobody"])
    assert due(retries, "a") > 20.0, "its attempt stands until the request was served"
    retries.later("a", first=1.0, longest=60.0)
    assert due(retries, "a") < 1.5


def test_each_port_is_due_once_at_its_own_time() -> None:
    retries, now = Retries(), time.monotonic()
    retries.later("soon", first=1.0, longest=60.0)
    retries.later("late", first=10.0, longest=60.0)
    ports, following = retries.take(now)
    assert ports == []
    assert 0.9 < following - now < 2.0
    ports, following = retries.take(now + 2.0)
    assert ports == ["soon"]
    assert 9.0 < following - now < 14.0
    assert retries.pending == 1
    retries.done("late")
    assert retries.take(now + 99.0) == ([], now + 99.0 + IDLE)
