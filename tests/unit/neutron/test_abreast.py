"""Questions that are asked abreast."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from vifd.network.neutron.abreast import answers
from vifd.network.neutron.bus import Refused
from vifd.network.neutron.objects import SERVED
from vifd.network.neutron.versions import ASKED, newest
from vifd.testing.wait import PATIENCE


def test_none_waits_for_the_answer_of_another_and_the_order_is_kept():
    together = threading.Barrier(3, timeout=PATIENCE)

    def question(number: int) -> int:
        together.wait()
        return number

    assert list(answers([partial(question, n) for n in range(9)], 3)) == list(range(9))


def test_no_more_than_so_many_are_under_way():
    lock, under_way, most = threading.Lock(), 0, 0

    def question() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        with lock:
            under_way -= 1

    assert len(list(answers([question] * 50, 2))) == 50
    assert most <= 2


def test_an_error_is_raised_in_its_turn_and_the_rest_is_not_asked():
    asked, held = [], threading.Event()

    def question(number: int) -> int:
        asked.append(number)
        if number == 1:
            raise ConnectionError
        if number > 1:
            assert held.wait(PATIENCE)
        return number

    found = answers([partial(question, n) for n in range(20)], 2)
    assert next(found) == 0
    with pytest.raises(ConnectionError):
        next(found)
    held.set()
    # of those that were begun before it was raised
    assert len(asked) < 20


def test_a_release_that_lacks_a_version_is_asked_for_it_once():
    new, old = SERVED["Port"]
    asked: list[str] = []

    def ask(_kind: str, _object_id: str, version: str) -> bool:
        asked.append(version)
        if version == new:
            raise Refused("InvalidTargetVersion", version)
        return True

    assert newest(ask, "Port", "id") == old
    assert asked.count(new) == 1
    assert asked.count(old) == ASKED
