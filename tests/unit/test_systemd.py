"""sd_notify on a real datagram socket."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.daemon import systemd
from vifd.testing.wait import PATIENCE


def listen(address: str | bytes) -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(PATIENCE)
    return manager


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with listen(path) as listener:
        yield listener


def test_the_state_arrives(manager: socket.socket) -> None:
    assert systemd.notify("READY=1\nSTATUS=3 ports")
    assert manager.recv(1000) == b"READY=1\nSTATUS=3 ports"


def test_the_state_arrives_at_an_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"vifd-{uuid.uuid4()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listen(b"\0" + name.encode()) as manager:
        assert systemd.notify("WATCHDOG=1")
        assert manager.recv(1000) == b"WATCHDOG=1"


def test_without_a_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")


def test_a_manager_that_is_gone_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with caplog.at_level(logging.WARNING):
        assert not systemd.notify("READY=1")
    assert "READY=1" in caplog.text


def test_a_manager_that_does_not_read_never_stops_the_daemon(manager: socket.socket) -> None:
    sent = 0
    while systemd.notify("WATCHDOG=1"):
        sent += 1
        assert sent < 100_000, "the socket never fills up"
    assert manager.recv(1000) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", None, 15.0), ("30000000", "own", 15.0), ("30000000", "1", None),
        (None, None, None), ("", None, None), ("-5", None, None), ("x", None, None),
    ],
)  # fmt: skip
def test_the_watchdog_wants_a_sign_twice_in_its_time(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, seconds: float | None
) -> None:
    own = str(os.getpid()) if pid == "own" else pid
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", own)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_interval() == seconds
