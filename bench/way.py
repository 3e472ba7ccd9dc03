"""The way of one plug and of one unplug, step by step: ``python bench/plug.py --profile``.

One port is plugged or unplugged at a time beside others, on a daemon with a stopwatch on its steps.
What the steps take of the processor holds on a loaded machine; what they take on the wall does not.
"""

from __future__ import annotations

import json
import signal
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scene
from contend import cpu
from contend_vifd import Daemon
from report import markdown
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: What the switch counts, and what it is called here.
COUNTED = {
    "bridge_reconfigure": "reconfigurations",
    "netlink_sent": "netlink requests",
    "nln_changed": "link events",
    "vconn_received": "OpenFlow messages taken",
}
_FIRST = 5000
#: Plugs for which the switch's counters are read, and seconds after which these are complete.
_COUNTED, _COUNTS = 10, 1.5


class Profiled(Daemon):
    """vifd with stopwatches; see :mod:`profiled`."""

    def __init__(self, directory: Path, ovs: PrivateOvs) -> None:
        self._output = directory / "steps.json"
        super().__init__(directory, ovs)

    def _start(self) -> float:
        argv = self._vifd.process.argv
        if "-m" in argv:
            at = argv.index("-m")
            argv[at : at + 2] = [str(Path(__file__).with_name("profiled.py")), str(self._output)]
        return super()._start()

    def profile(self, plugs: int, removals: bool = False) -> dict[str, Any]:
        """Plug so many ports, one at a time, and tell what that took, per plug.

        :param removals: have them gone again, and tell what that took instead: on the wall until
            who waits for no more than that they are closed and their devices gone is answered, of
            everything else until all is cleared away
        """
        for number in range(_FIRST, _FIRST + 3):
            self.one(number)
            self.unplug([number])
        switch = self._ovs.vswitchd.pid or 0
        walls, used, tasks = [], {"vifd": 0.0, "switch": 0.0}, dict[str, list[float]]()
        steps = dict[tuple[str, str], list[float]]()
        for number in range(_FIRST + 3, _FIRST + 3 + plugs):
            if removals:
                self.one(number)
                self._at_rest()
            self._begin()
            before = self._tasks(), cpu([switch])
            walls.append(self._away(number) if removals else self.one(number))
            self._at_rest()
            after, gathered = self._tasks(), self._gathered()
            used["switch"] += cpu([switch]) - before[1]
            for task, values in after.items():
                was = before[0].get(task, [0.0, 0.0, 0.0])
                name = gathered["threads"].get(task, "(ended)")
                total = tasks.setdefault(name, [0.0, 0.0, 0.0])
                for index, value in enumerate(values):
                    total[index] += value - was[index]
                used["vifd"] += values[0] - was[0]
            for thread, step, *values in gathered["steps"]:
                total = steps.setdefault((thread, step), [0.0, 0.0, 0.0])
                for index, value in enumerate(values):
                    total[index] += value
            if not removals:
                self.unplug([number])
                self._at_rest()
        return {
            "wall": statistics.median(walls),
            "used": {name: value / plugs for name, value in used.items()},
            "counted": self._counts(removals=removals),
            "threads": {n: [v / plugs for v in values] for n, values in tasks.items()},
            "steps": [[*key, *(v / plugs for v in values)] for key, values in steps.items()],
        }

    def _away(self, number: int) -> float:
        """Unplug a port, until it is closed and its device gone."""
        path = f"/v1/ports/{scene.port_id(number)}?wait=detached&timeout=60"
        start = time.perf_counter()
        self._clients[0].call("DELETE", path, None)
        took = time.perf_counter() - start
        self.present.discard(number)
        return took

    def _counts(self, *, removals: bool) -> dict[str, float]:
        """What the switch counts per plug or unplug; it puts its counters together once a
        second."""
        numbers = range(_FIRST, _FIRST + _COUNTED)
        for number in numbers if removals else ():
            self.one(number)
        time.sleep(_COUNTS)
        before = self._coverage()
        for number in numbers:
            self._away(number) if removals else self.one(number)
            self._at_rest()
        time.sleep(_COUNTS)
        after = self._coverage()
        if not removals:
            self.unplug(numbers)
        return {
            text: (after.get(name, 0) - before.get(name, 0)) / _COUNTED
            for name, text in COUNTED.items()
        }

    def _begin(self) -> None:
        self._signal(signal.SIGUSR1)
        time.sleep(0.02)  # the handler runs on the main thread, which is idle

    def _gathered(self) -> Any:
        self._output.unlink(missing_ok=True)
        self._signal(signal.SIGUSR2)
        until(self._output.exists, "the stopwatches are read")
        return json.loads(self._output.read_text())

    def _signal(self, number: signal.Signals) -> None:
        process = self._vifd.process.process
        if process is not None:
            process.send_signal(number)

    def _at_rest(self) -> None:
        """Until the switch and the daemon do nothing any more."""
        pids = self.processes()
        until(lambda: _idle(pids), "nobody works")

    def _tasks(self) -> dict[str, list[float]]:
        """By thread: seconds of the processor, seconds without one, and how often it waited."""
        found = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                ran, waited, _ = (task / "schedstat").read_text().split()
                status = (task / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            turns = status.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0]
            found[task.name] = [int(ran) / 1e9, int(waited) / 1e9, float(turns)]
        return found

    def _coverage(self) -> dict[str, int]:
        found = {}
        self._ovs.appctl("coverage/show")  # the switch has a look at the time
        for line in self._ovs.appctl("coverage/show").splitlines():
            name, _, total = line.partition(" ")
            if name in COUNTED and "total:" in total:
                found[name] = int(total.rpartition("total:")[2])
        return found


