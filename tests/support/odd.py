"""Answers from outside as they should not be: what was right, with one thing in it made odd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: What may stand where something else is expected.
ODD: tuple[Any, ...] = (None, [], {}, 0, -1, True, "x", ["x"], {"x": "x"}, [[]], [None])


def variants(value: Any) -> Iterator[Any]:
    """The value with one thing in it taken away or replaced, for every thing in it."""
    yield from ODD
    if isinstance(value, dict):
        for key, member in value.items():
            rest = {k: v for k, v in value.items() if k != key}
            yield rest
            yield from ({**value, key: odd} for odd in variants(member))
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield value[:at] + value[at + 1 :]
            yield from ([*value[:at], odd, *value[at + 1 :]] for odd in variants(member))
