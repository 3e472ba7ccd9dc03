"""What a test's output says, and how it is told. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_RESULT = re.compile(r"^RESULT (.*)$", re.MULTILINE)
_NOTE = re.compile(r"^NOTE (.*)$", re.MULTILINE)
_ERROR = re.compile(
    r"^[\w.]+(?:Error|Exception|Timeout|Mismatch\w*|Invalid|NotFound|Conflict)\b.*$"
)


@dataclass(frozen=True)
class Row:
    """One test's result.

    :param why: the last error that it named, or what is to be known of a success
    """

    agent: str
    test: str
    result: str
    seconds: float
    why: str


def verdict(output: str) -> tuple[str, str]:
    """The result and what there is to say about it.

    A restart test proves nothing where the new process began after the last ping: how many agents
    told the server of their start meanwhile is said with it.
    """
    found = _RESULT.findall(output)
    result = found[-1] if found else "FAIL (no result)"
    if result.startswith("FAIL"):
        errors = [text for text in output.splitlines() if _ERROR.match(text)]
        return result, errors[-1][:160] if errors else ""
    notes = [json.loads(text) for text in _NOTE.findall(output)]
    said = [
        f"{n['reported']} of {n['restarted']} agents reported in {n['seconds']} s of pings"
        for n in notes
    ]  # fmt: skip
    return result, "; ".join(said)


def line(row: Row) -> str:
    """A row as it is printed."""
    text = f"{row.test:<105} | {row.result[:40]:<6} | {row.seconds:6.1f}"
    return f"{text} | {row.why}" if row.why else text
