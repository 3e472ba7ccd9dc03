"""``vifctl nova check`` as people run it, beside an interpreter that answers what it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOUND: dict[str, Any] = {
    "version": "0.1.0", "python": "x", "uid": 42, "socket": "/run/vifd/vifd.sock",
    "plugins": ["noop", "ovs", "vifd"], "take_over": ["ovs"], "taken_over": ["ovs"],
    "vifd": {"version": "0.1.0", "ready": True, "plugins": {}}, "problems": [],
}  # fmt: skip


@pytest.fixture
def python(tmp_path: Path) -> Any:
    def made(text: str, code: int = 0, *, wrong: bool = False) -> str:
        path = tmp_path / "python"
        to = ">&2 " if wrong else ""
        path.write_text(f"#!/bin/sh\ncat {to}<<'END'\n{text}\nEND\nexit {code}\n")
        path.chmod(0o755)
        return str(path)

    return made


def test_nothing_stands_in_the_way(vifctl: Any, python: Any) -> None:
    done = vifctl("nova", "check", "--user", "", "--python", python(json.dumps(FOUND)))
    assert done.code == 0
    for text in ("vifd-nova 0.1.0", "uid 42", "noop, ovs, vifd", "none"):
        assert text in done.out


def test_what_stands_in_the_way_fails_the_check(vifctl: Any, python: Any) -> None:
    found = {**FOUND, "vifd": None, "problems": ["this user may not open the socket"]}
    path = python(json.dumps(found), 1)
    done = vifctl("nova", "check", "--user", "", "--python", path)
    assert done.code == 1
    assert "may not open the socket" in done.out
    assert vifctl("nova", "check", "--user", "", "--python", path, "-f", "json").json == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("python: No module named vifd_nova.check", "pip install vifd-nova"),
        ("Traceback\nValueError: broken", "ValueError: broken"),
        ("", "said nothing"),
    ],
)
def test_an_interpreter_that_cannot_say(vifctl: Any, python: Any, text: str, said: str) -> None:
    done = vifctl("nova", "check", "--user", "", "--python", python(text, 1, wrong=True))
    assert done.code == 2
    assert said in done.err


def test_no_interpreter_and_no_user(vifctl: Any, python: Any) -> None:
    assert vifctl("nova", "check", "--user", "", "--python", "/nowhere/python").code == 2
    path = python(json.dumps(FOUND))
    done = vifctl("nova", "check", "--user", "nobody-of-that-name", "--python", path)
    assert (done.code, "--user" in done.err) == (2, True)
