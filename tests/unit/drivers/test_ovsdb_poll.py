"""The poll object does what the package's own does."""

import os
import select
import socket

import ovs.poller
import pytest

from vifd.drivers import ovsdb_poll


@pytest.fixture
def poller(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(ovs.poller, "SelectPoll", ovs.poller.SelectPoll)
    ovsdb_poll.install()
    return ovs.poller.Poller()


def test_events_of_one_descriptor_add_up() -> None:
    left, right = socket.socketpair()
    with left, right:
        poll = ovsdb_poll.Poll()
        poll.register(left, select.POLLIN)
        poll.register(left.fileno(), select.POLLOUT)
        assert poll.poll(1000) == [(left.fileno(), select.POLLOUT)]
        right.send(b"x")
        assert poll.poll(1000) == [(left.fileno(), select.POLLIN | select.POLLOUT)]


def test_the_time_is_kept(poller: ovs.poller.Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package wants to wait is what the kernel is asked to wait, in milliseconds."""
    asked: list[float] = []

    class Kernel:
        def register(self, descriptor: int, events: int) -> None:
            """Nothing happens to it."""

        def poll(self, timeout: float) -> list[tuple[int, int]]:
            asked.append(timeout)
            return []

    monkeypatch.setattr(select, "poll", Kernel)
    poller.timer_wait(60_000)
    poller.block()
    poller.immediate_wake()
    poller.block()
    poller.block()
    assert 0 < asked[0] <= 60_000
    assert asked[1:] == [0, -1]


def test_the_package_wakes_on_a_descriptor(poller: ovs.poller.Poller) -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"x")
        poller.fd_wait(read, ovs.poller.POLLIN)
        poller.block()
    finally:
        os.close(read)
        os.close(write)
