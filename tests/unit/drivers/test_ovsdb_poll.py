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


def test_the_time_is_kept(poller: ovs.poller.Poller) -> None:
    poller.timer_wait(0.5)
    poller.block()
    poller.immediate_wake()
    poller.block()


def test_the_package_wakes_on_a_descriptor(poller: ovs.poller.Poller) -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"x")
        poller.fd_wait(read, ovs.poller.POLLIN)
        poller.block()
    finally:
        os.close(read)
        os.close(write)
