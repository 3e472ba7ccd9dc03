"""How large a portion is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vifd.garbage.disposal import FIRST, LARGEST, TARGET, next_size


def settles(seconds_each: float) -> int:
    size = FIRST
    for _ in range(12):
        size = next_size(size, size * seconds_each)
    return size


def test_a_busy_switch_gets_small_portions():
    assert settles(0.015) * 0.015 <= 1.5 * TARGET
    assert settles(0.5) == 1


def test_what_costs_nothing_goes_in_large_ones():
    assert settles(0.0001) == LARGEST


@given(st.integers(1, LARGEST), st.floats(0, 100))
def test_always_some_and_never_too_many(size, spent):
    assert 1 <= next_size(size, spent) <= LARGEST
