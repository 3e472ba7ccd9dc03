"""Commands, output formats and exit codes of the real program."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import ARGV, environment
from vifd import errors
from vifd.cli.port import COLUMNS
from vifd.inspection import Check


def plug(vifctl, *docs, options=()):
    return vifctl("port", "plug", "-f", "-", *options, stdin="\n".join(map(json.dumps, docs)))


# --- looking --------------------------------------------------------------------------------------


def test_status(vifctl):
    done = vifctl("status", "-f", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json["live"] is True
    assert vifctl("status", "-f", "value", "-c", "ready").out == "True\n"


def test_plugins(vifctl):
    rows = vifctl("plugin", "list", "-f", "json").json
    assert [row["state"] for row in rows] == ["ready", "refused"]
    assert "ImportError: no module named x" in vifctl("plugin", "list").out


def test_plugin_verify(vifctl, backend):
    done = vifctl("plugin", "verify", "fake", "-f", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json == [{"name": "contract.version", "ok": True, "detail": "1.0"}]
    backend.inspected.append(Check("options.documented", ok=False, detail="without help: mtu"))
    done = vifctl("plugin", "verify", "fake")
    assert done.code == 1
    assert "without help: mtu" in done.out


def test_plugin_verify_of_one_that_is_not_there(vifctl):
    done = vifctl("plugin", "verify", "none")
    assert done.code == 1
    assert "E_PLUGIN_MISSING" in done.err
    assert "E_PLUGIN_LOAD" in vifctl("plugin", "verify", "broken").err


def test_host(vifctl):
    found = vifctl("host", "show", "-f", "json").json
    assert found["kernel"] == "6.1"
    assert "CUSTOM_OVS" in found["inventory"]["traits"]
    shown = vifctl("host", "show").out
    assert "✗ hugepages" in shown
    assert "✓ physnet1 by br-ex up, MTU 1500" in shown
    assert "needs pages: write a number to nr_hugepages" in vifctl("host", "show", "--evidence").out


def test_host_read_anew(vifctl, backend):
    backend.machine.present["CUSTOM_KVM"] = None
    assert "kvm" not in vifctl("host", "show").out
    assert "kvm" in vifctl("host", "show", "--refresh").out
    assert backend.machine.refreshes == 1


def test_list(vifctl):
    plug(vifctl, document(1), document(2, id=uuid(0xA01)))
    rows = vifctl("port", "list", "-f", "json").json
    assert tuple(rows[0]) == COLUMNS
    assert [row["name"] for row in rows] == ["web-1", "web-2"]
    filtered = vifctl("port", "list", "--network", uuid(0xA01), "--phase", "live", "-f", "value")
    assert filtered.out.split()[0] == uuid(2)
    assert len(filtered.out.splitlines()) == 1


def test_show_for_people(vifctl):
    plug(vifctl, document())
    out = vifctl("port", "show", uuid(1)).out
    assert "ACTIVE (LIVE, role ACTIVE)" in out
    assert "vlan physnet1 101" in out
    assert "✓ device.mtu: 1450" in out
    rows = [line.split("|")[1].strip() for line in out.splitlines() if "|" in line]
    assert rows.index("device") < rows.index("switch") < rows.index("flows")
    assert rows.index("flows") < rows.index("findings")
    assert "✓ port_security: yes, by" in out


def test_show_for_programs_is_what_the_api_says(vifctl, backend):
    plug(vifctl, document())
    port = vifctl("port", "show", uuid(1), "-f", "json").json
    assert port["document"] == document()
    assert port["vif"]["type"] == "ethernet"
    assert vifctl("port", "show", uuid(1), "-f", "value", "-c", "phase").out == "LIVE\n"


def test_control_characters_do_not_reach_the_terminal(vifctl):
    doc = document()
    doc["port"]["name"] = "a\x1b[31mb\x07"
    plug(vifctl, doc)
    for command in (("port", "list"), ("port", "show", uuid(1))):
        out = vifctl(*command).out
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "a?[31mb?" in out


# --- doing ----------------------------------------------------------------------------------------


def test_plug_waits_until_active(vifctl, backend, tmp_path):
    file = tmp_path / "doc.json"
    file.write_text(json.dumps(document(), indent=2))
    done = vifctl("port", "plug", "-f", str(file), "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json[0]["port"]["status"] == "ACTIVE"
    assert backend.effects == [f"plug {uuid(1)}"]


YAML = f"""
version: "1.0"
port: {{id: {uuid(1)}, mac_address: 10:20:30:40:50:10, name: no}}
network:
  id: {uuid(0xA00)}
  mtu: 1450
  segment: {{network_type: flat, physical_network: physnet1}}
