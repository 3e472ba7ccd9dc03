"""The bridge between green and native threads, with real threads."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from vifd.api.hub import Hub
from vifd.testing.wait import PATIENCE


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close()


@pytest.fixture
def native() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Have something called on a native thread."""
    work: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        while (fn := work.get()) is not None:
            fn()

    thread = threading.Thread(target=run)
    thread.start()
    yield work.put
    work.put(None)
    thread.join(timeout=PATIENCE)


def run(hub: Hub, fn: Callable[[], object]) -> object:
    """The result of ``fn`` in a green thread."""
    result: Future = Future()

    def green() -> None:
        try:
            result.set_result(fn())
        except BaseException as error:
            result.set_exception(error)

    hub.spawn(green)
    hub.run_until(result)
    return result.result(timeout=0)


def test_result_of_a_native_thread(hub, native):
    def green():
        future: Future = Future()
        native(lambda: future.set_result(threading.get_ident()))
        return hub.wait(future, PATIENCE)

    assert run(hub, green) not in (None, threading.get_ident())


def test_exception_of_a_native_thread(hub, native):
    def green():
        future: Future = Future()
        native(lambda: future.set_exception(LookupError("x")))
        hub.wait(future, PATIENCE)

    with pytest.raises(LookupError, match="x"):
        run(hub, green)


def test_future_that_is_done_already_needs_no_hub(hub):
    future: Future = Future()
    future.set_result(5)
    assert hub.wait(future, 0) == 5


def test_timeout_leaves_the_future_alone(hub):
    future: Future = Future()

    def green():
        with pytest.raises(TimeoutError):
            hub.wait(future, 0.01)
        future.set_result(7)
        return hub.wait(future, 0)

    assert run(hub, green) == 7


def test_late_result_does_not_disturb_the_next_wait(hub, native):
    """The callback of a wait that timed out must not wake a later one."""

    def green():
        late: Future = Future()
        second: Future = Future()
        with pytest.raises(TimeoutError):
            hub.wait(late, 0)
        late.set_result(None)
        with pytest.raises(TimeoutError):
            hub.wait(second, 0.02)
        return True

    assert run(hub, green)


def test_many_waiters_one_future(hub, native):
    future: Future = Future()
    woken: list[int] = []
    done: Future = Future()

    def green(i: int) -> None:
        woken.append(i + hub.wait(future, PATIENCE))
        if len(woken) == 100:
            done.set_result(None)

    for i in range(100):
        hub.spawn(green, i)
    hub.spawn(native, lambda: future.set_result(1000))
    hub.run_until(done)
    assert sorted(woken) == list(range(1000, 1100))


def test_calls_keep_their_order_over_threads(hub, native):
    """Two native threads; the calls of each arrive in its order, and none is lost."""
    seen: list[tuple[str, int]] = []
    n = 2000

    def flood(name: str) -> None:
        for i in range(n):
            hub.call_soon(lambda i=i: seen.append((name, i)))

    threads = [threading.Thread(target=flood, args=(name,)) for name in "ab"]

    def green():
        for thread in threads:
            thread.start()
        while len(seen) < 2 * n:
            hub.sleep(0)

    run(hub, green)
    for thread in threads:
        thread.join(timeout=PATIENCE)
    for name in "ab":
        assert [i for who, i in seen if who == name] == list(range(n))


def test_failing_call_does_not_end_the_bridge(hub, caplog):
    future: Future = Future()
    hub.call_soon(lambda: 1 / 0)
    hub.call_soon(lambda: future.set_result(3))
    assert run(hub, lambda: hub.wait(future, PATIENCE)) == 3
    assert "ZeroDivisionError" in caplog.text


def test_failing_green_thread_is_logged(hub, caplog):
    hub.spawn(lambda: 1 / 0)
    run(hub, lambda: hub.sleep(0))
    assert "ZeroDivisionError" in caplog.text


def test_every_goes_on_after_a_failure_until_cancelled(hub):
    turns: list[int] = []
    enough: Future = Future()

    def turn() -> None:
        turns.append(1)
        if len(turns) == 3:
            timer.cancel()
            enough.set_result(None)
        raise ValueError

    timer = hub.every(0.001, turn)
    hub.run_until(enough)
    run(hub, lambda: hub.sleep(0.02))
    assert len(turns) == 3


def test_wait_outside_of_a_green_thread_is_refused(hub, native):
    """A native thread that parks would stop for ever: say so instead."""
    seen: queue.SimpleQueue = queue.SimpleQueue()

    def wrong() -> None:
        try:
            hub.wait(Future(), PATIENCE)
        except RuntimeError as error:
            seen.put(str(error))

    native(wrong)
    assert "green threads" in seen.get(timeout=PATIENCE)


def test_stop_before_run_and_twice(hub):
    hub.stop()
    hub.stop()
    hub.run_until()
    assert hub.stopped


def test_calls_after_the_end_have_no_effect():
    """A native thread may be late; its write must not go to a descriptor of somebody else."""
    hub = Hub()
    hub.stop()
    hub.run_until()
    hub.close()
    read, write = os.pipe()
    hub.call_soon(lambda: 1 / 0)
    hub.stop()
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_stop_from_a_signal_handler(hub):
    old = signal.signal(signal.SIGUSR1, lambda *_: hub.stop())
    try:
        hub.spawn(os.kill, os.getpid(), signal.SIGUSR1)
        hub.run_until()
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert hub.stopped


def test_a_native_thread_wakes_a_hub_that_sleeps(hub, native):
    """Not woken, it would look again after a minute, each time."""
    answers: list[int] = []

    def green():
        for number in range(300):
            future: Future = Future()
            native(lambda future=future, number=number: future.set_result(number))
            answers.append(hub.wait(future))

    run(hub, green)
    assert answers == list(range(300))


def test_nothing_is_patched_and_nothing_is_printed():
    """In a fresh process: the import is silent and native modules stay native."""
    code = (
        "import vifd.api.hub, threading, socket, queue, time\n"
        "from eventlet import patcher\n"
        "assert not any(patcher.is_monkey_patched(m) for m in ('thread', 'socket', 'os', 'time'))\n"
        "vifd.api.hub.Hub()\n"
        "import eventlet.hubs\n"
        "assert eventlet.hubs.get_hub().__module__ == 'eventlet.hubs.epolls'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