def _idle(pids: Sequence[int]) -> bool:
    before = cpu(pids)
    time.sleep(0.03)
    return cpu(pids) - before < 0.002


def text(present: int, found: dict[str, Any], *, removals: bool = False) -> str:
    """What :meth:`Profiled.profile` told, for a reader."""
    wall, used = found["wall"], found["used"]
    counted = ", ".join(f"{value:.1f} {name}" for name, value in found["counted"].items())
    head = (
        f"## {'Unplug' if removals else 'Plug'}, {present} ports present\n\n"
        f"{wall * 1e3:.1f} ms on the wall (median). Of the processor: vifd "
        f"{used['vifd'] * 1e3:.1f} ms ({used['vifd'] / wall:.2f} of the wall), the switch "
        f"{used['switch'] * 1e3:.1f} ms; "
        f"each: {counted}."
    )
    rows: list[Sequence[str]] = [
        ("step", "thread", "times", "ms", "share", "of it processor", "waits")
    ]
    order = {name: index for index, name in enumerate(_order())}
    for thread, step, times, took, ran in sorted(
        found["steps"], key=lambda row: (order.get(row[1], 99), row[0])
    ):
        rows.append((step, thread, f"{times:.1f}", f"{took * 1e3:.2f}", f"{took / wall:.0%}",
                     f"{ran * 1e3:.2f}", f"{max(0.0, took - ran) * 1e3:.2f}"))  # fmt: skip
    threads: list[Sequence[str]] = [("thread", "processor, ms", "waits for one, ms", "hand-overs")]
    for name, (ran, waited, turns) in sorted(found["threads"].items(), key=lambda r: -r[1][0]):
        if ran >= 0.00002:
            threads.append((name, f"{ran * 1e3:.2f}", f"{waited * 1e3:.2f}", f"{turns:.1f}"))
    return f"{head}\n\n{markdown(rows)}\n\n{markdown(threads)}"


def _order() -> list[str]:
    from profiled import STEPS

    return [name for name, _, _ in STEPS]


def profile(presents: Sequence[int], plugs: int) -> str:
    """The way of a plug and of an unplug beside so many ports, each."""
    from world import World

    parts = []
    for present in presents:
        world = World("profiled")
        try:
            world.call("fill", present)
            parts.append(text(present, world.call("profile", plugs)))
            gone = world.call("profile", plugs, True)
            parts.append(text(present, gone, removals=True))
        finally:
            world.close()
    return "\n\n".join(parts)