"""


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps(document()), 1),
        (json.dumps([document(1), document(2)]), 2),
        (json.dumps({"ports": [document(1), document(2), document(3)]}), 3),
        (json.dumps(document(1)) + "\n\n" + json.dumps(document(2)) + "\n", 2),
        (json.dumps(document(1), indent=1) + json.dumps(document(2), indent=1), 2),
        (YAML, 1),
        (f"---{YAML}---{YAML.replace(uuid(1), uuid(2))}", 2),
    ],
    ids=["one", "list", "ports", "lines", "joined", "yaml", "yaml-many"],
)
def test_plug_reads(vifctl, backend, text, count):
    done = vifctl("port", "plug", "-f", "-", stdin=text)
    assert (done.code, done.err) == (0, "")
    assert [r.id for r in backend.ports()] == [uuid(n) for n in range(1, count + 1)]
    if text.endswith(YAML):
        port = backend.ports()[0].doc.attachment.port
        assert (port.mac_address, port.name) == ("10:20:30:40:50:10", "no")


def test_plug_of_many_goes_in_chunks(vifctl, backend):
    done = plug(vifctl, *(document(n) for n in range(1, 121)))
    assert done.code == 0
    assert len(backend.effects) == 120
    assert done.err == ""


def test_unplug(vifctl, backend):
    plug(vifctl, *(document(n) for n in range(1, 5)))
    assert vifctl("port", "unplug", uuid(1), uuid(9)).code == 0
    assert vifctl("port", "unplug", uuid(2)).code == 0
    assert vifctl("port", "unplug", uuid(2)).code == 0
    assert len(backend.ports()) == 2
    assert vifctl("port", "unplug", "--all", "-f", "json").json[0]["result"] == "gone"
    assert backend.ports() == []


def test_roles_and_check(vifctl):
    plug(vifctl, document())
    done = vifctl("port", "deactivate", uuid(1), "-f", "value", "-c", "status")
    assert (done.code, done.out) == (0, "DOWN\n")
    done = vifctl("port", "activate", uuid(1), "-f", "value", "-c", "status")
    assert (done.code, done.out) == (0, "ACTIVE\n")
    assert vifctl("port", "check", uuid(1)).code == 0


def test_no_wait(vifctl, backend):
    backend.hold()
    done = plug(vifctl, document(), options=["--no-wait", "--format", "json"])
    assert (done.code, done.json[0]["status"]) == (0, 202)
    assert vifctl("--no-wait", "port", "unplug", uuid(1)).out.count("accepted") == 1
    backend.release()


# --- exit codes -----------------------------------------------------------------------------------


def test_1_refused(vifctl, backend):
    backend.fail(
        uuid(1),
        errors.PhysnetUnmapped(facts={"wanted": "physnet9", "have": ["physnet1"]}, stage="x"),
    )
    done = plug(vifctl, document())
    assert (done.code, done.out) == (1, "")
    assert "E_SEG_PHYSNET_UNMAPPED: physical network 'physnet9' is not mapped" in done.err
    assert "wanted = physnet9" in done.err
    assert "hint:   add the physical network to bridge_mappings" in done.err
    assert "on this host: no, on another host: yes" in done.err


def test_1_as_json(vifctl, backend):
    backend.fail(uuid(1), errors.PhysnetUnmapped(facts={"wanted": "p", "have": []}))
    done = plug(vifctl, document(), options=["--format", "json"])
    assert (done.code, done.json["code"], done.err) == (1, "E_SEG_PHYSNET_UNMAPPED", "")


def test_1_one_of_many(vifctl, backend):
    backend.fail(uuid(2), errors.MtuTooLarge(facts={"wanted": 1, "have": 2, "bottleneck": "x"}))
    done = plug(vifctl, document(1), document(2), document(3))
    assert done.code == 1
    assert done.err.count("E_PLUG_MTU") == 1
    assert done.out.count("ACTIVE") == 2
    done = vifctl("port", "list", "-f", "json")
    assert [row["error"] for row in done.json] == ["", "E_PLUG_MTU", ""]


def test_1_a_bad_document_is_named(vifctl, backend):
    done = plug(vifctl, {**document(), "role": "MASTER"})
    assert done.code == 1
    assert "field = role" in done.err
    done = plug(vifctl, document(1), {"version": "1.0"})
    assert "field = ports[1].port" in done.err
    assert backend.effects == []


@pytest.mark.parametrize(
    "argv",
    [
        ["bogus"],
        [],
        ["port"],
        ["port", "show"],
        ["port", "show", "--bogus", "x"],
        ["port", "list", "-f", "xml"],
        ["port", "list", "-c", "nothing"],
        ["port", "plug"],
        ["port", "plug", "-f", "/nonexistent"],
        ["port", "plug", "-f", "json"],
        ["port", "plug", "-f", "-"],
        ["port", "unplug"],
        ["port", "unplug", "--all", "x"],
        ["port", "check", "x", "--timeout", "601"],
        ["--timeout", "soon", "status"],
    ],
    ids=" ".join,
)
def test_2_usage(vifctl, backend, argv):
    done = vifctl(*argv)
    assert done.code == 2
    assert "Traceback" not in done.out + done.err
    assert done.err or done.out
    assert backend.effects == []


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "{", "[1, 2", '{"a": NaN}', "a: 1\na: 2", "a: ["]
)
def test_2_what_is_neither_json_nor_yaml(vifctl, text):
    done = vifctl("port", "plug", "-f", "-", stdin=text)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("vifctl: -: ")


def test_3_nobody_there(vifctl, tmp_path):
    done = vifctl("--socket", str(tmp_path / "none"), "status")
    assert done.code == 3
    assert "is vifd running?" in done.err
    file = tmp_path / "file"
    file.write_text("")
    assert vifctl("status", "--socket", str(file)).code == 3
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    done = vifctl("status", VIFD_SOCKET=str(tmp_path / "stale"))
    assert (done.code, "nobody listens" in done.err) == (3, True)


def test_3_a_daemon_that_hangs_up(vifctl, tmp_path):
    path = str(tmp_path / "rude")
    with socket.socket(socket.AF_UNIX) as rude:
        rude.bind(path)
        rude.listen()

        def hang_up() -> None:
            rude.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        done = vifctl("status", "--socket", path)
        thread.join(timeout=10)
    assert (done.code, "Traceback" in done.err) == (3, False)


def test_4_no_such_port(vifctl):
    for verb in ("show", "check", "activate", "deactivate"):
        done = vifctl("port", verb, uuid(1))
        assert (done.code, "E_STATE_NOT_FOUND" in done.err) == (4, True)


def test_5_time_is_over(vifctl, backend):
    backend.hold()
    done = plug(vifctl, document(), options=["--timeout", "0.01"])
    assert (done.code, "the work goes on" in done.err) == (5, True)
    done = plug(vifctl, document(1), document(2), options=["--timeout", "0.01"])
    assert done.code == 5
    backend.release()


# --- events ---------------------------------------------------------------------------------------


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
    from vifd.testing.api import serve

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


# --- the terminal ---------------------------------------------------------------------------------


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
    reader.join(timeout=10)
    os.close(ours)
    text = b"".join(seen).decode()
    for done in (0, 50, 100, 120):
        assert f" {done}/120" in text
    assert text.endswith("\r\x1b[K")


# --- the program ----------------------------------------------------------------------------------


def test_it_starts_fast_and_without_the_daemons_world(served):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import sys\n"
        "from vifd.cli.main import main\n"
        "assert main(['port', 'list']) == 0\n"
        "world = {'eventlet', 'falcon', 'msgspec', 'oslo_config', 'ovs', 'pyroute2', 'yaml'}\n"
        "sys.exit(str(world & set(sys.modules)) if world & set(sys.modules) else 0)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env=environment(served.path),
        timeout=60,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.3


def test_help_names_every_command_and_the_exit_codes(vifctl):
    from vifd.cli.app import COMMANDS

    out = vifctl("--help").out
    for command in COMMANDS:
        assert command in out
    assert "3    the daemon cannot be reached" in out
    assert "VIFD_SOCKET" in out
    for command in COMMANDS:
        assert vifctl(*command.split(), "--help").code == 0, command


def test_version(vifctl):
    import vifd

    assert vifctl("--version").out == f"vifctl {vifd.__version__}\n"


def _words(script: str) -> dict[str, set[str]]:
    """What each command completes to, without the options of cliff's output formats."""
    found = {
        name: set(words.strip("'").split())
        for name, _, words in (line.strip().partition("=") for line in script.splitlines())
        if name.startswith("cmds")
    }
    formats = found["cmds_status"] | found["cmds_plugin_list"] - {"--socket"}
    return {name: words - formats for name, words in found.items()}


def test_completion_is_as_shipped(vifctl):
    shipped = Path(__file__).parents[3] / "etc/bash_completion.d/vifctl"
    made = vifctl("complete").out
    assert _words(made) == _words(shipped.read_text())
    check = subprocess.run(["bash", "-n"], input=made, text=True, capture_output=True, check=False)
    assert (check.returncode, check.stderr) == (0, "")
    assert "cmds_port='activate check deactivate explain list plug repair show unplug'" in made
