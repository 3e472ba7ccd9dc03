"""Whether anything grows: many plugs and unplugs of one daemon, with what it holds read in between.

``python bench/soak.py`` plugs and unplugs 20,000 ports, each with an id of its own and every batch
on a network of its own, and takes a quarter of an hour; ``--cycles`` and ``--minutes`` bound it. It
needs root (or unprivileged user namespaces) and an installed Open vSwitch; nothing of the host's is
touched. It prints a table and keeps it in bench/SOAK.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import report
from contend_vifd import Client
from vifd.testing import netns
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

RESULTS = Path(__file__).with_name("SOAK.md")
#: How often what is held is read.
SAMPLES = 40
#: The share of the samples that is warm-up: caches fill, the event history reaches its length.
WARM_UP = 0.3


@dataclass(frozen=True)
class Held:
    """One thing that must not grow.

    :param unit: of the numbers
    :param slack: by how much of itself it may grow from the warm-up to the end
    :param floor: and by how much in any case
    """

    name: str
    unit: str
    slack: float = 0.0
    floor: float = 0.0


HELD = (
    Held("resident memory", "KiB", slack=0.03, floor=2048),
    Held("file descriptors", ""),
    Held("threads", ""),
    Held("OVSDB rows", ""),
    Held("flows", ""),
    Held("devices", ""),
    Held("journal", "KiB", slack=0.05, floor=256),
    Held("write-ahead log", "KiB", slack=0.05, floor=256),
)


class Subject:
    """The daemon and its switch, and what they hold."""

    def __init__(self, vifd: Vifd, ovs: PrivateOvs) -> None:
        self._vifd = vifd
        self._ovs = ovs
        self._client = Client(vifd.socket)

    def cycle(self, documents: Sequence[dict[str, Any]]) -> None:
        """Plug ports and remove them again."""
        self._client.call(
            "POST", "/v1/ports:plug?wait=active&timeout=60", {"ports": list(documents)}
        )
        ids = [d["port"]["id"] for d in documents]
        self._client.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": ids})

    def held(self) -> list[float]:
        """The values of :data:`HELD` once nothing is under way."""
        until(lambda: not self._vifd.get("/v1/ports")["ports"], "no port is left", 60)
        pid = self._vifd.process.pid
        journal = self._vifd.directory / "state" / "journal.db"
        flows = self._ovs.ofctl("dump-flows", "br-int").splitlines()
        rows = sum(
            len(self._ovs.vsctl("--columns=_uuid", "list", table).split("\n\n"))
            for table in ("Interface", "Port", "Bridge")
        )
        return [
            _status(pid, "VmRSS"),
            float(len(os.listdir(f"/proc/{pid}/fd"))),
            _status(pid, "Threads"),
            float(rows),
            float(sum("cookie=" in line for line in flows)),
            float(len(netns.links())),
            journal.stat().st_size / 1024,
            journal.with_name("journal.db-wal").stat().st_size / 1024,
        ]


def _status(pid: int | None, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1])
    raise LookupError(name)


def document(number: int, batch: int) -> dict[str, Any]:
    """A port that was never there before, on a network that was never there before."""
    network = str(uuid.UUID(int=batch | 9 << 64 | 4 << 76 | 8 << 60))
    return {
        "version": "1.0",
        "role": "ACTIVE" if number % 7 else "INACTIVE",
        "port": {
            "id": f"{number:08x}-0000-4000-8000-{number:012x}",
            "name": f"port-{number}",
            "mac_address": f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}"
            f":{number & 255:02x}",
            "port_security_enabled": bool(number % 5),
            "allowed_address_pairs": [{"ip_address": f"10.{batch & 255}.200.0/24"}],
        },
        "network": {"id": network, "mtu": 1450, "segment": {"network_type": "local"}},
        "fixed_ips": [{"ip_address": f"10.{batch & 255}.1.{number % 250 + 1}"}],
        "instance": {"id": f"{number:08x}-0000-4000-a000-{number:012x}", "vcpus": 2},
    }


def run(subject: Subject, cycles: int, batch: int, seconds: float) -> list[tuple[int, list[float]]]:
    """Work, and read what is held now and then.

    :returns: pairs of cycles done and values
    """
    end, done, number = time.monotonic() + seconds, 0, 0
    # The first port makes the bridge.
    subject.cycle([document(0xFFFFFF, 0xFFFF)])
    samples = [(0, subject.held())]
    every = max(batch, cycles // SAMPLES)
    while done < cycles and time.monotonic() < end:
        subject.cycle([document(done + n + 1, number) for n in range(min(batch, cycles - done))])
        done, number = done + min(batch, cycles - done), number + 1
        if done - samples[-1][0] >= every or done >= cycles:
            samples.append((done, subject.held()))
            sys.stderr.write(f"{done} cycles: {[round(v) for v in samples[-1][1]]}\n")
    return samples


def slope(points: Sequence[tuple[int, float]]) -> float:
    """How much it grows per thousand cycles: the line through the points that fits best."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return 1000 * statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def judge(held: Held, points: Sequence[tuple[int, float]]) -> tuple[list[str], bool]:
    """A row of the table, and whether it did not grow."""
    warm = points[int(len(points) * WARM_UP) :]
    values = [y for _, y in warm]
    third = max(1, len(values) // 3)
    first, last = statistics.median(values[:third]), statistics.median(values[-third:])
    good = last - first <= max(held.floor, held.slack * first)
    numbers = [points[0][1], first, last, max(values)]
    return [
        f"{held.name}{', ' + held.unit if held.unit else ''}",
        *(f"{n:.0f}" for n in numbers),
        f"{slope(warm):+.2f}",
        "does not grow" if good else "**GROWS**",
    ], good


def render(samples: Sequence[tuple[int, list[float]]], seconds: float) -> tuple[str, bool]:
    """The page, and whether nothing grew."""
    head = ["", "at start", "after warm-up", "at the end", "most", "per 1000 cycles", "verdict"]
    judged = [judge(held, [(x, values[i]) for x, values in samples]) for i, held in enumerate(HELD)]
    table = report.markdown([head, *(row for row, _ in judged)])
    text = (
        "# Soak: what a daemon holds after many plugs and unplugs\n\n"
        f"Made by `python bench/soak.py`; {samples[-1][0]} cycles in {seconds:.0f} s, each "
        "port and each network new, read with no port present.\n\n"
        f"{table}\n\n{report.machine()}\n"
    )
    return text, all(good for _, good in judged)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 where something grew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cycles", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=50, help="ports that are there at once")
    parser.add_argument("--minutes", type=float, default=30.0, help="at most")
    parser.add_argument("--no-keep", action="store_true", help="leave bench/SOAK.md as it is")
    args = parser.parse_args(arguments)
    netns.enter_private_netns()
    options = {"plugins": {"enabled_plugins": "ovs"}}
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as scratch,
        PrivateOvs() as ovs,
        Vifd(Path(scratch) / "v", ovs, options) as vifd,
    ):
        start = time.monotonic()
        samples = run(Subject(vifd, ovs), args.cycles, args.batch, args.minutes * 60)
        text, good = render(samples, time.monotonic() - start)
    sys.stdout.write(text)
    if not args.no_keep:
        RESULTS.write_text(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
