"""``vifctl bundle``: what is in it, what is not, how large it gets, and reading it elsewhere."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from unit.api.client import Client, uuid
from vifd import errors
from vifd.cli import collecting, looking
from vifd.cli.masking import masked
from vifd.cli.tarball import Tarball


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("transport_url = rabbit://u:hush@h:5672/v", "transport_url = ***"),
        ("connection = mysql://nova:hush@db/nova", "connection = mysql://nova:***@db/nova"),
        ("admin_password=hush", "admin_password=***"),
        ("[x]\nsecret = hush # why", "[x]\nsecret = *** # why"),
        ('{"auth_token": "hush hush", "id": 1}', '{"auth_token": ***, "id": 1}'),
        ("X-Auth-Token: hush", "X-Auth-Token: ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY-----\nx", "***\nx"),
        ("a\n-----BEGIN PRIVATE KEY-----\nhush", "a\n***"),
        (
            "mac = fa:16:3e:00:00:01\nurl = unix:/run/x",
            "mac = fa:16:3e:00:00:01\nurl = unix:/run/x",
        ),
    ],
)
def test_secrets_do_not_leave_the_host(text: str, expected: str) -> None:
    assert masked(text) == expected
    assert masked(masked(text)) == masked(text)


def test_a_program_that_hangs_is_ended_and_one_that_is_not_there_is_said(monkeypatch) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.2)
    assert "was ended after" in looking.ask(("sh", "-c", "echo begun; sleep 1000")).problem
    assert looking.ask(("no-such-program",)).problem == "no-such-program is not installed"
    assert looking.ask(("sh", "-c", "echo x; exit 3")) == ("x\n", "it ended with 3")


def test_of_much_the_beginning_is_kept_and_of_a_log_the_end(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(looking, "MOST", 4)
    file = tmp_path / "log"
    file.write_text("0123456789")
    assert looking.read(file) == ("0123", "6 bytes of 10 are left out")
    assert looking.read(file, tail=True).text == "6789"
    assert "cannot be read" in looking.read(tmp_path / "none").problem


def test_a_tar_is_bounded_private_and_whole_or_not_there(tmp_path) -> None:
    path = tmp_path / "b.tar.gz"
    with Tarball(path, 4000) as tar:
        tar.add("long.txt", "x" * 10_000)
        tar.add("blob", b"x" * 10_000)
        tar.add("more.txt", "y")
    assert path.stat().st_mode & 0o777 == 0o600
    files = read(path)
    assert len(files["long.txt"]) < 4000
    assert files["blob"] == b""
    problems = {each["name"]: each["problem"] for each in json.loads(files["manifest.json"])}
    assert "cut from 10000 bytes" in problems["long.txt"]
    with pytest.raises(RuntimeError), Tarball(tmp_path / "c.tar.gz", 4000):
        raise RuntimeError("in the middle")
    assert os.listdir(tmp_path) == ["b.tar.gz"]


def read(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read()
    return found


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A configuration with a secret, and a log."""
    config = tmp_path / "agent.conf"
    config.write_text(
        f"[DEFAULT]\nstate_path = {tmp_path}/state\nlog_file = {tmp_path}/vifd.log\n"
        f"[openvswitch]\novsdb_connection = unix:{tmp_path}/none.sock\n"
        "[oslo_messaging]\ntransport_url = rabbit://u:hush@h/\n"
    )
    (tmp_path / "vifd.log").write_text("a line of the log, password=hush\n")
    return config


@pytest.fixture
def plugged(served, backend):
    client = Client(served.path)
    for number in (1, 2):
        assert client.plug(number).status == 201
    failure = errors.DeviceError(facts={"device": "tap3", "problem": "gone"})
    backend.fail(uuid(3), failure)
    client.plug(3)
    client.close()


@pytest.fixture
def bundle(vifctl, plugged, host, tmp_path):
    path = tmp_path / "b.tar.gz"
    done = vifctl("bundle", "-o", str(path), "--config-file", str(host), "-f", "json")
    assert done.code == 0, done.err
    return path, done


def test_what_is_in_it(bundle) -> None:
    path, done = bundle
    files = read(path)
    assert done.json["file"] == str(path)
    assert {"README.txt", "versions.json", "metrics.txt", "api/status.json", "host/uname.txt",
            "config/agent.conf", "logs/vifd.log", "api/events.json"} <= files.keys()  # fmt: skip
    assert [p["id"] for p in json.loads(files["api/ports.json"])["ports"]] == [
        uuid(n) for n in (1, 2, 3)
    ]
    assert f"api/explain/{uuid(3)}.json" in files
    assert f"api/explain/{uuid(1)}.json" not in files
    assert b"hush" not in b"".join(files.values())
    # what could not be had is said
    assert "is not there" in done.json["not complete"]["journal.db"]


