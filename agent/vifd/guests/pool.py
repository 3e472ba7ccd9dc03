"""Calls that block for a guest, on native threads that nobody waits for at the daemon's end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from vifd.safety.steady import settle

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """At most so many calls at a time; more wait. A thread is made when it is first needed.

    An executor of the standard library would hold up the end of the process until libvirt has
    answered.
    """

    def __init__(self, name: str, parallel: int) -> None:
        self._name = name
        self._parallel = parallel
        self._lock = threading.Lock()
        self._threads = self._idle = 0
        self._stopped = False
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have something called; its result or exception is the future's."""
        future: Future[T] = Future()
        if self._stopped:
            future.cancel()
            return future
        self._calls.put((future, lambda: call(*args, **kwargs)))
        with self._lock:
            if self._idle == 0 and self._threads < self._parallel:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
        return future

    def stop(self) -> None:
        """Begin nothing any more; what runs is left to itself."""
        self._stopped = True

    def _run(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            future, call = self._calls.get()
            with self._lock:
                self._idle -= 1
            if self._stopped or not future.set_running_or_notify_cancel():
                future.cancel()
                continue
            settle(future, call)
