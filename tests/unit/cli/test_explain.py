"""``vifctl port explain``: the page, the exit codes, and the journal where nobody answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import ARGV, environment, terminal
from unit.cli.documents import plug
from unit.explain.test_offline import ID, write
from vifd.cli import explained
from vifd.model import Evidence

TAG = Evidence("ovsdb.tag", 77, 1, ok=False, source="ovsdb")


def test_0_nothing_is_broken(vifctl):
    plug(vifctl, document())
    done = vifctl("port", "explain", uuid(1))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"port {uuid(1)} (web-1)"
    assert any(line.startswith("nothing broken") for line in lines)
    assert "from the host, just now" in done.out
    assert "✓ flows" in done.out
    assert "✗" not in done.out


def test_1_something_is_broken(vifctl, backend):
    plug(vifctl, document())
    backend.found = [TAG]
    done = vifctl("port", "explain", uuid(1))
    assert done.code == 1
    assert [line for line in done.out.splitlines() if line.startswith("→ ✗ port")]
    said = " ".join(done.out.split())
    # what a fact means is its plugin's word, and this plugin has none for it
    assert "broken port: ovsdb.tag is 77, wanted 1" in said
    assert "vifd repairs it" in said
    assert "you see the documentation of the plugin" in said


def test_json_is_what_the_api_answers(vifctl, served, backend):
    plug(vifctl, document())
    backend.found = [TAG]
    done = vifctl("port", "explain", uuid(1), "-f", "json")
    assert (done.code, done.json["broken"]) == (1, "port")
    assert done.json["steps"][0]["name"] == "intent"
    done = vifctl("port", "explain", uuid(1), "-f", "value", "-c", "broken")
    assert (done.code, done.out) == (1, "port\n")
    done = vifctl("port", "explain", uuid(1), "-c", "broken", "-c", "sentence")
    assert done.code == 1
    assert "sentence" in done.out


def test_5_the_host_could_not_be_read(vifctl, backend):
    plug(vifctl, document())
    backend.hold()
    done = vifctl("port", "explain", uuid(1), "--timeout", "0.01")
    backend.release()
    assert done.code == 5
    assert "busy with something else" in " ".join(done.out.split())


def test_4_no_such_port(vifctl):
    done = vifctl("port", "explain", uuid(1))
    assert (done.code, "E_STATE_NOT_FOUND" in done.err) == (4, True)


@pytest.fixture
def journal(tmp_path: Path) -> str:
    path = tmp_path / "j" / "journal.db"
    path.parent.mkdir()
    write(path)
    return str(path)


def alone(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """vifctl where no daemon is."""
    return subprocess.run(
        [*ARGV, *argv], capture_output=True, text=True, timeout=60, check=False,
        env={**environment("/nonexistent/vifd.sock"), **env},
    )  # fmt: skip


def test_the_journal_answers_where_nobody_else_does(journal):
    done = alone("port", "explain", ID, "--journal", journal)
    assert (done.returncode, done.stderr) == (1, "")
    said = " ".join(done.stdout.split())
    assert "broken port: when it was last read: the VLAN tag of port tap1 is 77, wanted 1" in said
    assert "the host was not asked: vifd cannot be reached" in said
    assert "days old" in said
    assert "before: 1970-01-01T00:00:05.000Z (degraded, not over yet) ovsdb.tag was 77" in said
    by_environment = alone("port", "explain", ID, VIFD_JOURNAL=journal)
    assert by_environment.returncode == 1


def test_the_daemon_is_not_asked_where_that_is_wanted(vifctl, journal):
    plug(vifctl, document())
    done = vifctl("port", "explain", ID, "--offline", "--journal", journal)
    assert (done.code, "the daemon was not asked" in " ".join(done.out.split())) == (1, True)


def test_neither_a_daemon_nor_a_journal(tmp_path):
    done = alone("port", "explain", ID, "--journal", str(tmp_path / "none.db"))
    assert done.returncode == 1
    assert "cannot reach vifd on /nonexistent/vifd.sock" in done.stderr
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_daemons_world_is_loaded_for_the_journal_alone(vifctl, served):
    plug(vifctl, document())
    code = (
        "import sys\n"
        "from vifd.cli.main import main\n"
        f"assert main(['port', 'explain', '{uuid(1)}']) == 0\n"
        "world = {'eventlet', 'falcon', 'msgspec', 'oslo_config', 'ovs', 'pyroute2', 'sqlite3'}\n"
        "sys.exit(str(world & set(sys.modules)) if world & set(sys.modules) else 0)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=environment(served.path), timeout=60, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def test_colours_on_a_terminal_alone(journal):
    env = environment("/nonexistent/vifd.sock")
    argv = ["port", "explain", ID, "--journal", journal]
    assert "\x1b[31" in terminal(*argv, env=env)
    assert "\x1b" not in terminal(*argv, env={**env, "NO_COLOR": "1"})
    assert "\x1b" not in alone(*argv).stdout


def test_names_of_others_bring_no_control_characters():
    step = {"name": "intent", "state": "ok", "sentence": "evil \x1b[2J name", "because": None}
    found = {
        "port": "p", "name": "\x1b[31mred", "device": "tap1", "plugin": "ovs", "status": "ACTIVE",
        "phase": "LIVE", "role": "ACTIVE", "healthy": True, "broken": None,
        "sentence": "ok \x07", "hint": "", "action": "", "asked": True, "unasked": "",
        "read_at": 1.0, "age": 0.0, "steps": [step], "history": [],
    }  # fmt: skip
    plain = explained.page(found)
    assert "\x1b" not in plain
    assert "\x07" not in plain
    coloured = explained.page(found, colours=True)
    assert coloured.count("\x1b[31m") == 0
    assert "\x1b[2J" not in coloured


def test_the_page_is_as_wide_as_the_terminal(journal):
    env = {**environment("/nonexistent/vifd.sock"), "NO_COLOR": "1"}
    argv = ["port", "explain", ID, "--journal", journal]
    for columns, most in ((80, 80), (60, 60), (10, 40), (250, 100)):
        lines = terminal(*argv, env=env, columns=columns).splitlines()
        assert max(map(len, lines)) <= most, columns
    assert max(map(len, alone(*argv).stdout.splitlines())) > 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (59, "59 s"), (600, "10 min"), (7300, "2.0 h"),
     (90000, "25 h"), (3e5, "3 days")],
)  # fmt: skip
def test_a_span_of_time(seconds, text):
    assert explained._ago(seconds) == text
