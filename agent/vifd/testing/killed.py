"""The real daemon on drivers that kill it: before or after the n-th call that changes the host.

``python -m vifd.testing.killed N before|after FILE [EFFECT…] -- ARGS``. Reads are not counted. FILE
gets a line per counted call, so that a run that is never killed tells how many there are. An EFFECT
is a call of a plugin's own that changes the host past the drivers: ``package.module:Class.method``.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from oslo_log import log

from vifd import config, daemon
from vifd.drivers import Drivers
from vifd.testing.injection import WRITES


class Counter:
    """Counts effects and ends the process at the chosen one."""

    def __init__(self, fatal: int, when: str, path: str) -> None:
        self._fatal, self._when, self._path, self._count = fatal, when, path, 0
        self._lock = threading.Lock()

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with death before or after it when its turn has come."""

        @functools.wraps(call)
        def deadly(*args: Any, **kwargs: Any) -> Any:
            number = self._note(name)
            self._strike(number, "before")
            result = call(*args, **kwargs)
            self._strike(number, "after")
            return result

        return deadly

    def _note(self, name: str) -> int:
        with self._lock:
            self._count += 1
            with open(self._path, "a") as out:
                out.write(f"{self._count} {name}\n")
            return self._count

    def _strike(self, number: int, when: str) -> None:
        if number == self._fatal and when == self._when:
            os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A driver that strikes around its effects and is otherwise the one it wraps."""

    def __init__(self, inner: object, name: str, counter: Counter) -> None:
        self._inner, self._name, self._counter = inner, name, counter

    def __getattr__(self, verb: str) -> Any:
        call = getattr(self._inner, verb)
        name = f"{self._name}.{verb}"
        return self._counter.around(name, call) if name in WRITES else call


def wrapped(real: Drivers, counter: Counter) -> Drivers:
    """The drivers, deadly."""
    found: dict[str, Any] = {}
    for field in fields(Drivers):
        driver = getattr(real, field.name)
        found[field.name] = driver and Deadly(driver, field.name, counter)
    return Drivers(**found)


def arm(effect: str, counter: Counter) -> None:
    """Make a call of a plugin's own deadly."""
    module, _, path = effect.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, counter.around(effect, getattr(owner, name)))


def main(argv: list[str]) -> None:
    """Run the daemon until it is killed or stopped."""
    split = argv.index("--")
    fatal, when, path, *effects = argv[:split]
    counter = Counter(int(fatal), when, path)
    for effect in effects:
        arm(effect, counter)

    def make(conf: Any) -> Any:
        real, closers = daemon.local_drivers(conf)
        return wrapped(real, counter), closers

    conf = config.load(argv[split + 1 :])
    log.setup(conf, "vifd")
    daemon.Daemon(conf, make).run()


if __name__ == "__main__":
    main(sys.argv[1:])
