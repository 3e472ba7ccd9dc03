"""Events, also over a restart of the daemon."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import ARGV, environment
from unit.cli.documents import plug


class Following:
    """vifctl as it follows the events."""

    def __init__(self, path: str, *argv: str) -> None:
        self.process = subprocess.Popen(
            [*ARGV, "events", "--follow", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(path),
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def end(self, number: int = signal.SIGKILL) -> tuple[int, str]:
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


@pytest.fixture
def following(served):
    started = []

    def start(*argv: str) -> Following:
        started.append(Following(served.path, *argv))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()


def test_events(vifctl, backend):
    plug(vifctl, document())
    backend.emit("x")
    lines = vifctl("events").out.splitlines()
    assert [line.split()[1:3] for line in lines] == [["#1", "live"], ["#2", "x"]]
    assert f"port={uuid(1)}" in lines[0]
    objects = [json.loads(line) for line in vifctl("events", "-f", "json").out.splitlines()]
    assert [o["event"] for o in objects] == ["live", "x"]
    assert len(vifctl("events", "--after", "1").out.splitlines()) == 1
    assert vifctl("events", "--after", "x").code == 1


def test_follow_and_interrupt(backend, following):
    backend.emit("first")
    reader = following()
    assert "#1 first" in reader.line()
    backend.emit("second")
    assert "#2 second" in reader.line()
    assert reader.end(signal.SIGINT) == (130, "")


def test_follow_goes_on_over_a_restart_of_the_daemon(backend, tmp_path):
    from support.api import serve

    path = str(tmp_path / "again")
    with serve(backend, path):
        reader = Following(path)
        for n in range(1, 4):
            backend.emit("x")
            assert f"#{n} x" in reader.line()
    backend.emit("while it was away")
    with serve(backend, path):
        assert "#4 while" in reader.line()
        backend.emit("x")
        assert "#5 x" in reader.line()
        reader.end()


def test_follow_of_nobody(vifctl, tmp_path):
    assert vifctl("events", "--follow", "--socket", str(tmp_path / "none")).code == 3
