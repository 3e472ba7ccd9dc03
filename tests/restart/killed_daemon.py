"""The real daemon on drivers that kill it: before or after the n-th call that changes the host.

``python killed_daemon.py N before|after FILE -- ARGS``. Reads are not counted. FILE gets a line per
counted call, so that a run that is never killed tells how many there are.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from oslo_log import log

from vifd import config, daemon
from vifd.drivers import Drivers

#: The calls of each driver that change the host.
EFFECTS = {
    "links": ("create_taps", "set", "delete"),
    "ovsdb": ("ensure_bridge", "ensure_ports", "delete_ports", "set_external_ids"),
    "openflow": ("apply",),
}


class Counter:
    """Counts effects and ends the process at the chosen one."""

    def __init__(self, fatal: int, when: str, path: str) -> None:
        self.fatal, self.when, self.path, self.count = fatal, when, path, 0

    def note(self, name: str) -> int:
        self.count += 1
        with open(self.path, "a") as out:
            out.write(f"{self.count} {name}\n")
        return self.count

    def strike(self, number: int, when: str) -> None:
        if number == self.fatal and when == self.when:
            os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A driver that strikes around its effects and is otherwise the one it wraps."""

    def __init__(self, inner: object, name: str, counter: Counter) -> None:
        self._inner, self._name, self._counter = inner, name, counter

    def __getattr__(self, verb: str) -> Any:
        call = getattr(self._inner, verb)
        if verb not in EFFECTS[self._name]:
            return call

        def deadly(*args: Any, **kwargs: Any) -> Any:
            number = self._counter.note(f"{self._name}.{verb}")
            self._counter.strike(number, "before")
            result = call(*args, **kwargs)
            self._counter.strike(number, "after")
            return result

        return deadly


def main() -> None:
    fatal, when, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    counter = Counter(fatal, when, path)

    def make(conf: Any) -> Any:
        real, closers = daemon.local_drivers(conf)
        wrapped: Any = [Deadly(getattr(real, name), name, counter) for name in EFFECTS]
        return Drivers(*wrapped, real.tracer), closers

    conf = config.load(sys.argv[5:])
    log.setup(conf, "vifd")
    daemon.Daemon(conf, make).run()


if __name__ == "__main__":
    main()
