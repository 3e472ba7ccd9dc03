"""What removing 1,600 orphans costs the plugs of live ports.

``PYTHONPATH=tests python bench/garbage.py`` takes about two minutes and needs root (or unprivileged
user namespaces) and an installed Open vSwitch; nothing of the host's is touched. The whole daemon
serves 20 live ports; beside them are 1,600 ports with the mark of vifd that are in no journal, each
with its device, its switch port and its flow. Two live guests exchange a frame every 10 ms
throughout. Ports are plugged and unplugged one at a time: while the orphans are there, then while
they are being removed. It prints a table, and fails where anything but the orphans is gone, or the
median plug took more than twice as long meanwhile. Frames that were lost are counted before and
during the removal: a userspace switch forwards in the thread that looks at all of its ports after
each change, so that with so many of them plugs alone cost frames.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from support.orphans import Orphans, device
from support.stream import Stream
from vifd.testing import frames, netns, sandbox
from vifd.testing.attachments import attachment, ipv4, mac
from vifd.testing.daemon import UnixConnection, Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.machines import RealMachine
from vifd.testing.wait import until

LIVE = range(1, 21)
FIRST = 1000
#: Seconds between two plugs during the removal, which waits for every one of them.
PAUSE = 1.0
#: Seconds that the removal may take.
PATIENCE = 600
#: Which of two plugs of one measurement may take how many times as long.
LIMIT = 2.0
OPTIONS: dict[str, dict[str, object]] = {
    "garbage": {"grace": 0.5, "interval": 0},
    "engine": {"check_interval": 0},
}


def document(number: int) -> dict[str, Any]:
    """The document of a live port."""
    found: dict[str, Any] = msgspec.to_builtins(attachment(number))
    return found


class Host:
    """The daemon, its live ports, and what is to go."""

    def __init__(self, ovs: sandbox.PrivateOvs, vifd: Vifd, machine: RealMachine) -> None:
        self.ovs = ovs
        self.vifd = vifd
        self.machine = machine
        self._number = 100

    def rows(self) -> set[str]:
        """The ports of the bridge."""
        return {row.name for row in self.machine.drivers.ovsdb.ports("br-int")} - {"br-int"}

    def taps(self) -> set[str]:
        """The devices that bear our mark."""
        return {link.name for link in self.machine.drivers.links.marked("vifd:")}

    def live(self) -> None:
        """Plug the live ports."""
        docs = {"ports": [document(n) for n in LIVE]}
        status, answer = self.vifd.call("POST", "/v1/ports:plug?wait=active&timeout=120", docs)
        if status != 200:
            raise RuntimeError(f"the live ports: {answer}")

    def orphans(self, count: int) -> set[str]:
        """Make what is to go; the ids."""
        makes, made = Orphans(self.machine.drivers), []
        for start in range(FIRST, FIRST + count, 100):
            made += makes.make(range(start, min(start + 100, FIRST + count)))
        return {f"ovs/{i}" for i in made}

    def remove_all(self) -> dict[str, Any]:
        """Have all orphans removed in one call; what the daemon answers."""
        connection = UnixConnection(self.vifd.socket, PATIENCE + 60)
        try:
            connection.request(
                "POST", f"/v1/garbage?timeout={PATIENCE}", json.dumps({"force": True}),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def timed_plug(self) -> float:
        """Plug one port, and unplug it without the clock: seconds from request to proven."""
        self._number += 1
        doc = document(self._number)
        start = time.perf_counter()
        status, answer = self.vifd.plug(doc, 120)
        seconds = time.perf_counter() - start
        if status != 201:
            raise RuntimeError(f"a plug failed: {answer}")
        self.vifd.unplug(doc["port"]["id"], 120)
        return seconds

    def ripe(self, count: int) -> set[str]:
        """The orphans that the daemon lists, once all are ripe."""

        def found() -> set[str] | None:
            known = self.vifd.get("/v1/garbage?timeout=120")["orphans"]
            done = len(known) == count and all(o["state"] == "ripe" for o in known)
            return {o["id"] for o in known} if done else None

        listed = until(found, f"{count} orphans are ripe", 120)
        return listed or set()


def collect(host: Host) -> tuple[list[float], dict[str, Any], float]:
    """Remove all, and plug meanwhile: the times, the answer, and how long the removal took."""
    answers: list[tuple[dict[str, Any], float]] = []

    def remove() -> None:
        start = time.perf_counter()
        answers.append((host.remove_all(), time.perf_counter() - start))

    removing = threading.Thread(target=remove, name="remove")
    removing.start()
    times = []
    while removing.is_alive():
        times.append(host.timed_plug())
        removing.join(PAUSE)
    removing.join()
    answer, seconds = answers[0]
    return times[:-1] or times, answer, seconds


def run(count: int, rounds: int) -> int:
    """The whole scene; 1 where something is not as it must be."""
    with (
        tempfile.TemporaryDirectory(prefix="vifd-bench-") as scratch,
        sandbox.PrivateOvs() as ovs,
        RealMachine(ovs) as machine,
        Vifd(Path(scratch) / "v", ovs, OPTIONS) as vifd,
    ):
        host = Host(ovs, vifd, machine)
        if vifd.get("/v1/garbage")["orphans"]:
            raise RuntimeError("garbage on a new host")
        host.live()
        before = host.rows()
        bare = [host.timed_plug() for _ in range(rounds)]
        wanted = host.orphans(count)
        listed = host.ripe(count)
        one, two = device(1), device(2)
        with TapGuest(one) as sender, TapGuest(two) as receiver:
            ovs.wait_for_carrier(one, two)
            with Stream(sender, receiver, hello) as stream:
                beside = [host.timed_plug() for _ in range(rounds)]
                began = len(stream.sent)
                during, answer, seconds = collect(host)
        gone = {r["id"] for r in answer.get("removed", ())}
        left = sorted((host.rows() ^ before) | (host.taps() ^ before))
        print(table({"without orphans": bare, "beside them": beside, "while they go": during}))
        ratio = statistics.median(during) / statistics.median(beside)
        print(f"{len(gone)} orphans removed in {seconds:.1f} s, {len(gone) / seconds:.0f}/s; "
              f"{_lost(stream, began)}")  # fmt: skip
        exact = listed == wanted == gone and not left and not answer.get("failed")
        print(f"exactly the orphans: {'yes' if exact else f'NO: {left[:5]}'}")
        good = ratio <= LIMIT
        print(f"a plug takes {ratio:.2f} times as long meanwhile (allowed {LIMIT:g}): "
              f"{'good' if good else 'TOO MUCH'}")  # fmt: skip
        return 0 if exact and good else 1


def _lost(stream: Stream, began: int) -> str:
    """Frames that were lost, before the removal and during it."""
    before = sum(number < began for number in stream.lost)
    during, sent = len(stream.lost) - before, len(stream.sent) - began
    return f"frames lost: {before} of {began} before, {during} of {sent} during the removal"


def hello(payload: bytes) -> bytes:
    """A frame from the first live port to the second."""
    return frames.udp(mac(1), mac(2), ipv4(1), ipv4(2), payload=payload)


def table(times: dict[str, list[float]]) -> str:
    """The figures in milliseconds."""
    lines = [f"{'one plug':16} {'n':>4} {'min':>8} {'p50':>8} {'max':>8}   (ms)"]
    for name, values in times.items():
        figures = (min(values), statistics.median(values), max(values))
        lines.append(f"{name:16} {len(values):4d} " + " ".join(f"{f * 1e3:8.1f}" for f in figures))
    return "\n".join(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--orphans", type=int, default=1600, help="how many (1600)")
    parser.add_argument("--rounds", type=int, default=15, help="plugs before the removal (15)")
    parsed = parser.parse_args()
    netns.enter_private_netns()
    return run(parsed.orphans, parsed.rounds)


if __name__ == "__main__":
    sys.exit(main())
