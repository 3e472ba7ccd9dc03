"""The way back: reverse order, on past failures, once."""

from __future__ import annotations

from vifd.plugin.undo import Undo


def test_newest_first() -> None:
    done: list[str] = []
    undo = Undo()
    for name in ("flows", "device", "port"):
        undo.push(name, lambda name=name: done.append(name))  # type: ignore[misc]
    assert undo.labels == ["flows", "device", "port"]
    assert undo.run() == []
    assert done == ["port", "device", "flows"]


def test_one_that_fails_is_named_and_the_rest_go_on() -> None:
    done: list[str] = []
    undo = Undo()
    undo.push("flows", lambda: done.append("flows"))
    undo.push("device", lambda: 1 / 0)
    undo.push("port", lambda: done.append("port"))
    assert undo.run() == ["device: division by zero"]
    assert done == ["port", "flows"]


def test_it_runs_once() -> None:
    done: list[int] = []
    undo = Undo()
    undo.push("x", lambda: done.append(1))
    undo.run()
    assert undo.run() == []
    assert done == [1]


def test_what_is_kept_is_not_taken_back() -> None:
    undo = Undo()
    undo.push("x", lambda: 1 / 0)
    undo.keep()
    assert undo.run() == []


def test_what_is_pushed_while_it_runs_is_taken_back_as_well() -> None:
    done: list[str] = []
    undo = Undo()
    undo.push("first", lambda: undo.push("second", lambda: done.append("second")))
    undo.run()
    assert done == ["second"]
