"""Who competes: each plugs the ports of :mod:`scene` on a switch of its own, and is timed inside.

A contender keeps the set of ports that are present. All times are seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import scene


class Contender(Protocol):
    """What a world asks of its contender."""

    present: set[int]

    def one(self, number: int) -> float | list[float]:
        """Plug one port; the seconds until it is proven. os-vif gives two times."""

    def batch(self, numbers: Sequence[int]) -> float | list[float]:
        """Plug many ports as fast as possible."""

    def callers(self, numbers: Sequence[int]) -> list[float]:
        """Plug ports from :data:`scene.CALLERS` callers at once; the seconds of each plug, and
        last those of the whole."""

    def unplug(self, numbers: Sequence[int]) -> float:
        """Remove ports."""

    def fill(self, numbers: Sequence[int]) -> None:
        """Have ports present, however that is done fastest."""

    def clear(self, numbers: Sequence[int]) -> None:
        """Have ports gone, however that is done fastest."""

    def processes(self) -> list[int]:
        """What works for it, the switch included."""

    def close(self) -> None:
        """End it."""


def race(numbers: Sequence[int], work: Callable[[int, list[int]], list[float]]) -> list[float]:
    """Have every caller do its share on a thread of its own, all starting together."""
    shares: list[list[int]] = [[] for _ in range(scene.CALLERS)]
    for number in numbers:
        shares[number % scene.CALLERS].append(number)
    took: list[float] = []
    broken: list[BaseException] = []
    gate = threading.Barrier(scene.CALLERS + 1)

    def caller(index: int) -> None:
        gate.wait()
        try:
            took.extend(work(index, shares[index]))
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=caller, args=(i,)) for i in range(scene.CALLERS)]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - start
    if broken:
        raise broken[0]
    return [*took, whole]


class Batches:
    """For who knows batches: they are the fastest way."""

    def fill(self: Contender, numbers: Sequence[int]) -> None:
        self.batch(numbers)

    def clear(self: Contender, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), 100):
            self.unplug(numbers[start : start + 100])


def cpu(pids: Sequence[int]) -> float:
    """Seconds of CPU that all threads of these processes used so far, to the nanosecond."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total / 1e9
