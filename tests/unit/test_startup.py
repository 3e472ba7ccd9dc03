"""What systemd is told while ports are brought back, and when it is told to wait longer."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.daemon.startup import ALLOWED, TELL, Startup


class Manager:
    """The service manager's end."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def heard(self) -> str:
        """What came since the last time."""
        try:
            return self.socket.recv(4096).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def test_each_port_that_is_settled_gives_the_start_more_time(manager: Manager) -> None:
    left = 2000
    startup = Startup(lambda: left)
    startup.look()
    more = f"EXTEND_TIMEOUT_USEC={ALLOWED}000000\n"
    assert manager.heard() == more + "STATUS=bringing ports back: 0 of 2000"
    startup.look()
    assert not manager.heard(), "nothing was settled"
    left = 1744
    startup.look()
    assert manager.heard() == more + "STATUS=bringing ports back: 256 of 2000"


def test_a_start_that_stands_is_not_waited_for(manager: Manager) -> None:
    left = 5
    startup = Startup(lambda: left)
    startup.look()
    manager.heard()
    for left in (5, 4, 4, 5, 4):  # noqa: B007 - read by the start
        startup.look()
    assert "1 of 5" in manager.heard()
    assert not manager.heard(), "what goes to and fro is no progress"


def test_ports_that_come_back_from_marks_are_counted(manager: Manager) -> None:
    left = 1
    startup = Startup(lambda: left)
    startup.look()
    manager.heard()
    left = 30
    startup.look()
    assert manager.heard().endswith("0 of 30")
    left = 29
    startup.look()
    assert manager.heard().endswith("1 of 30")


def test_a_host_without_ports_has_nothing_to_say(manager: Manager) -> None:
    Startup(lambda: 0).look()
    assert not manager.heard()


def test_a_long_start_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    left, now = 10, 0.0
    startup = Startup(lambda: left, lambda: now)
    with caplog.at_level(logging.INFO):
        startup.look()
        left, now = 8, TELL / 2
        startup.look()
        assert not caplog.records, "a short one is not"
        left, now = 6, TELL + 1
        startup.look()
        left = 5
        startup.look()
    assert [r.getMessage() for r in caplog.records] == ["bringing ports back: 4 of 10 after 31 s"]
