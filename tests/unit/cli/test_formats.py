"""What others wrote, in every output format of every kind of command."""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
from typing import Any

import pytest
import yaml

from unit.api.client import document, uuid
from vifd.cli.base import Moment, Tree, Words
from vifd.cli.formats import Formats
from vifd.safety.plain import plain

#: Each of them would be a line, a command or a colour of its own.
HOSTILE = {
    "newline": "a\nFORGED",
    "return": "a\r\nFORGED",
    "separators": "a\u2028FORGED\x85FORGED\x0bFORGED",
    "escape": "\x1b[31mFORGED\x9bm",
    "direction": "\u202eFORGED",
    "command": "$(echo FORGED)`echo FORGED`\"; echo FORGED; \"",
    "quotes": "'\"\\",
    "null": "a\x00FORGED",
    "csv": 'a,"b"\n"FORGED',
    "yaml": "a\n- FORGED: 1\n",
}  # fmt: skip
LISTS = ("csv", "json", "table", "value", "yaml")
SHOWS = ("json", "shell", "table", "value", "yaml")
ARGS = argparse.Namespace(
    quote_mode="nonnumeric", noindent=False, max_width=0, fit_width=False, print_empty=False,
    variables=[], prefix="",
)  # fmt: skip


def cells(text: str) -> list[Any]:
    """A text as commands hand it over: bare, for people, and inside of other values."""
    return [text, Words(text), Words([text]), Words({text: text}), Tree({text: {text: text}}),
            Moment(1.0), 7, None, True]  # fmt: skip


def written(kind: str, name: str, text: str) -> str:
    out = io.StringIO()
    formats = Formats(f"cliff.formatter.{kind}")[name].obj
    # the lines of a bare text in a table are the command's own
    row = cells(text) if name != "table" else cells(text)[1:]
    names = [f"c{n}" for n in range(len(row))]
    if kind == "list":
        formats.emit_list(names, [row, row], out, ARGS)
    else:
        formats.emit_one(names, row, out, ARGS)
    return out.getvalue()


ALL = [*(("list", f) for f in LISTS), *(("show", f) for f in SHOWS)]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_format_shows_text_as_text(kind: str, name: str, text: str) -> None:
    out = written(kind, name, text)
    assert all(line.isprintable() for line in out.split("\n")), out
    assert not any(line.lstrip(" -|").startswith("FORGED") for line in out.split("\n"))
    if name not in ("table", "yaml"):
        assert out.count("\n") == written(kind, name, "innocent").count("\n")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_programs_lose_nothing(text: str) -> None:
    assert json.loads(written("list", "json", text))[0]["c0"] == text
    rows = yaml.safe_load(written("list", "yaml", text))
    assert (rows[0]["c0"], rows[1]["c3"]) == (text, {text: text})
    assert yaml.safe_load(written("show", "yaml", text))["c2"] == [text]
    lines = list(csv.reader(io.StringIO(written("list", "csv", text)), escapechar="\\"))
    assert len(lines) == 3


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_shell_runs_nothing_of_it(text: str) -> None:
    out = written("show", "shell", text)
    script = f'{out}\nprintf "%s" "$c0"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == plain(text)


@pytest.fixture
def hostile(backend, served, vifctl):
    text = "x\nFORGED\x1b[31m\u202e"
    doc = document()
    doc["port"]["name"] = text
    doc["network"]["name"] = doc["network"]["segment"]["physical_network"] = text
    doc["instance"]["name"] = text
    doc["port"]["binding_profile"] = {text: [text]}
    doc["port"]["qos_policy"] = {"name": text, "rules": [{"type": text}]}
    doc[text] = {text: text}
    done = vifctl("port", "plug", "-f", "-", stdin=json.dumps(doc))
    assert done.code == 0
    return done


COMMANDS = [
    *((("port", "list"), name) for name in LISTS),
    *((("port", "show", uuid(1)), name) for name in SHOWS),
    *((("port", "check", uuid(1)), name) for name in ("table", "csv", "yaml")),
    (("port", "explain", uuid(1)), "table"),
    (("events", "--after", "0"), "table"),
    (("events", "--after", "0"), "json"),
]


@pytest.mark.parametrize(("command", "name"), COMMANDS)
def test_every_command_shows_a_hostile_port_safely(vifctl, hostile, command, name) -> None:
    options = [] if command[0] == "events" and name == "table" else ["-f", name]
    done = vifctl(*command, *options)
    for out in (done.out, done.err, hostile.out, hostile.err):
        assert all(line.isprintable() for line in out.split("\n")), out
        assert not any(line.lstrip(" -|✗✓").startswith("FORGED") for line in out.split("\n"))
    assert done.code in (0, 1, 2), done.err
