"""How large a portion is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vifd.garbage.disposal import FIRST, LARGEST, LEAST, TARGET, next_size


def settles(seconds_each: float) -> int:
    size = FIRST
    for _ in range(12):
        size = next_size(size, size * seconds_each)
    return size


def test_a_busy_switch_gets_small_portions():
    assert settles(0.015) * 0.015 <= 1.5 * TARGET
    assert settles(0.5) == LEAST


def test_what_costs_nothing_goes_in_large_ones():
    assert settles(0.0001) == LARGEST


@given(st.integers(LEAST, LARGEST), st.floats(0, 100))
def test_always_some_and_never_too_many(size, spent):
    assert LEAST <= next_size(size, spent) <= LARGEST
