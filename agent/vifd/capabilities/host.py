"""The host's capabilities, kept up to date: a snapshot that can be read at any time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from vifd.capabilities.findings import Findings, Source, Stoppable
from vifd.capabilities.inventory import Capability, Inventory
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: Seconds after which a probe that has not answered is called hanging: what it told is stale, and
#: nobody waits for it any more.
PATIENCE = 5.0
#: Seconds that events of one source are gathered before it is read again.
SETTLE = 0.2
#: A source that failed is read again after so many seconds.
_AGAIN = 10.0
#: What is said of a source whose probe has not answered in time.
_HANGS = "its probe hangs"


@dataclass
class _State:
    """Of one source.

    :param due: when it is to be read next, on the monotonic clock
    :param since: when the probe that runs now began; ``None`` while none runs
    :param began: counts the probes that were begun, ``ended`` those that were over
    """

    source: Source
    due: float = 0.0
    since: float | None = None
    began: int = 0
    ended: int = 0
    findings: Findings | None = None
    took: float | None = None
    problem: str = ""
    thread: threading.Thread | None = None


@dataclass
class _Waiter:
    """Somebody who waits for a refresh: per source the number of the probe that answers it."""

    wanted: dict[str, int]
    until: float
    future: Future[Inventory] = field(default_factory=Future)


class HostCapabilities:
    """Reads every source on threads of its own and publishes what they say.

    One thread keeps the time. Each probe runs on a short thread, so that one that hangs costs its
    own facts only: they stay, marked as stale, until it answers. Nothing here blocks a caller.

    :param clock: for intervals
    :param wall: for the times in the inventory
    """

    def __init__(
        self, sources: Sequence[Source], *, patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._patience = patience
        self._clock = clock
        self._wall = wall
        self._states = {source.name: _State(source) for source in sources}
        self._waiters: list[_Waiter] = []
        self._inventory = Inventory()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = Steady(self._run, "host")

    # --- for everybody ---

    def inventory(self) -> Inventory:
        """The last snapshot. Empty until the first source has answered."""
        return self._inventory

    def sources(self) -> list[dict[str, Any]]:
        """What is known of each source: when it was read, how long it took, what went wrong."""
        now = self._clock()
        with self._changed:
            return [self._describe(name, state, now) for name, state in self._states.items()]

    def _describe(self, name: str, state: _State, now: float) -> dict[str, Any]:
        return {
            "name": name,
            "at": state.findings.at if state.findings else None,
            "milliseconds": None if state.took is None else round(state.took * 1000, 2),
            "interval": state.source.interval,
            "running_for": None if state.since is None else round(now - state.since, 3),
            "problem": self._trouble(state, now) or None,
        }

    def suspect(self, *sources: str) -> None:
        """Have sources read again soon: something that they read has changed."""
        with self._changed:
            soon = self._clock() + SETTLE
            for name in sources:
                state = self._states.get(name)
                if state is not None:
                    state.due = min(state.due, soon)
            self._changed.notify()

    def refresh(self, sources: Iterable[str] = ()) -> Future[Inventory]:
        """Read sources now, all of them by default.

        The future is done once each has answered, or was given up; it then has the snapshot, in
        which the facts of those that hang are marked.
        """
        with self._changed:
            names = [n for n in sources if n in self._states] or list(self._states)
            wanted = {}
            for name in names:
                state = self._states[name]
                # a probe that runs already may have read before the change that is asked about
                wanted[name] = state.began + 1
                state.due = 0.0
            # a probe that begins late has its time all the same
            waiter = _Waiter(wanted, self._clock() + 2 * self._patience)
            if self._stopping:
                waiter.future.set_result(self._inventory)
            else:
                self._waiters.append(waiter)
            self._changed.notify()
        return waiter.future

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, and wait so many seconds for what runs; a probe that hangs is left to itself."""
        end = time.monotonic() + timeout
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        for state in self._states.values():
            if isinstance(state.source, Stoppable):
                state.source.stop()
            if state.thread is not None:
                state.thread.join(max(0.0, end - time.monotonic()))
        with self._changed:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.future.set_result(self._inventory)

    # --- the thread ---

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                pause = self._turn()
                done = self._served()
                if not done:
                    self._changed.wait(pause)
            for waiter in done:
                waiter.future.set_result(self._inventory)

    def _turn(self) -> float:
        """Begin what is due, and tell of what hangs; the seconds until something may be due."""
        now = self._clock()
        upcoming = now + 3600.0
        hanging = False
        for name, state in self._states.items():
            if state.since is None and state.due <= now:
                self._begin(name, state, now)
            if state.since is None:
                upcoming = min(upcoming, state.due)
            elif now - state.since < self._patience:
                upcoming = min(upcoming, state.since + self._patience)
            else:
                hanging |= self._give_up(name, state, now)
        if hanging:
            self._publish(now)
        upcoming = min([upcoming, *(waiter.until for waiter in self._waiters)])
        return max(0.0, upcoming - now)

    def _begin(self, name: str, state: _State, now: float) -> None:
        state.since, state.began = now, state.began + 1
        state.due = now + state.source.interval
        state.thread = threading.Thread(
            target=self._probe, args=(state,), name=f"probe-{name}", daemon=True
        )
        try:
            state.thread.start()
        except RuntimeError as error:  # the system has no thread left
            state.since, state.thread, state.ended = None, None, state.ended + 1
            state.due, state.problem = now + _AGAIN, f"it cannot be read: {error}"
            LOG.warning("host capabilities: %s: %s", name, state.problem)
            self._publish(now)

    def _give_up(self, name: str, state: _State, now: float) -> bool:
        """Say once that a probe hangs."""
        trouble = self._trouble(state, now)
        if state.problem == trouble:
            return False
        state.problem = trouble
        LOG.warning("host capabilities: the probe of %s hangs; what it told is stale", name)
        return True

    def _served(self) -> list[_Waiter]:
        """Those who need not wait any longer."""
        now = self._clock()
        done = [w for w in self._waiters if w.until <= now or self._answered(w)]
        self._waiters = [w for w in self._waiters if w not in done]
        return done

    def _answered(self, waiter: _Waiter) -> bool:
        """Each has answered, or is known to hang; the snapshot says so by then."""
        states = ((self._states[name], number) for name, number in waiter.wanted.items())
        return all(
            state.ended >= number or (state.since is not None and state.problem == _HANGS)
            for state, number in states
        )

    # --- a probe, on a thread of its own ---

    def _probe(self, state: _State) -> None:
        findings = Findings(state.source.name, self._wall())
        began = self._clock()
        problem = ""
        try:
            state.source.probe(findings)
        except Exception as error:
            if not self._stopping:  # what it reads by is being closed
                LOG.exception("host capabilities: the probe of %s failed", state.source.name)
            problem = f"its probe failed: {error}"
        with self._changed:
            now = self._clock()
            state.since, state.ended = None, state.ended + 1
            state.took, state.problem = now - began, problem
            if problem:
                state.due = min(state.due, now + _AGAIN)
            else:
                state.findings = findings
            self._publish(now)
            self._changed.notify()

    def _publish(self, now: float) -> None:
        """Make the snapshot of what every source told last."""
        capabilities: dict[str, Capability] = {}
        complete: dict[str, Capability] = {}
        newest = 0.0
        for state in self._states.values():
            if state.findings is None:
                continue
            newest = max(newest, state.findings.at)
            stale = self._trouble(state, now)
            capabilities |= _marked(state.findings.capabilities, stale)
            complete |= _marked(state.findings.complete, stale)
        whole = all(state.findings is not None for state in self._states.values())
        old, new = self._inventory, Inventory(capabilities, newest, complete, whole)
        self._inventory = new
        _tell(old, new)

    def _trouble(self, state: _State, now: float) -> str:
        if state.since is not None and now - state.since >= self._patience:
            return _HANGS
        return state.problem


def _tell(old: Inventory, new: Inventory) -> None:
    """Log what the host has gained and lost since it was read last."""
    for capability in new:
        before = old.get(capability.name).present
        if before is not None and capability.present is not None and before != capability.present:
            word = "has" if capability.present else "has no longer"
            LOG.info("the host %s %s: %s", word, capability.name, capability.evidence)


def _marked(found: Mapping[str, Capability], stale: str) -> Mapping[str, Capability]:
    if not stale:
        return found
    return {name: replace(capability, stale=stale) for name, capability in found.items()}
