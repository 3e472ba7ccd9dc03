"""Waiting on conditions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two looks at a condition.
INTERVAL = 0.002
#: Seconds that anything may take before a test has failed. What comes true costs nothing of it, and
#: a machine that does much else is no defect: shorter limits are for what must not come true. A
#: machine that is emulated says more (``VIFD_PATIENCE``).
PATIENCE = float(os.environ.get("VIFD_PATIENCE", "60"))


class Expired(AssertionError):
    """A condition did not come true in time."""


def until(
    condition: Callable[[], T],
    what: str,
    timeout: float = PATIENCE,
    told: Callable[[], object] | None = None,
) -> T:
    """Look at a condition until it is truthy, and return what it gave.

    :param what: the condition in words, for the failure's message
    :param timeout: seconds
    :param told: asked at the end for the state that explains the failure
    :raises Expired: when it never was; the message holds the last value
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            state = f"\n{told()}" if told else ""
            raise Expired(f"not within {timeout:g} s: {what} (last seen: {value!r}){state}")
        time.sleep(INTERVAL)
