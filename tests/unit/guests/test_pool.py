"""Blocking calls on threads of their own."""

from __future__ import annotations

import threading

import pytest

from vifd.guests.pool import Pool

WAIT = 60.0


def test_results_and_exceptions_are_the_callers():
    pool = Pool("test", 2)
    assert pool.submit(lambda a, b: a + b, 1, b=2).result(WAIT) == 3
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(WAIT)


def test_no_more_at_a_time_than_allowed_and_threads_are_used_again():
    pool = Pool("test-most", 2)
    gate, together = threading.Event(), []
    lock = threading.Lock()
    running = [0]

    def call():
        with lock:
            running[0] += 1
            together.append(running[0])
        gate.wait(WAIT)
        with lock:
            running[0] -= 1

    futures = [pool.submit(call) for _ in range(6)]
    gate.set()
    for future in futures:
        future.result(WAIT)
    assert max(together) <= 2
    names = [t.name for t in threading.enumerate() if t.name.startswith("test-most")]
    assert len(names) <= 2
    assert all(t.daemon for t in threading.enumerate() if t.name in names)


def test_after_the_end_nothing_begins():
    pool = Pool("test", 1)
    begun, gate = threading.Event(), threading.Event()

    def call():
        begun.set()
        return gate.wait(WAIT)

    running = pool.submit(call)
    waiting = pool.submit(lambda: 1)
    assert begun.wait(WAIT)
    pool.stop()
    gate.set()
    assert running.result(WAIT)
    assert pool.submit(lambda: 1).cancelled()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - cancelled
        waiting.result(WAIT)
