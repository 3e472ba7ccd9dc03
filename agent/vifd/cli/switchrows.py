"""Rows of Open vSwitch's database, in one question; nothing is changed there."""

from __future__ import annotations

import codecs
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

#: Where Open vSwitch's database is, unless it is said otherwise.
DATABASE = "/var/run/openvswitch/db.sock"
#: Seconds that the database may take.
_PATIENCE = 2.0

#: Reads a value as RFC 7047 writes it; raises ValueError or TypeError where it is none.
Kind = Callable[[Any], Any]


class OddRows(ValueError):
    """The database answers something else than what it was asked for; the text says what."""


def select(wanted: Mapping[str, Mapping[str, Kind]], database: str = DATABASE) -> dict[str, Any]:
    """The rows of each table, with these columns as plain values.

    :raises OSError: it does not answer
    :raises OddRows: it answers something else
    """
    operations = [
        {"op": "select", "table": table, "where": [], "columns": list(columns)}
        for table, columns in wanted.items()
    ]
    question = {"method": "transact", "params": ["Open_vSwitch", *operations], "id": "vifctl"}
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_PATIENCE)
        sock.connect(database.removeprefix("unix:"))
        sock.sendall(json.dumps(question).encode())
        answer = _answer(sock)
    return read(wanted, answer)


def read(wanted: Mapping[str, Mapping[str, Kind]], answer: Any) -> dict[str, Any]:
    """The rows in the database's answer. Pure.

    :raises OddRows: it is another one
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("result"), list):
        raise OddRows(f"no result is in {str(answer)[:200]}")
    results = dict(zip(wanted, answer["result"], strict=False))
    return {table: _rows(table, wanted[table], results.get(table)) for table in wanted}


def _rows(table: str, columns: Mapping[str, Kind], result: Any) -> list[dict[str, Any]]:
    rows = result.get("rows") if isinstance(result, dict) else None
    if not isinstance(rows, list):
        raise OddRows(f"no rows of the table {table} are in {str(result)[:200]}")
    return [_row(table, columns, row) for row in rows]


def _row(table: str, columns: Mapping[str, Kind], row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise OddRows(f"{str(row)[:60]} is no row of the table {table}")
    found = {}
    for column, kind in columns.items():
        if column not in row:
            raise OddRows(f"a row of the table {table} has no column {column}")
        try:
            found[column] = kind(row[column])
        except (ValueError, TypeError, LookupError) as error:
            value = str(row[column])[:60]
            raise OddRows(f"{value} is no value of {column} in the table {table}") from error
    return found


# --- the kinds of columns ---


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def number(value: Any) -> int | None:
    """An integer, where there is one."""
    if value == ["set", []]:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value


def reference(value: Any) -> str:
    """A row."""
    kind, row = value
    if kind != "uuid":
        raise ValueError(value)
    return text(row)


def references(value: Any) -> list[str]:
    """Rows: one is written as it is, and several as a set."""
    kind, members = value
    return [reference(value)] if kind != "set" else [reference(one) for one in members]


def pairs(value: Any) -> dict[str, Any]:
    """A map from strings."""
    kind, members = value
    if kind != "map":
        raise ValueError(value)
    return {text(key): _atom(item) for key, item in members}


def words(value: Any) -> dict[str, str]:
    """A map from strings to strings."""
    return {key: text(item) for key, item in pairs(value).items()}


def numbers(value: Any) -> dict[str, int]:
    """A map from strings to integers."""
    return {key: number(item) or 0 for key, item in pairs(value).items()}


def _atom(value: Any) -> Any:
    if isinstance(value, dict) or value is None:
        raise ValueError(value)
    return value


# --- the connection ---


def _answer(sock: socket.socket) -> Any:
    """One JSON value; nothing marks its end, and an echo of the database may precede it."""
    text, deadline = "", time.monotonic() + _PATIENCE
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while time.monotonic() < deadline:
        data = sock.recv(1 << 20)
        if not data:
            break
        text += decoder.decode(data)
        value, text = _value(text)
        while value is not None and (not isinstance(value, dict) or value.get("id") != "vifctl"):
            value, text = _value(text)
        if value is not None:
            return value
    raise OddRows(f"what came is no answer: {text[:60]!r}" if text else "nothing came")


def _value(text: str) -> tuple[Any, str]:
    """The first value of a text and the rest; ``None`` where it is not whole yet."""
    try:
        value, end = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return None, text
    return value, text.lstrip()[end:]
