"""Threads of the daemon that fail are begun anew and told of; one that is gone ends the daemon."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from unit.machine import until
from vifd.daemon import daemon, systemd
from vifd.safety import steady
from vifd.safety.steady import OFTEN, Steady
from vifd.testing.wait import PATIENCE


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "PAUSES", (0.001,))


def failing(times: int, error: Callable[[], BaseException]) -> tuple[Steady, threading.Event]:
    left, through = list(range(times)), threading.Event()

    def work() -> None:
        if left:
            left.pop()
            raise error()
        through.set()

    return Steady(work, "test-thread"), through


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, KeyboardInterrupt, ValueError])
def test_a_thread_that_fails_is_begun_anew(error: type[BaseException], caplog) -> None:
    thread, through = failing(2, error)
    thread.start()
    assert through.wait(PATIENCE)
    thread.join(PATIENCE)
    assert thread.failures == 2
    assert not thread.stuck
    assert steady.failures()["test-thread"] == 2
    told = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert len(told) == 2
    assert "test-thread" in told[0].message


def test_one_that_fails_again_and_again_is_a_problem() -> None:
    thread, through = failing(OFTEN, ValueError)
    thread.start()
    assert through.wait(PATIENCE)
    assert any("test-thread fails again and again (ValueError)" in p for p in steady.problems())
    assert not any("test-thread" in p for p in steady.stuck())


def test_a_turn_that_does_not_end_is_a_problem() -> None:
    now = [0.0]
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with thread.turn():
            inside.set()
            leave.wait(PATIENCE)

    thread = Steady(work, "slow-thread", patience=5.0, clock=lambda: now[0])
    thread.start()
    assert inside.wait(PATIENCE)
    now[0] = 4.0
    assert not thread.stuck
    now[0] = 6.0
    assert "slow-thread has been at one piece of work for 6 s" in thread.stuck
    leave.set()
    thread.join(PATIENCE)
    assert not thread.stuck


def test_a_thread_that_is_gone_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = Steady(lambda: None, "gone-thread")
    # as if C code had ended it
    monkeypatch.setattr(thread, "run", lambda: None)
    thread.start()
    thread.join(PATIENCE)
    until(lambda: not thread.is_alive())
    assert thread.stuck == "thread gone-thread is gone"


def test_the_watchdog_is_not_fed_once_a_thread_is_gone(monkeypatch, caplog) -> None:
    sent: list[str] = []
    monkeypatch.setattr(systemd, "notify", sent.append)
    monkeypatch.setattr(steady, "stuck", list)
    daemon.Daemon._feed(object())  # type: ignore[arg-type]
    assert sent == ["WATCHDOG=1"]
    monkeypatch.setattr(steady, "stuck", lambda: ["thread intake is gone"])
    daemon.Daemon._feed(object())  # type: ignore[arg-type]
    assert sent == ["WATCHDOG=1"]
    assert "thread intake is gone; the watchdog is not fed" in caplog.text


def test_other_threads_that_end_are_told(caplog) -> None:
    def fail() -> None:
        raise OSError("no more")

    before = threading.excepthook
    with steady.watched():
        thread = threading.Thread(target=fail, name="passer-by")
        thread.start()
        thread.join(PATIENCE)
    assert "thread passer-by ended by OSError" in caplog.text
    assert threading.excepthook is before
