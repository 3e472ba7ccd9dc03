"""What Neutron's suite uses of systemd, for a machine without it: transient units.

Called by the programs in ``bin/`` under systemd's names. A unit has a supervisor, a subreaper, so
that whatever the service starts stays below it as in a control group; ``KillMode=mixed``. Its files
lie in ``$FULLSTACK_UNITS/UNIT``: what to run, the state (with a count that grows with every
change), the supervisor's process id, the service's output, and a log of what happened when.

``$FULLSTACK_L2_AGENT`` is started in the place of the suite's own layer 2 agent, as that would be.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

#: The program of the suite that another agent takes the place of.
_AGENT = "/fullstack/agents/ovs_agent.py"
_SIGNALS = {"stop": signal.SIGTERM, "restart": signal.SIGHUP, "kill": signal.SIGUSR1}
_WAITED = {*_SIGNALS.values(), signal.SIGCHLD}
_PR_SET_CHILD_SUBREAPER = 36
#: Options of systemd-run that have a value as the next word.
_WITH_VALUE = {"--service-type", "--property", "--uid", "--gid", "--unit", "--slice", "--setenv"}


def run(words: list[str]) -> int:
    """``systemd-run``: start a unit; returns once it is active."""
    options: dict[str, list[str]] = {}
    position = 0
    while words[position].startswith("--"):
        name = words[position]
        if name in _WITH_VALUE:
            position += 1
            options.setdefault(name, []).append(words[position])
        position += 1
    argv = words[position:]
    given = dict(e.split("=", 1) for e in options.get("--setenv", ()))
    agent = os.environ.get("FULLSTACK_L2_AGENT")
    for place, word in enumerate(argv):
        if agent and word.endswith(_AGENT):
            argv[place], given["FULLSTACK_STOCK_AGENT"] = agent, word
    unit = _unit(options["--unit"][0])
    unit.mkdir(parents=True, exist_ok=True)
    patience = dict(p.split("=", 1) for p in options.get("--property", ())).get(
        "TimeoutStopSec", "90s"
    )
    spec = {
        "argv": argv,
        "environment": given,
        "directory": os.getcwd(),
        "patience": float(patience.removesuffix("s")),
    }  # fmt: skip
    (unit / "spec").write_text(json.dumps(spec))
    before = _state(unit)
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        Supervisor(unit, spec).run()
    os.wait()
    return 0 if _changed(unit, before) else 1


def ctl(words: list[str]) -> int:
    """``systemctl``: is-active, stop, restart or kill; waits until the order is begun."""
    verb, unit = words[0], _unit(words[-1])
    state = _state(unit)
    if verb == "is-active":
        print(state.partition(" ")[0])
        return 0 if state.startswith("active") else 3
    if state.startswith(("active", "deactivating")):
        os.kill(int((unit / "pid").read_text()), _SIGNALS[verb])
        _changed(unit, state)
    return 0


def escape(words: list[str]) -> int:
    """``systemd-escape``: a name that a unit may have."""
    print("".join(c if c.isalnum() or c in "_.:-" else "_" for c in words[-1]))
    return 0


class Supervisor:
    """The parent of one unit's processes."""

    def __init__(self, unit: Path, spec: dict[str, Any]) -> None:
        self._unit = unit
        self._spec = spec
        self._main = 0
        self._stopping: float | None = None
        self._deadline = float("inf")
        self._again = False
        self._killed = False

    def run(self) -> None:
        """Until the service has ended for good; never returns."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
        self._redirect()
        (self._unit / "pid").write_text(str(os.getpid()))
        self._start()
        while True:
            found = signal.sigtimedwait(_WAITED, 0.2)
            if found is not None and found.si_signo != signal.SIGCHLD:
                self._ordered(found.si_signo)
            if time.monotonic() > self._deadline:
                self._deadline = float("inf")
                self._log(f"does not end within {self._spec['patience']:g} s: SIGKILL")
                os.kill(self._main, signal.SIGKILL)
            gone = _reaped()
            if self._main in gone or self._killed:
                self._ended(gone.get(self._main))

    def _ordered(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._log("kill")
            self._put("deactivating")
            self._again, self._killed = False, True
            return
        self._again = number == signal.SIGHUP
        self._log("restart" if self._again else "stop")
        if self._stopping is None:
            self._stopping = time.monotonic()
            self._deadline = self._stopping + self._spec["patience"]
            self._put("deactivating")
            os.kill(self._main, signal.SIGTERM)

    def _ended(self, status: int | None) -> None:
        took = f" after {time.monotonic() - self._stopping:.1f} s" if self._stopping else ""
        self._log(f"main process {self._main} ended, status {status}{took}")
        _kill_below()
        if self._again:
            self._again, self._stopping, self._deadline = False, None, float("inf")
            self._start()
            return
        asked = self._killed or self._stopping is not None
        self._put("inactive" if asked else "failed")
        os._exit(0)

    def _start(self) -> None:
        self._main = os.fork()
        if not self._main:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAITED)
            os.chdir(self._spec["directory"])
            argv = self._spec["argv"]
            try:
                os.execvpe(argv[0], argv, {**os.environ, **self._spec["environment"]})
            except OSError as error:
                print(error, argv, flush=True)
                os._exit(203)
        self._log(f"start {self._main}: {' '.join(self._spec['argv'])}")
        self._put("active")

    def _put(self, state: str) -> None:
        count = int(_state(self._unit).partition(" ")[2] or 0) + 1
        scratch = self._unit / "state.new"
        scratch.write_text(f"{state} {count}")
        scratch.rename(self._unit / "state")

    def _log(self, text: str) -> None:
        with (self._unit / "log").open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def _redirect(self) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        sink = os.open(self._unit / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for source, target in ((null, 0), (sink, 1), (sink, 2)):
            os.dup2(source, target)


def _unit(name: str) -> Path:
    return Path(os.environ["FULLSTACK_UNITS"], name)


def _state(unit: Path) -> str:
    """The unit's state and its count; a supervisor that is gone supervises nothing."""
    try:
        state = (unit / "state").read_text()
        if not state.startswith(("inactive", "failed")):
            os.kill(int((unit / "pid").read_text()), 0)
    except (OSError, ValueError):
        return "inactive"
    return state


def _changed(unit: Path, before: str) -> bool:
    for _ in range(400):
        if _state(unit) not in (before, "inactive"):
            return True
        time.sleep(0.02)
    return False


def _below(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return list(itertools.chain.from_iterable([int(c), *_below(int(c))] for c in children))


def _reaped() -> dict[int, int]:
    gone: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return gone
        if not pid:
            return gone
        gone[pid] = status


def _kill_below() -> None:
    while found := _below(os.getpid()):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reaped()
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit({"run": run, "ctl": ctl, "escape": escape}[sys.argv[1]](sys.argv[2:]))
