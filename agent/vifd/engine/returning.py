"""What is gone from the host, and what of it came back: bridges, and devices that lead out."""

from __future__ import annotations

import threading
from collections.abc import Collection


class Returning:
    """Notes from the drivers' threads, for the watcher's. What merely changes is none of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone: set[str] = set()
        self._returned: set[str] = set()

    def note(self, name: str, *, there: bool) -> None:
        """A bridge or device was seen, or seen to be gone."""
        with self._lock:
            if not there:
                self._gone.add(name)
                self._returned.discard(name)
            elif name in self._gone:
                self._gone.discard(name)
                self._returned.add(name)

    def take(self, names: Collection[str]) -> set[str]:
        """Which of these came back; each is told once."""
        with self._lock:
            taken = self._returned.intersection(names)
            self._returned -= taken
        return taken
