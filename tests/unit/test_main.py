"""The daemon as a process: exit codes and the sentence that goes with each."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from vifd import main
from vifd.store import schema as store_schema
from vifd.testing.wait import PATIENCE

TIMEOUT = 3 * PATIENCE


class Process:
    """A vifd that keeps to a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.options: dict[str, dict[str, object]] = {
            "DEFAULT": {"state_path": self.state},
            "api": {"socket": directory / "vifd.sock"},
            "openvswitch": {"ovsdb_connection": f"unix:{directory}/db.sock", "rundir": directory},
        }
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def argv(self, options: Mapping[str, Mapping[str, object]]) -> list[str]:
        lines = []
        for group in {**self.options, **options}:
            lines.append(f"[{group}]")
            values = {**self.options.get(group, {}), **options.get(group, {})}
            lines += [f"{name} = {value}" for name, value in values.items()]
        path = self.directory / "agent.conf"
        path.write_text("\n".join(lines) + "\n")
        return [sys.executable, "-W", "ignore", "-m", "vifd.main", "--config-file", str(path)]

    def run(self, **options: Mapping[str, object]) -> tuple[int, str]:
        """Exit code, and what stderr said last."""
        done = subprocess.run(
            self.argv(options), env=self.env, capture_output=True, text=True, timeout=TIMEOUT,
            check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        said = [line for line in done.stderr.splitlines() if line.startswith("vifd: ")]
        return done.returncode, said[-1] if said else ""


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path)


def test_a_bad_value_ends_it_with_a_sentence(process: Process) -> None:
    code, said = process.run(engine={"verify_timeout": "soon"})
    assert code == main.EXIT_CONFIG
    assert said.startswith("vifd: the configuration cannot be used: ")
    assert "verify_timeout" in said
    assert not process.state.exists(), "nothing was touched"


def test_plugins_that_contradict_each_other_end_it_with_a_sentence(process: Process) -> None:
    mappings = {"ovs": "physnet1:br-a", "vhostuser": "physnet1:br-b"}
    code, said = process.run(**{
        group: {"bridge_mappings": value} for group, value in mappings.items()
    })  # fmt: skip
    assert code == main.EXIT_CONFIG
    assert "the configuration cannot be used: [ovs] bridge_mappings is physnet1:br-a and" in said
    assert "[vhostuser] bridge_mappings is physnet1:br-b" in said
    assert not (process.state / "journal.db").exists(), "nothing was touched"


def test_a_log_file_that_cannot_be_written_is_a_bad_value(process: Process) -> None:
    code, said = process.run(DEFAULT={"log_file": process.directory / "no" / "vifd.log"})
    assert code == main.EXIT_CONFIG
    assert "vifd.log" in said


def test_a_second_instance_is_refused_with_the_firsts_pid(process: Process) -> None:
    with main.sole(process.state):
        code, said = process.run()
    assert code == main.EXIT_RUNNING
    assert f"pid {os.getpid()}" in said
    assert str(process.state) in said


def test_a_journal_of_a_newer_vifd_ends_it(process: Process) -> None:
    process.state.mkdir()
    db = sqlite3.connect(process.state / "journal.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    code, said = process.run()
    assert code == main.EXIT_JOURNAL
    assert "E_REC_STORE_VERSION" in said
    assert f"has schema 99, this vifd knows up to {store_schema.VERSION}" in said
    assert ". Next: " in said


def test_a_state_directory_that_cannot_be_made_ends_it(process: Process) -> None:
    process.state.write_text("a file is in the way")
    code, said = process.run()
    assert code == main.EXIT_JOURNAL
    assert str(process.state) in said


def test_strict_mode_refuses_to_start_without_a_plugin(process: Process) -> None:
    code, said = process.run(plugins={"strict": True, "enabled_plugins": "ghost"})
    assert code == main.EXIT_PLUGIN
    assert "'ghost'" in said
    assert "it is not installed" in said


def test_a_network_service_that_is_not_installed_ends_it(process: Process, isolated: None) -> None:
    code, said = process.run(network={"service": "ghost"})
    assert code == main.EXIT_PLUGIN
    assert "'ghost'" in said
    assert "local" in said


def test_a_socket_that_cannot_be_had_ends_it(process: Process, isolated: None) -> None:
    code, said = process.run(api={"socket": process.directory / "no" / "x" / "vifd.sock",
                                  "socket_group": "no-such-group"})  # fmt: skip
    assert code == main.EXIT_SOCKET
    assert said


def test_from_ready_to_an_orderly_end(process: Process, isolated: None) -> None:
    path = process.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(TIMEOUT)
        env = {**process.env, "NOTIFY_SOCKET": str(path)}
        child = subprocess.Popen(process.argv({}), env=env, stderr=subprocess.PIPE, text=True)
        try:
            assert manager.recv(1000).startswith(b"READY=1")
            code, said = process.run()
            assert code == main.EXIT_RUNNING
            assert f"pid {child.pid}" in said
            child.send_signal(signal.SIGTERM)
            assert manager.recv(1000) == b"STOPPING=1"
            _, errors = child.communicate(timeout=TIMEOUT)
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
    assert child.returncode == main.EXIT_OK
    assert "Traceback" not in errors
    with main.sole(process.state):
        pass


# --- the lock -------------------------------------------------------------------------------------


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    taken = pytest.raises(main.AlreadyRunning, match=str(os.getpid()))
    with main.sole(tmp_path), taken, main.sole(tmp_path):
        pytest.fail("two hold the lock")
    with main.sole(tmp_path):
        assert (tmp_path / "vifd.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_file_of_a_process_that_died_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "vifd.lock").write_text("1234567\n")
    with main.sole(tmp_path):
        assert (tmp_path / "vifd.lock").read_text() == f"{os.getpid()}\n"
