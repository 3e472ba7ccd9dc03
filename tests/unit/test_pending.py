"""Requests that wait for a removal keep their order, whoever comes between."""

from __future__ import annotations

import pytest

from vifd import errors
from vifd.engine.pending import Pending


@pytest.fixture
def going() -> set[str]:
    return {"p"}


@pytest.fixture
def pending(going: set[str]) -> Pending[str]:
    return Pending(lambda port_id: port_id in going)


def test_only_who_has_something_to_wait_for_waits(pending: Pending[str]) -> None:
    assert pending.park("p", "first")
    assert not pending.park("other", "x")


def test_they_go_on_in_their_order(pending: Pending[str], going: set[str]) -> None:
    for request in ("first", "second"):
        pending.park("p", request)
    going.clear()
    assert pending.free(["p", "other"]) == ["p"]
    assert pending.take("p") == ["first", "second"]
    assert pending.take("p") == []
    assert not pending.park("p", "third")


def test_who_comes_when_the_port_is_gone_waits_behind_the_others(
    pending: Pending[str], going: set[str]
) -> None:
    pending.park("p", "first")
    going.clear()
    assert pending.park("p", "before they are freed")
    pending.free(["p"])
    assert pending.park("p", "before they are taken")
    assert pending.take("p") == ["first", "before they are freed", "before they are taken"]


def test_a_removal_sends_both_rooms_away(pending: Pending[str]) -> None:
    pending.park("p", "first")
    pending.free(["p"])
    pending.park("p", "second")
    assert pending.cancel("p") == ["first", "second"]
    assert pending.take("p") == []
    assert pending.free(["p"]) == []


def test_once_closed_nobody_may_wait(pending: Pending[str], going: set[str]) -> None:
    going.add("q")
    pending.park("p", "first")
    pending.park("q", "second")
    pending.free(["q"])
    assert sorted(pending.close()) == ["first", "second"]
    with pytest.raises(errors.Stopping):
        pending.park("p", "late")
