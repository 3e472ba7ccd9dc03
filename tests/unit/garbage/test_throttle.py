"""How large a portion is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.engine.garbage.throttle import LARGEST, LEAST, TARGET, Throttle


def settles(each: float, fixed: float = 0.0, *, noise: float = 0.0) -> int:
    """The size of the portions on a switch that takes so many seconds."""
    throttle = Throttle()
    for number in range(40):
        late = noise * (number % 3)
        throttle.took(throttle.size, fixed + throttle.size * each + late)
    return throttle.size


def test_a_busy_switch_gets_small_portions():
    assert settles(0.015) * 0.015 <= 1.5 * TARGET
    assert settles(0.5) <= LEAST + 1


def test_what_costs_nothing_goes_in_large_ones():
    assert settles(0.0001) == LARGEST


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_where_a_portion_alone_is_costly_there_are_fewer(noise):
    """As with 1,200 devices on the bridge: a portion of 2 takes 140 ms, one of 8 takes 220."""
    size = settles(0.014, 0.110, noise=noise)
    assert 5 <= size <= 16
    assert 0.110 + size * 0.014 <= 2.5 * 0.110


def test_where_it_is_very_costly_the_pauses_of_the_switch_do_not_become_much_longer():
    assert 3 <= settles(0.03, 0.6) <= 10


def test_it_does_not_grow_at_once():
    throttle = Throttle()
    throttle.took(4, 0.0001)
    assert throttle.size == 8


def test_it_becomes_smaller_again():
    throttle = Throttle()
    for _ in range(10):
        throttle.took(throttle.size, 0.0001)
    assert throttle.size == LARGEST
    for _ in range(10):
        throttle.took(throttle.size, throttle.size * 0.015)
    assert throttle.size * 0.015 <= 2 * TARGET


@given(st.lists(st.tuples(st.integers(1, LARGEST), st.floats(0, 100)), min_size=1))
def test_always_some_and_never_too_many(portions):
    throttle = Throttle()
    for size, spent in portions:
        throttle.took(size, spent)
        assert LEAST <= throttle.size <= LARGEST
