"""The real daemon on drivers that kill it: before or after the n-th call that changes the host.

``python -m vifd.testing.killed SOCKET`` imports what the daemon needs, once, and then forks one for
each connection to SOCKET: imports are most of a start. A process without threads is forked, so that
the child is as fresh as one of its own. :class:`vifd.testing.nursery.Nursery` is the other end.

A daemon is killed only once an order is there: a file with a number and ``before`` or ``after``.
Calls are counted from then on, and get a line each in another file, so that a run that is never
killed tells how many there are; reads are not counted. An EFFECT is a call of a plugin's own that
changes the host past the drivers: ``package.module:Class.method``.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

from oslo_log import log

from vifd.daemon import config, daemon, parts
from vifd.drivers import Drivers
from vifd.plugin import GROUP
from vifd.testing.injection import WRITES

_PR_SET_PDEATHSIG = 1


class Counter:
    """Counts effects from the order on, and ends the process at the ordered one.

    :param order: the file with the order, e.g. ``3 after``
    :param notes: the file that gets a line per effect
    """

    def __init__(self, order: Path, notes: Path) -> None:
        self._order, self._notes, self._count = order, notes, 0
        self._fatal, self._when = 0, ""
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
            if not self._fatal and self._order.exists():
                fatal, self._when = self._order.read_text().split()
                self._fatal = int(fatal)
            if not self._fatal:
                return -1
            self._count += 1
            with self._notes.open("a") as out:
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


# --- one daemon per connection --------------------------------------------------------------------


def run(wanted: dict[str, Any]) -> None:
    """Be the daemon, until it is killed or stopped.

    :param wanted: see :meth:`vifd.testing.nursery.Nursery.start`
    """
    counter = Counter(Path(wanted["order"]), Path(wanted["notes"]))
    for effect in wanted["effects"]:
        arm(effect, counter)

    def make(conf: Any) -> Any:
        real, closers = parts.local_drivers(conf)
        return wrapped(real, counter), closers

    conf = config.load(["--config-file", wanted["config"]])
    log.setup(conf, "vifd")
    daemon.Daemon(conf, make).run()


def _child(wanted: dict[str, Any], parent: int) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    code = 1
    try:
        if os.getppid() == parent:
            output = os.open(wanted["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            run(wanted)
            code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, and says why
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


def serve(connection: socket.socket) -> None:
    """Fork the daemon that is asked for, tell its process id, and at last that it has ended."""
    with connection.makefile("rw", encoding="utf-8") as stream:
        line = stream.readline()
        if not line:
            return  # somebody asked whether anybody listens
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line), parent)
        stream.write(f"{pid}\n")
        stream.flush()
        os.waitpid(pid, 0)


def main(path: str) -> None:
    """Serve connections, one after the other, until killed."""
    for point in entry_points(group=GROUP):
        point.load()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                serve(connection)


if __name__ == "__main__":
    main(sys.argv[1])
