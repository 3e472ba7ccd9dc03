"""Requests that wait for a removal keep their order, whoever comes between."""

from __future__ import annotations

import pytest

from vifd import errors
from vifd.engine.parking import Parking


@pytest.fixture
def going() -> set[str]:
    return {"p"}


@pytest.fixture
def parking(going: set[str]) -> Parking[str]:
    return Parking(lambda port_id: port_id in going)


def test_only_who_has_something_to_wait_for_waits(parking: Parking[str]) -> None:
    assert parking.park("p", "first")
    assert not parking.park("other", "x")


def test_they_go_on_in_their_order(parking: Parking[str], going: set[str]) -> None:
    for request in ("first", "second"):
        parking.park("p", request)
    going.clear()
    assert parking.free(["p", "other"]) == ["p"]
    assert parking.take("p") == ["first", "second"]
    assert parking.take("p") == []
    assert not parking.park("p", "third")


def test_who_comes_when_the_port_is_gone_waits_behind_the_others(
    parking: Parking[str], going: set[str]
) -> None:
    parking.park("p", "first")
    going.clear()
    assert parking.park("p", "before they are freed")
    parking.free(["p"])
    assert parking.park("p", "before they are taken")
    assert parking.take("p") == ["first", "before they are freed", "before they are taken"]


def test_a_removal_sends_both_rooms_away(parking: Parking[str]) -> None:
    parking.park("p", "first")
    parking.free(["p"])
    parking.park("p", "second")
    assert parking.cancel("p") == ["first", "second"]
    assert parking.take("p") == []
    assert parking.free(["p"]) == []


def test_once_closed_nobody_may_wait(parking: Parking[str], going: set[str]) -> None:
    going.add("q")
    parking.park("p", "first")
    parking.park("q", "second")
    parking.free(["q"])
    assert sorted(parking.close()) == ["first", "second"]
    with pytest.raises(errors.Stopping):
        parking.park("p", "late")