def test_read_elsewhere_it_answers_as_the_daemon_did(bundle, vifctl, plugged) -> None:
    path, _ = bundle
    there = {"VIFD_SOCKET": "/nowhere"}
    for argv in (("port", "list", "--long"), ("status", "-f", "json"), ("port", "show", uuid(1)),
                 ("port", "list", "--phase", "live"), ("port", "list", "-f", "json"),
                 ("plugin", "list"), ("port", "explain", uuid(3)), ("events",)):  # fmt: skip
        live, kept = vifctl(*argv), vifctl("--bundle", str(path), *argv, **there)
        assert steady(kept.out) == steady(live.out), argv
        assert kept.code == live.code
    by_name = vifctl("--bundle", str(path), "port", "show", uuid(1)[:8], "-f", "json", **there)
    assert by_name.json["id"] == uuid(1)
    assert vifctl("--bundle", str(path), "port", "show", uuid(9), **there).code == 4


def steady(text: str) -> list[str]:
    """Without what differs between two moments: ages and the moments themselves. Counters are of
    the present, and in no bundle."""
    moving = ("read_at", "age", "uptime", "read ", "at ", "| counted ")
    return [line for line in text.splitlines() if not any(word in line for word in moving)]


def test_nothing_can_be_changed_or_asked_anew_in_a_bundle(bundle, vifctl) -> None:
    path, _ = bundle
    for argv in (("port", "check", uuid(1)), ("port", "unplug", uuid(1))):
        done = vifctl("--bundle", str(path), *argv)
        assert done.code == 3
        assert "bundle" in done.err


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b\x08\x00cut"])
def test_a_file_that_is_no_bundle(vifctl, tmp_path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    done = vifctl("--bundle", str(path), "port", "list")
    assert done.code == 3
    assert "no bundle" in done.err


def test_without_a_daemon_it_has_what_is_left(vifctl, host, tmp_path) -> None:
    path = tmp_path / "b.tar.gz"
    done = vifctl("--socket", "/nowhere", "bundle", "-o", str(path), "--config-file", str(host))
    assert done.code == 0, done.err
    files = read(path)
    assert "logs/vifd.log" in files
    problems = {e["name"]: e["problem"] for e in json.loads(files["manifest.json"])}
    assert "cannot reach vifd" in problems["api/status.json"]
    asked = vifctl("--bundle", str(path), "status")
    assert (asked.code, "cannot reach vifd" in asked.err) == (3, True)
    again = vifctl("bundle", "-o", str(path))
    assert (again.code, "is there already" in again.err) == (2, True)


def test_ports_that_are_explained() -> None:
    def port(number: int, **more: Any) -> dict[str, Any]:
        return {"id": str(number), "phase": "LIVE", **more}

    ports = [port(1), port(2, phase="FAILED"), port(3, findings=[{}]), port(4, error={}),
             port(5, phase="READY")]  # fmt: skip
    assert collecting.broken(ports) == ["2", "3"]
    many = [port(n, phase="DEGRADED") for n in range(1000)]
    assert len(collecting.broken(many)) == collecting.EXPLAINED


def test_what_looks_at_a_host_is_not_asked_of_a_bundle(bundle, vifctl) -> None:
    """Counters and frames of this host are another's, and its journal as well."""
    path, _ = bundle
    for argv in (("port", "top"), ("port", "capture", uuid(1)), ("bundle",)):
        done = vifctl(*argv, "--bundle", str(path)) if argv == ("bundle",) else vifctl(
            "--bundle", str(path), *argv)  # fmt: skip
        assert (done.code, done.out) == (2, ""), argv
        assert "a bundle is none" in done.err
    # it does not change: who watches it sees it once
    assert vifctl("--bundle", str(path), "port", "list", "--watch", "0.1").code == 0


def test_a_bundle_without_a_journal_is_explained_from_nowhere_else(
    vifctl, plugged, host, tmp_path, monkeypatch
) -> None:
    """The journal of the host where it is read is not that of the host it was made on."""
    path = tmp_path / "b.tar.gz"
    assert vifctl("bundle", "-o", str(path), "--config-file", str(host)).code == 0
    bare = tmp_path / "bare.tar"
    with tarfile.open(path) as old, tarfile.open(bare, "w") as new:
        for member in old:
            if not member.name.endswith("journal.db"):
                new.addfile(member, old.extractfile(member))
    here = host.parent / "state/journal.db"
    done = vifctl("--bundle", str(bare), "port", "explain", uuid(1), VIFD_JOURNAL=str(here))
    assert (done.code, done.out) == (3, "")
    assert f"{bare}: journal.db is not in the bundle" in done.err


def test_a_configuration_that_is_not_there(vifctl, tmp_path) -> None:
    done = vifctl("bundle", "-o", str(tmp_path / "b"), "--config-file", str(tmp_path / "none"))
    assert (done.code, "is no file" in done.err, (tmp_path / "b").exists()) == (2, True, False)


def test_what_a_switch_says_that_is_away_names_no_bridge(tmp_path, monkeypatch) -> None:
    tool = tmp_path / "ovs-vsctl"
    tool.write_text("#!/bin/sh\necho 'ovs-vsctl: database connection failed' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    names = [question.name for question in looking.switch("", "")]
    assert not [name for name in names if name.startswith("switch/") and name.count("/") == 2
                and not name.startswith("switch/rows/")]  # fmt: skip
