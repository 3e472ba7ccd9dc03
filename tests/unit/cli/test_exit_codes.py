"""Exit codes that scripts can use."""

from __future__ import annotations

import socket
import threading

import pytest

from unit.api.client import document, uuid
from unit.cli.documents import plug
from vifd import errors
from vifd.testing.wait import PATIENCE


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
        thread.join(timeout=PATIENCE)
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
