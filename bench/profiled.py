"""The daemon with a stopwatch on the steps of a plug: ``profiled.py OUTPUT [arguments of vifd]``.

Each step is a function of the daemon. What a step takes is told without the steps within it: on the
wall, and of the processor by its own thread; the rest it waited. SIGUSR1 begins anew, SIGUSR2 has
what was gathered written to the output, as JSON, in one rename.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What is timed: (name, module, class and method), in the order of a plug's way.
STEPS = (
    ("request decoded", "vifd.api.body", "read_json"),
    ("request decided", "vifd.engine.intake", "Intake._decide"),
    ("told to who waits", "vifd.engine.tickets", "Tickets.settle"),
    ("journal", "vifd.store.journal", "Journal.commit"),
    ("lane: batch taken", "vifd.engine.worker.worker", "Worker.serve"),
    ("names chosen", "vifd.engine.worker.naming", "Naming.named"),
    ("plug: order of steps", "vifd_ovs.plugging", "Plugging.run"),
    ("flows compared", "vifd_ovs.bridge.switch", "Switch.apply"),
    ("flows read back at once", "vifd_ovs.bridge.switch", "Switch.prove"),
    ("tap made", "vifd.drivers.links", "Links.create_taps"),
    ("devices read", "vifd.drivers.links", "Links.get"),
    ("host does not hear it", "vifd_ovs.bridge.hearing", "Hearing.settle"),
    ("row written", "vifd.drivers.ovsdb", "Ovsdb.ensure_ports"),
    ("number waited for", "vifd.drivers.ovsdb", "Ovsdb.wait_ports"),
    ("proof", "vifd.engine.worker.attempt", "Attempt.prove"),
    ("proof: facts", "vifd_ovs.bridge.checking", "PortChecking.run"),
    ("proof: traces", "vifd_ovs.bridge.proofs", "traces"),
    ("open", "vifd.engine.worker.attempt", "Attempt.open"),
    ("switch: flows changed", "vifd.drivers.openflow", "LocalOpenFlow.apply"),
    ("switch: flows read", "vifd.drivers.openflow", "LocalOpenFlow.read"),
    ("switch: frames traced", "vifd.drivers.tracer", "LocalTracer.traces"),
    ("unplug: order of steps", "vifd_ovs.plugin", "OvsPlugin.unplug"),
    ("row removed", "vifd.drivers.ovsdb", "Ovsdb.delete_ports"),
    ("tap removed", "vifd.drivers.links", "Links.delete"),
    ("connections forgotten", "vifd.drivers.openflow", "LocalOpenFlow.flush_zones"),
    ("result recorded", "vifd.engine.worker.worker", "Worker._commit"),
    ("result logged", "vifd.engine.worker.telling", "Telling.finished"),
)


class Watches:
    """What was measured, by thread and step: how often, seconds on the wall, of the processor."""

    def __init__(self) -> None:
        self.here = threading.local()
        self.found: dict[tuple[str, str], list[float]] = {}

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """A function with a stopwatch."""

        @functools.wraps(work)
        def timed(*args: Any, **named: Any) -> Any:
            within = self.here.__dict__.setdefault("within", [])
            spent = [0.0, 0.0]
            within.append(spent)
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return work(*args, **named)
            finally:
                wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
                within.pop()
                if within:
                    within[-1][0] += wall
                    within[-1][1] += cpu
                key = threading.current_thread().name, name
                total = self.found.setdefault(key, [0, 0.0, 0.0])
                total[0] += 1
                total[1] += wall - spent[0]
                total[2] += cpu - spent[1]

        return timed

    def put(self) -> list[str]:
        """A stopwatch on every step; those that there are no more."""
        lacking = []
        for name, module, path in STEPS:
            owner: Any = importlib.import_module(module)
            *classes, function = path.split(".")
            for one in classes:
                owner = getattr(owner, one, None)
            work = getattr(owner, function, None)
            if work is None:
                lacking.append(f"{module}.{path}")
            else:
                setattr(owner, function, self.around(name, work))
        return lacking

    def write(self, path: Path) -> None:
        """What was gathered, and which thread is which."""
        rows = [[*key, *total] for key, total in list(self.found.items())]
        threads = {str(one.native_id): one.name for one in threading.enumerate()}
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"steps": rows, "threads": threads, "pid": os.getpid()}))
        new.rename(path)


def main() -> int:
    """The daemon's life."""
    path = Path(sys.argv.pop(1))
    from vifd.main import main as daemon

    watches = Watches()
    if lacking := watches.put():
        raise SystemExit(f"no such function any more: {', '.join(lacking)}")
    signal.signal(signal.SIGUSR1, lambda *_: watches.found.clear())
    signal.signal(signal.SIGUSR2, lambda *_: watches.write(path))
    return daemon()


if __name__ == "__main__":
    sys.exit(main())
