"""The stand-in for systemd: what Neutron's suite relies on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vifd.testing.wait import until

UNITS = Path(__file__).parents[2] / "fullstack/units.py"
#: Ends when told, and leaves a child that does not.
SERVICE = (
    "sh -c 'trap : TERM; while :; do sleep 1; done' & echo $$ >pid; echo $! >child; exec sleep 900"
)
STUBBORN = "trap '' TERM; echo $$ >pid; while :; do sleep 0.05; done"


class Systemd:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "FULLSTACK_UNITS": str(directory / "units")}

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-E", UNITS, *words], cwd=self.directory, env=self.environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def run(self, *argv: str, patience: str = "25s") -> None:
        done = self.call(
            "run", "--service-type", "exec", "--property", f"TimeoutStopSec={patience}",
            "--property", "KillMode=mixed", "--unit", "u", "--setenv", "GIVEN=a=b", "--same-dir",
            "--collect", *argv,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def state(self) -> str:
        return self.call("ctl", "is-active", "u").stdout.strip()

    def number(self, name: str = "pid") -> int:
        file = self.directory / name
        return int(until(lambda: file.exists() and file.read_text().strip(), f"{name} is written"))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def systemd(tmp_path: Path):
    found = Systemd(tmp_path)
    yield found
    found.call("ctl", "kill", "u")
    until(lambda: found.state() in ("inactive", "failed"), "the unit has ended")


def test_a_unit_is_active_in_its_directory_and_environment(systemd: Systemd):
    systemd.run("sh", "-c", 'echo "$GIVEN" >given; exec sleep 900')
    assert systemd.state() == "active"
    given = systemd.directory / "given"
    until(lambda: given.exists() and given.read_text() == "a=b\n", "the service has begun")


def test_stop_ends_what_the_service_left_as_well(systemd: Systemd):
    systemd.run("sh", "-c", SERVICE)
    child, main = systemd.number("child"), systemd.number()
    assert systemd.call("ctl", "stop", "--no-block", "u").returncode == 0
    until(lambda: systemd.state() == "inactive", "the unit has stopped")
    assert not alive(main)
    assert not alive(child)


def test_a_service_that_does_not_end_is_killed_in_time(systemd: Systemd):
    systemd.run("sh", "-c", STUBBORN, patience="0.5s")
    main = systemd.number()
    systemd.call("ctl", "stop", "--no-block", "u")
    until(lambda: systemd.state() == "inactive", "the unit has stopped")
    assert not alive(main)
    assert "SIGKILL" in (systemd.directory / "units/u/log").read_text()


def test_a_restart_is_seen_at_once_and_is_another_process(systemd: Systemd):
    systemd.run("sh", "-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 900")
    before = systemd.number()
    systemd.call("ctl", "restart", "--no-block", "u")
    until(lambda: systemd.number() != before, "another process runs")
    assert systemd.state() == "active"
    assert not alive(before)


def test_kill_ends_all_at_once_and_nothing_comes_back(systemd: Systemd):
    systemd.run("sh", "-c", STUBBORN)
    main = systemd.number()
    systemd.call("ctl", "kill", "--signal", "9", "--kill-who", "all", "u")
    until(lambda: systemd.state() == "inactive", "the unit is gone")
    assert not alive(main)


def test_a_service_that_ends_by_itself_has_failed(systemd: Systemd):
    systemd.run("sh", "-c", "exit 3")
    until(lambda: systemd.state() == "failed", "the end is told")
    assert systemd.call("ctl", "is-active", "u").returncode == 3


def test_the_suites_own_agent_is_replaced_and_nothing_else(systemd: Systemd):
    systemd.environment["FULLSTACK_L2_AGENT"] = "/bin/echo"
    systemd.run("/x/neutron/tests/fullstack/agents/ovs_agent.py", "--log-dir", "/l")
    output = systemd.directory / "units/u/output"
    until(lambda: output.exists() and output.read_text() == "--log-dir /l\n", "echo has spoken")


def test_names_of_units_are_escaped(systemd: Systemd):
    assert systemd.call("escape", "a b(c,d)-e").stdout == "a_b_c_d_-e\n"
