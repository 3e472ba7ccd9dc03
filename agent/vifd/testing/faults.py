"""Faults that a test orders from a fake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class _Fault:
    error: Exception
    after: bool
    name: str | None


class Faults:
    """The base of fakes that fail when told to."""

    def __init__(self) -> None:
        self._faults: dict[str, list[_Fault]] = {}
        #: The names of the calls that were made, in order.
        self.calls: list[str] = []

    def fail_next(
        self, verb: str, error: Exception, *, after: bool = False, name: str | None = None
    ) -> None:
        """Let the next call of ``verb`` end with an error.

        :param after: raise it once the effect has taken place, as when an answer is lost
        :param name: let only this one of a batch fail, where the call reports per name
        """
        if not callable(getattr(self, verb, None)):
            raise TypeError(f"{type(self).__name__} has no call {verb!r}")
        self._faults.setdefault(verb, []).append(_Fault(error, after, name))

    @contextlib.contextmanager
    def _call(self, verb: str) -> Iterator[None]:
        """Surround the effect of a call; raise what was ordered for it."""
        self.calls.append(verb)
        fault = self._next(verb, None)
        if fault is not None and not fault.after:
            raise fault.error
        yield
        if fault is not None:
            raise fault.error

    def _next(self, verb: str, name: str | None) -> _Fault | None:
        faults = self._faults.get(verb, [])
        found = next((fault for fault in faults if fault.name == name), None)
        if found is not None:
            faults.remove(found)
        return found
