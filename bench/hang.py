"""What a plugin that hangs costs the plug of another plugin's port.

``python bench/hang.py`` takes half a minute and needs root (or unprivileged user namespaces) and an
installed Open vSwitch; nothing of the host's is touched. The real engine, journal and OVS plugin
plug one port at a time, in turns: beside a plugin that has done its work, one that waits for ever
in its verb, and one that computes in it for ever. It prints a table, and fails where the median
with one that waits is more than 10 ms longer. One that computes shares the interpreter with all
others, and what that costs is shown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vifd.engine import Settings
from vifd.testing import netns, sandbox
from vifd.testing.attachments import attachment
from vifd.testing.contract_engine import Neighbour, beside
from vifd.testing.hosts import real_drivers
from vifd.testing.plugin import FakeBackend
from vifd.testing.running import Running
from vifd.testing.wait import until
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile

#: What a hanging neighbour may cost, in seconds.
LIMIT = 0.010

#: No lane is quarantined here: while it is not, nothing protects the others but their own lanes.
PATIENT = Settings(verify=5.0, hang=600.0)


class Hang:
    """A neighbour that hangs in ``plug`` on request."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.backend.spy = self._spy
        self._computing = False
        self._gate = threading.Event()
        self._gate.set()
        self._number = 0

    def _spy(self, verb: str) -> None:
        if verb == "plug":
            self._gate.wait()
            while self._computing:
                pass

    @contextmanager
    def during(self, running: Running, kind: str) -> Iterator[None]:
        """Have it work, and hang meanwhile: ``done``, ``waits`` or ``computes``."""
        self._number += 1
        self._computing = kind == "computes"
        if kind == "waits":
            self._gate.clear()
        ticket = running.submit(beside(self._number))
        if kind == "done":
            ticket.done.result(30)
        else:
            lane = running.engine.lanes["neighbour"]
            until(lambda: lane.busy is not None and self.backend.called("plug"), "it hangs")
        try:
            yield
        finally:
            self._computing = False
            self._gate.set()
            ticket.done.result(30)
            running.unplug(ticket.port_id)
            self.backend.calls.clear()


def measure(running: Running, hang: Hang, rounds: int) -> dict[str, list[float]]:
    """Seconds from request to proven port, by what the neighbour did, in turns."""
    kinds = ("done", "waits", "computes")
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds[number % 3 :] + kinds[: number % 3]:
            wanted = attachment(1)
            with hang.during(running, kind):
                start = time.perf_counter()
                running.plug(wanted)
                taken[kind].append(time.perf_counter() - start)
            running.unplug(wanted.id)
            running.quiet()
    return taken


def table(taken: dict[str, list[float]]) -> str:
    """The figures in milliseconds."""
    base = statistics.median(taken["done"])
    lines = ["neighbour   plug p50   p95    max    more at p50   (ms)"]
    for kind, values in taken.items():
        ordered = sorted(values)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        more = statistics.median(values) - base
        figures = [statistics.median(values), p95, ordered[-1]]
        text = "  ".join(f"{f * 1e3:7.2f}" for f in figures)
        lines.append(f"{kind:10} {text}   {more * 1e3:+10.2f}")
    return "\n".join(lines)


def collect(rounds: int) -> dict[str, list[float]]:
    """:func:`measure` on a host of its own, after twice without the clock."""
    with tempfile.TemporaryDirectory(prefix="vifd-bench-") as scratch, sandbox.PrivateOvs() as ovs:
        hang = Hang()
        with (
            real_drivers(ovs) as drivers,
            Running(Path(scratch), drivers, Profile(OvsPlugin), [Neighbour(hang.backend)], PATIENT)
            as running,
        ):  # fmt: skip
            measure(running, hang, 2)
            return measure(running, hang, rounds)


def judge(taken: dict[str, list[float]], say: Callable[[str], object] = print) -> int:
    """Tell what came of it; 1 where a hanging neighbour cost too much."""
    say(table(taken))
    base = statistics.median(taken["done"])
    cost = statistics.median(taken["waits"]) - base
    good = cost < LIMIT
    say(f"a hanging plugin costs {cost * 1e3:.2f} ms (allowed {LIMIT * 1e3:.0f}): "
        f"{'good' if good else 'TOO MUCH'}; {len(taken['done'])} rounds")  # fmt: skip
    return 0 if good else 1


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=40, help="plugs of each kind (40)")
    parser.add_argument(
        "--switch",
        type=float,
        default=0.0005,
        metavar="SECONDS",
        help="the interpreter's switch interval (0.0005, as the daemon has it)",
    )
    parser.add_argument("--json", action="store_true", help="every measurement, for a program")
    parsed = parser.parse_args()
    netns.enter_private_netns()
    sys.setswitchinterval(parsed.switch)
    threading.current_thread().name = "bench"
    taken = collect(parsed.rounds)
    if parsed.json:
        print(json.dumps(taken))
        return 0
    return judge(taken)


if __name__ == "__main__":
    sys.exit(main())
