"""Query strings: known parameters with known values, everything else is refused by name."""

from __future__ import annotations

import math
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import falcon

from vifd import errors

DEFAULT_TIMEOUT = 30.0
MAX_TIMEOUT = 600.0
#: What may be waited for of a port that goes: it is closed, and its device and its place on the
#: bridge are gone; what is left of its flows follows.
DETACHED = "detached"


def params(req: falcon.Request, known: Container[str]) -> dict[str, str]:
    """The query parameters.

    :raises errors.BadDocument: for one that is unknown here or given twice
    """
    if not req.query_string:
        return {}
    found: dict[str, str] = {}
    for name, value in req.params.items():
        if name not in known:
            raise bad(name[:64], "is not a parameter of this call")
        if isinstance(value, list):
            raise bad(name, "is given twice")
        found[name] = value
    return found


def bad(name: str, problem: str) -> errors.BadDocument:
    """The error for a query parameter."""
    return errors.BadDocument.at_field(f"query.{name}", problem)


def integer(name: str, text: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise bad(name, f"must be a number from {low} to {high}")
    return int(text)


def seconds(text: str) -> float:
    """The value of ``timeout``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_TIMEOUT:
        raise bad("timeout", f"must be seconds from 0 to {MAX_TIMEOUT:g}")
    return value


def boolean(name: str, text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise bad(name, "must be true or false")
    return text == "true"


@dataclass(frozen=True)
class Deadline:
    """How long the caller wants to wait, from now on, for what.

    :param wanted: ``active``, ``inactive``, ``detached``, ``gone`` or ``checked``
    """

    wanted: str
    seconds: float
    start: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds until the caller's time is over."""
        return max(self.start + self.seconds - time.monotonic(), 0.0)


def within(req: falcon.Request, wanted: str, default: float = DEFAULT_TIMEOUT) -> Deadline:
    """What ``?timeout=<seconds>`` asks for, of a call that is answered once all is done."""
    given = params(req, ("timeout",))
    return Deadline(wanted, seconds(given["timeout"]) if given else default)


def deadline(
    req: falcon.Request, wanted: str, also: Sequence[str] = (), *, sooner: str = ""
) -> Deadline | None:
    """What ``?wait=<wanted>&timeout=<seconds>`` asks for, if anything.

    :param sooner: what may be waited for instead; empty for nothing
    :param also: further parameters of the call, which are not looked at here
    """
    given = params(req, ("wait", "timeout", *also))
    timeout = seconds(given["timeout"]) if "timeout" in given else DEFAULT_TIMEOUT
    if "wait" not in given:
        return None
    if given["wait"] not in (wanted, *filter(None, [sooner])):
        known = f"{sooner!r}, {wanted!r}" if sooner else repr(wanted)
        raise bad("wait", f"must be {known} or left out")
    return Deadline(given["wait"], timeout)
