"""What it costs to know the host: the time of each source, of the whole, and of an answer.

    python bench/host.py

A real daemon in a network namespace and on an Open vSwitch of its own. ``start`` is the first
reading, while everything else of the daemon starts as well. QEMU is asked again only when its
binary is another one; what that costs is a line of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vifd.capabilities.probes.qemu import find_binary
from vifd.testing.daemon import Vifd
from vifd.testing.netns import enter_private_netns
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: What a reading of everything, and an answer, may take, in milliseconds.
WHOLE, ANSWER = 300.0, 2.0


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def spread(times: list[float]) -> dict[str, float]:
    """The least, the median and the largest."""
    return {"min": min(times), "p50": statistics.median(times), "max": max(times)}


def measure(rounds: int) -> dict[str, Any]:
    """All numbers, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="vb-") as scratch, PrivateOvs() as ovs:
        ovs.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=netdev")
        options: dict[str, dict[str, object]] = {"ovs": {"bridge_mappings": "physnet1:br-ex"}}
        emulator = wrapped(Path(scratch))
        if emulator is not None:
            options["capabilities"] = {"emulator": emulator}
        with Vifd(Path(scratch) / "v", ovs, options) as vifd:
            vifd.ready()
            until(lambda: all(s["at"] for s in sources(vifd)), "everything was read once")
            cold = {s["name"]: s["milliseconds"] for s in sources(vifd)}
            whole: list[float] = []
            warm: dict[str, list[float]] = {name: [] for name in cold}
            for _ in range(rounds):
                whole.append(timed(lambda: vifd.call("POST", "/v1/host/refresh")))
                for source in sources(vifd):
                    warm[source["name"]].append(source["milliseconds"])
            asked = []
            for second in range(rounds if emulator else 0):
                os.utime(emulator or "", (second, second))
                asked.append(timed(lambda: vifd.call("POST", "/v1/host/refresh")))
            answers = [timed(lambda: vifd.get("/v1/host")) for _ in range(10 * rounds)]
            floor = [timed(lambda: vifd.get("/v1/status")) for _ in range(10 * rounds)]
            answer = vifd.get("/v1/host")
    return {
        "cold": cold,
        "warm": {name: spread(times) for name, times in warm.items()},
        "whole": spread(whole),
        "asked": spread(asked) if asked else None,
        "answer": spread(answers),
        "status": spread(floor),
        "capabilities": len(answer["inventory"]["capabilities"]),
        "bytes": len(json.dumps(answer)),
    }


def wrapped(directory: Path) -> Path | None:
    """The emulator behind a script, so that it can be made another one; ``None`` without QEMU."""
    binary = find_binary()
    if not binary:
        return None
    script = directory / "qemu"
    script.write_text(f'#!/bin/sh\nexec {binary} "$@"\n')
    script.chmod(0o755)
    return script


def sources(vifd: Vifd) -> list[dict[str, Any]]:
    """What the daemon says of its sources."""
    found: list[dict[str, Any]] = vifd.get("/v1/host")["inventory"]["sources"]
    return found


def show(found: dict[str, Any]) -> None:
    """A table for people."""
    out = sys.stdout.write
    out(f"{'milliseconds':36} {'start':>8} {'min':>8} {'p50':>8} {'max':>8}\n")
    for name, cold in found["cold"].items():
        warm = found["warm"][name]
        numbers = "".join(f" {warm[k]:8.2f}" for k in ("min", "p50", "max"))
        out(f"{name:36} {cold:8.2f}{numbers}\n")
    for title, key, aim in (
        ("everything read, plugins as well", "whole", WHOLE),
        ("the same, and QEMU asked anew", "asked", WHOLE),
        ("GET /v1/host", "answer", ANSWER),
        ("GET /v1/status, for comparison", "status", None),
    ):
        row = found[key]
        if row is None:
            continue
        verdict = "" if aim is None else f"  {'met' if row['p50'] < aim else 'MISSED'} < {aim:g}"
        numbers = "".join(f" {row[k]:8.2f}" for k in ("min", "p50", "max"))
        out(f"{title:36} {'':8}{numbers}{verdict}\n")
    out(f"{found['capabilities']} capabilities, {found['bytes']} bytes\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    enter_private_netns()
    found = measure(given.rounds)
    if given.json:
        json.dump(found, sys.stdout)
    else:
        show(found)


if __name__ == "__main__":
    main()
