"""JSON log lines: port, instance and request are fields; and a start that fails says why once."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from oslo_log.formatters import JSONFormatter

from vifd.daemon import logfields
from vifd.safety.plain import protect_log

ENDS = [
    ("plugged tap1 port=a instance=b request=req-1",
     {"port": "a", "instance": "b", "request": "req-1"}),
    ("refused: E_X: no. Next: y. port=00-1 request=req-2", {"port": "00-1", "request": "req-2"}),
    ("port=a", {"port": "a"}),
    ("gone. port=a instance= request=r", {"port": "a", "request": "r"}),
    ("a name with port=forged in it, and more", {}),
    ("port=forged request=x, said somebody. port=real request=y", {"port": "real", "request": "y"}),
    ("nothing at all", {}),
    ("transport=tcp", {}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "found"), ENDS, ids=[m[:20] for m, _ in ENDS])
def test_the_end_of_a_line_is_read(message: str, found: dict[str, str]) -> None:
    assert logfields.fields(message) == found


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("vifd.x", logging.INFO, __file__, 1, message, (), None)


def test_they_stand_beside_the_message() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    logfields.install([handler])
    try:
        protect_log([handler])
        line = json.loads(handler.format(record("plugged. port=p1 instance=i1 request=r1")))
    finally:
        logging.setLogRecordFactory(logging.LogRecord)
    assert (line["port"], line["instance"], line["request"]) == ("p1", "i1", "r1")
    assert line["message"] == "plugged. port=p1 instance=i1 request=r1"
    assert json.loads(handler.format(record("started")))["message"] == "started"


def test_a_handler_of_another_form_stays_as_it_is() -> None:
    handler = logging.StreamHandler()
    form = logging.Formatter("%(message)s")
    handler.setFormatter(form)
    logfields.install([handler])
    assert handler.formatter is form


@pytest.mark.parametrize("to_a_file", [False, True])
def test_a_start_that_fails_says_why_once(tmp_path: Path, to_a_file: bool) -> None:
    (tmp_path / "file").touch()
    conf = tmp_path / "agent.conf"
    log = f"log_file = {tmp_path / 'vifd.log'}\n" if to_a_file else ""
    conf.write_text(f"[DEFAULT]\nstate_path = {tmp_path / 'file' / 'below'}\n{log}")
    argv = [sys.executable, "-m", "vifd.main", "--config-file", str(conf)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert done.stderr.count("E_REC_STORE") == 1
    assert done.stderr.count("cannot be written") == 1
    if to_a_file:
        assert (tmp_path / "vifd.log").read_text().count("cannot be written") == 1
