"""vifctl port move-backend as people run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import Done
from vifd import errors

Run = Callable[..., Done]
MOVE = ("port", "move-backend")


@pytest.fixture
def ports(vifctl: Run, tmp_path: Path) -> list[str]:
    """Three, on the plugin "fake"."""
    path = tmp_path / "ports.json"
    path.write_text(json.dumps([document(number) for number in (1, 2, 3)]))
    assert vifctl("port", "plug", "-f", str(path)).code == 0
    return [uuid(number) for number in (1, 2, 3)]


def moves(backend: Any) -> list[str]:
    return [effect for effect in backend.effects if effect.startswith("move ")]


def test_one_is_moved_and_its_gap_told(vifctl: Run, backend: Any, ports: list[str]) -> None:
    done = vifctl(*MOVE, ports[0], "--to", "other")
    assert done.code == 0, done.err
    told = ("fake", "other", "moved", "12 ms (within 2)")
    assert all(word in done.out for word in told), done.out
    assert moves(backend) == [f"move {ports[0]} to other"]
    again = vifctl(*MOVE, ports[0], "--to", "other")
    assert (again.code, "is there" in again.out) == (0, True), again.out


def test_a_port_that_is_not_there(vifctl: Run) -> None:
    assert vifctl(*MOVE, uuid(9), "--to", "other").code == 4


def test_a_rehearsal_moves_none(vifctl: Run, backend: Any, ports: list[str]) -> None:
    done = vifctl(*MOVE, "--all", "--from", "fake", "--to", "other", "-n", "--format", "json")
    assert done.code == 0, done.err
    assert [(one["id"], one["result"]) for one in done.json] == [
        (port, "could be moved") for port in ports
    ]
    assert moves(backend) == []


def test_who_goes_back_is_no_reason_to_leave_the_next(
    vifctl: Run, backend: Any, ports: list[str]
) -> None:
    facts = {"have": "fake", "wanted": "other", "reason_code": "E_X", "problem": "not proven"}
    backend.fail(ports[1], errors.BackendReturned(facts=facts))
    done = vifctl(*MOVE, "--all", "--from", "fake", "--to", "other", "--format", "json")
    assert done.code == 1
    assert [one["result"] for one in done.json] == ["moved", "failed", "moved"]
    assert done.json[1]["error"]["code"] == "E_BACKEND_RETURNED"
    assert moves(backend) == [f"move {port} to other" for port in (ports[0], ports[2])]
    left = vifctl(*MOVE, "--all", "--from", "fake", "--to", "other", "--format", "json")
    assert [one["id"] for one in left.json] == [ports[1]], "the others are not asked again"


def test_ports_of_nova_come_by_their_documents(
    vifctl: Run, backend: Any, ports: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "hybrid.json"
    path.write_text(json.dumps([document(1), document(2)]))
    done = vifctl(*MOVE, "-f", str(path), "--to", "other", "--format", "json")
    assert done.code == 0, done.err
    assert [one["id"] for one in done.json] == ports[:2]
    done = vifctl(*MOVE, ports[1], "-f", str(path), "--to", "third", "--format", "json")
    assert [one["id"] for one in done.json] == [ports[1]]
    missing = vifctl(*MOVE, ports[2], "-f", str(path), "--to", "third")
    assert (missing.code, ports[2] in missing.err) == (2, True), missing.err


@pytest.mark.parametrize(
    "said",
    [(), ("--all",), ("--from", "fake"), (uuid(1), "--all", "--from", "fake"),
     ("--all", "--from", "fake", "-f", "x.json")],
    ids=" ".join,
)  # fmt: skip
def test_which_ports_is_said_once(
    vifctl: Run, backend: Any, ports: list[str], said: tuple[str, ...]
) -> None:
    done = vifctl(*MOVE, *said, "--to", "other")
    assert (done.code, done.out) == (2, "")
    assert "--from" in done.err
    assert moves(backend) == []
