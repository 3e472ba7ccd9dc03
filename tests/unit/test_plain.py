"""Text of others is one line of printable characters, wherever somebody reads it."""

from __future__ import annotations

import ast
import io
import json
import logging
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import vifd
from unit.docs import document
from unit.machine import WAIT, Machine
from vifd import errors
from vifd.safety.plain import (
    LONGEST_LINE,
    PlainFormatter,
    PlainRecord,
    plain,
    plain_lines,
    protect_log,
    said,
    writable,
)

#: What a name may hold: line ends of every kind, terminal commands, NUL, directions, half a pair.
HOSTILE = {
    "newline": "a\n2026-01-01 00:00:00 1 INFO vifd forged",
    "return": "a\rforged",
    "both": "a\r\nforged",
    "vertical tab": "a\x0bforged",
    "form feed": "a\x0cforged",
    "next line": "a\x85forged",
    "line separator": "a\u2028forged",
    "paragraph separator": "a\u2029forged",
    "unit separators": "a\x1cforged\x1dforged\x1eforged",
    "escape": "\x1b[2J\x1b]0;forged\x07",
    "csi": "\x9b31mforged",
    "delete": "a\x7fforged",
    "backspace": "good\x08\x08\x08\x08forged",
    "null": "a\x00forged",
    "direction": "\u202egnp.exe\u2066",
    "invisible": "a\u200bb\ufeff",
    "surrogate": "\ud800forged",
    "percent": "%s%n%(x)s{0}{x}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_it_is_one_line_that_can_be_written(text: str) -> None:
    safe = plain(text)
    assert safe.isprintable()
    assert safe.splitlines() == [safe]
    assert safe.encode()
    assert plain(safe) == safe


def test_what_people_write_stays() -> None:
    for text in ("web-1", "Käse, 鯖, Ωμέγα", "a b\\c", "emoji 🙂", ""):
        assert plain(text) == text
        assert plain_lines(text) == text
    assert plain_lines("a\nb\x1b") == "a\nb\\x1b"
    assert plain(7) == "7"


def test_values_can_be_written_and_mean_the_same() -> None:
    value = {"a\ud800": ["\udfff", {"n": "line\nbreak"}], "ok": "ä", "n": 1}
    safe = writable(value)
    assert json.loads(json.dumps(safe).encode()) == safe
    assert safe["a\\ud800"][1] == {"n": "line\nbreak"}


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_error_says_its_facts_on_one_line(text: str) -> None:
    for code, kind in errors.all_codes().items():
        names = [name for _, name, _, _ in string.Formatter().parse(kind.template) if name]
        error = kind(facts=dict.fromkeys({*names, "other"}, text), port=text, stage="x")
        assert str(error).isprintable(), code
        assert error.message == str(error)
        assert msgspec.json.encode(error.to_dict())
    error = errors.wrap(ValueError(text), stage="x")
    assert str(error).isprintable()
    error.__cause__ = OSError(text)
    assert all(line.isprintable() for line in error.to_dict()["cause"])
    assert said(RuntimeError(text)).isprintable()


# --- the log --------------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that any logger writes, as the daemon's handlers write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("VIFD %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    before, level = logging.getLogRecordFactory(), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    protect_log([handler])
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["vifd.x", "another", "vifd_plugin"])
def test_a_log_line_is_one_line(log: io.StringIO, name: str, text: str) -> None:
    logger = logging.getLogger(name)
    logger.warning("port %s of %r failed: %s", text, text, ValueError(text))
    logger.warning(text)
    logger.warning("as a mapping: %(a)s", {"a": text})
    lines = log.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("VIFD WARNING") and line.isprintable() for line in lines)


def test_a_traceback_holds_nothing_but_lines(log: io.StringIO) -> None:
    try:
        raise ValueError("a\x1b[2J\x00\rforged")
    except ValueError:
        logging.getLogger("x").exception("failed")
    lines = log.getvalue().split("\n")
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J" in log.getvalue()


def test_a_line_is_for_a_reader(log: io.StringIO) -> None:
    logging.getLogger("x").info("%s", "y" * 10 * LONGEST_LINE)
    assert len(log.getvalue()) < LONGEST_LINE + 200


def test_handlers_are_protected_once() -> None:
    handler = logging.StreamHandler(io.StringIO())
    before = logging.getLogRecordFactory()
    protect_log([handler])
    first = handler.formatter
    protect_log([handler])
    logging.setLogRecordFactory(before)
    assert isinstance(first, PlainFormatter)
    assert handler.formatter is first
    assert issubclass(PlainRecord, logging.LogRecord)


def _hostile(value: Any, text: str) -> Any:
    """The document with this in every free text, and where there may be any names at all."""
    value["port"] |= {"name": text, "device_owner": text, "binding_profile": {text: text}}
    value["network"]["name"] = text
    value["instance"] |= {"name": text, "project_id": text, "flavor_extra_specs": {text: text}}
    value["instance"]["image_properties"] = {text: text}
    value["required"] = {"features": [text]}
    value[text] = text
    return value


@pytest.mark.parametrize("text", [t for t in HOSTILE.values() if "\ud800" not in t])
@pytest.mark.parametrize("where", ["", "plug", "check", "name", "unplug"])
def test_a_port_of_hostile_names_forges_no_line(
    log: io.StringIO, tmp_path: Path, where: str, text: str
) -> None:
    """From the intake to the end, whatever fails on the way."""
    from vifd.engine import Settings
    from vifd.testing.plugin import FakeBackend

    machine = Machine(tmp_path, FakeBackend(), Settings(verify=0.05, retry_first=30))
    machine.boot()
    try:
        if where:
            facts = {"backend": text, "problem": text}
            machine.backend.faults[where, "*"] = errors.BackendError(facts=facts)
        doc = _hostile(document(1), text)
        for wanted in (doc, {k: v for k, v in doc.items() if k != "required"}):
            machine.put(wanted).done.exception(WAIT)
        if machine.journal.get(doc["port"]["id"]):
            machine.drop(1).done.exception(WAIT)
    finally:
        machine.halt()
    lines = log.getvalue().split("\n")[:-1]
    assert lines
    own = [line for line in lines if not line.startswith(("Traceback", " "))]
    assert all(line.isprintable() for line in lines)
    assert [line for line in own if not line.startswith("VIFD ")] == []


# --- every other way out --------------------------------------------------------------------------

#: Modules that may write to a terminal, each through ``vifd.safety.plain`` or what a command lays
WRITERS = {"main.py", "page.py", "lifecycle_page.py", "config.py", "table.py"}


def test_nobody_writes_past_the_log() -> None:
    """``print`` and the standard streams belong to the programs alone."""
    root = Path(vifd.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        where = path.relative_to(root)
        if where.parts[0] in ("cli", "testing") or where.name in WRITERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                called = ast.unparse(node.func)
                if called in ("print", "sys.stdout.write", "sys.stderr.write"):
                    found.append(f"{where}:{node.lineno}")
    assert found == []
