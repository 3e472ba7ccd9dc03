"""Rows of Open vSwitch's database, in one question; nothing is changed there."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

#: Where Open vSwitch's database is, unless it is said otherwise.
DATABASE = "/var/run/openvswitch/db.sock"
#: Seconds that the database may take.
_PATIENCE = 2.0


def select(wanted: Mapping[str, Sequence[str]], database: str = DATABASE) -> dict[str, list[Any]]:
    """The rows of each table with these columns.

    :raises OSError: it does not answer
    :raises ValueError: it answers something else
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
    try:
        return dict(zip(wanted, [result["rows"] for result in answer["result"]], strict=True))
    except (LookupError, TypeError) as error:
        raise ValueError(f"{str(answer)[:200]} is no answer to it") from error


def _answer(sock: socket.socket) -> Any:
    """One JSON value; nothing marks its end, and an echo of the database may precede it."""
    text, deadline = "", time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        data = sock.recv(1 << 20)
        if not data:
            break
        text += data.decode()
        value, text = _value(text)
        while value is not None and value.get("id") != "vifctl":
            value, text = _value(text)
        if value is not None:
            return value
    raise ValueError("no answer")


def _value(text: str) -> tuple[Any, str]:
    """The first value of a text and the rest; ``None`` where it is not whole yet."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return None, text
    return value, text[end:]
