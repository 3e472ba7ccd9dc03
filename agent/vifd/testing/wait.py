"""Waiting on conditions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two looks at a condition.
INTERVAL = 0.002


class Expired(AssertionError):
    """A condition did not come true in time."""


def until(condition: Callable[[], T], what: str, timeout: float = 10.0) -> T:
    """Look at a condition until it is truthy, and return what it gave.

    :param what: the condition in words, for the failure's message
    :param timeout: seconds
    :raises Expired: when it never was; the message holds the last value
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Expired(f"not within {timeout:g} s: {what} (last seen: {value!r})")
        time.sleep(INTERVAL)
