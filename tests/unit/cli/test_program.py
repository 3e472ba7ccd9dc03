"""The program itself: terminal, start, help and completion."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading

from unit.api.client import document
from unit.cli.conftest import ARGV, environment
from vifd.testing.wait import PATIENCE


def test_broken_pipe_is_silent(backend, served):
    for _ in range(5000):
        backend.emit("x")
    shell = f"{sys.executable} -m vifd.cli.main events | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{shell}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(served.path),
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_progress_bar_on_a_terminal_only(served, backend, tmp_path):
    file = tmp_path / "docs"
    file.write_text(json.dumps([document(n) for n in range(1, 121)]))
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def drain() -> None:
        try:
            while piece := os.read(ours, 4096):
                seen.append(piece)
        except OSError:
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    subprocess.run(
        [*ARGV, "port", "plug", "-f", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        timeout=60,
        env=environment(served.path),
        check=True,
    )
    os.close(theirs)
    reader.join(timeout=PATIENCE)
    os.close(ours)
    text = b"".join(seen).decode()
    for done in (0, 50, 100, 120):
        assert f" {done}/120" in text
    assert text.endswith("\r\x1b[K")


def test_it_starts_without_the_daemons_world(served):
    """How long a start takes is what it loads, and that is the same on every machine."""
    code = (
        "import sys\n"
        "from vifd.cli.main import main\n"
        "assert main(['port', 'list']) == 0\n"
        "world = {'eventlet', 'falcon', 'msgspec', 'oslo_config', 'ovs', 'pyroute2', 'yaml'}\n"
        "assert not world & set(sys.modules), world & set(sys.modules)\n"
        "assert len(sys.modules) < 300, len(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env=environment(served.path),
        timeout=60,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_help_names_every_command_and_the_exit_codes(vifctl):
    from vifd.cli.app import COMMANDS

    out = vifctl("--help").out
    for command in COMMANDS:
        assert command in out
    assert "3    the daemon cannot be reached" in out
    assert "VIFD_SOCKET" in out


def test_version(vifctl):
    import vifd

    assert vifctl("--version").out == f"vifctl {vifd.__version__}\n"
