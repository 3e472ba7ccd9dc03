"""What an offer takes, with so many ports in the journal, and what it costs others meanwhile.

``python bench/offer.py`` takes about half a minute and needs root (or unprivileged user namespaces)
and an installed Open vSwitch; nothing of the host's is touched. The real daemon with all plugins of
the tree and warm probes is asked over its socket, one offer after the other on one connection; the
port asks for everything that has a rule. Then the same with four callers, while somebody else reads
the daemon's status. It prints a table, and fails where the median of an offer is over 2 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vifd.testing import netns, sandbox
from vifd.testing.daemon import UnixConnection, Vifd

#: Seconds that an offer may take, by the median.
LIMIT = 0.002
NETWORK = str(uuid.UUID(int=1))
#: As many ports in one call.
BATCH = 500


def document(number: int, **more: Any) -> dict[str, Any]:
    """The document of a port; all are on one network, so that all are neighbours."""
    mac = f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    return {
        "version": "1.0",
        "port": {"id": str(uuid.UUID(int=1 << 64 | number)), "mac_address": mac, **more},
        "network": {"id": NETWORK, "mtu": 1450, "segment": {"network_type": "local"}},
        "fixed_ips": [
            {"ip_address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        ],
        "instance": {"id": str(uuid.UUID(int=2)), "vcpus": 4},
    }


def asked() -> dict[str, Any]:
    """The port that offers are asked for: every kind of need and feature."""
    doc = document(1 << 20, security_groups=[str(uuid.UUID(int=3))])
    doc["port"]["qos_policy"] = {
        "id": str(uuid.UUID(int=4)),
        "rules": [{"type": "bandwidth_limit", "direction": "egress", "max_kbps": 1000}],
    }
    doc["instance"]["flavor_extra_specs"] = {
        "hw:mem_page_size": "large", "hw:vif_multiqueue_enabled": "true",
        "hw:virtio_packed_ring": "true",
    }  # fmt: skip
    doc["instance"]["image_properties"] = {"hw_vif_model": "virtio", "hw_machine_type": "q35"}
    acceptable = [
        {"vif_class": "VIFVHostUser", "max_version": "1.1"},
        {"vif_class": "VIFOpenVSwitch", "max_version": "1.0"}, {"vif_class": "VIFBridge"},
    ]  # fmt: skip
    return {"attachment": doc, "acceptable": acceptable, "contract_version": "1.0"}


class Caller:
    """One connection to the API."""

    def __init__(self, path: Path) -> None:
        self._connection = UnixConnection(path)

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        head = {"Content-Type": "application/json"} if body else {}
        self._connection.request(method, path, body, head)
        answer: http.client.HTTPResponse = self._connection.getresponse()
        return answer.status, answer.read()

    def timed(self, count: int, method: str, path: str, body: bytes | None = None) -> list[float]:
        """Seconds of so many calls, one after the other."""
        taken = []
        for _ in range(count):
            start = time.perf_counter()
            status, answer = self.call(method, path, body)
            taken.append(time.perf_counter() - start)
            if status != 200:
                raise RuntimeError(f"{method} {path}: {status} {answer[:400]!r}")
        return taken

    def close(self) -> None:
        self._connection.close()


def fill(vifd: Vifd, have: int, wanted: int) -> None:
    """Have so many ports in the journal. Nobody makes anything for them: ``noop`` serves them."""
    for first in range(have, wanted, BATCH):
        docs = [document(n) | {"plugin": "noop"} for n in range(first, min(first + BATCH, wanted))]
        status, answer = vifd.call("POST", "/v1/ports:plug?wait=active&timeout=60", {"ports": docs})
        if status != 200:
            raise RuntimeError(f"{status} {str(answer)[:400]}")


def crowd(vifd: Vifd, body: bytes, count: int) -> tuple[list[float], list[float]]:
    """Seconds of offers by four callers at once, and of reading the status meanwhile."""
    taken: list[float] = []

    def work() -> None:
        caller = Caller(vifd.socket)
        taken.extend(caller.timed(count, "POST", "/v1/offers", body))
        caller.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    reader, status = Caller(vifd.socket), []
    while any(thread.is_alive() for thread in threads):
        status += reader.timed(1, "GET", "/v1/status")
        time.sleep(0.002)
    reader.close()
    return taken, status


def row(name: str, values: list[float]) -> str:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    figures = (ordered[0], statistics.median(ordered), p99, ordered[-1])
    text = "  ".join(f"{figure * 1e3:7.2f}" for figure in figures)
    return f"{name:44} {text}   {len(values):5d}"


def measure(vifd: Vifd, sizes: list[int], rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Seconds of each call, by what was done."""
    body = json.dumps(asked()).encode()
    have = 0
    for size in sizes:
        fill(vifd, have, size)
        have = size
        caller = Caller(vifd.socket)
        caller.timed(50, "POST", "/v1/offers", body)
        taken = caller.timed(rounds, "POST", "/v1/offers", body)
        caller.close()
        yield f"offer, {size} ports in the journal", taken
    offers, others = crowd(vifd, body, rounds // 2)
    yield "offer, four callers at once", offers
    yield "status, read meanwhile", others


def empty(vifd: Vifd) -> None:
    """Forget every port."""
    ids = [port["id"] for port in vifd.get("/v1/ports?fields=id")["ports"]]
    for first in range(0, len(ids), BATCH):
        part = {"ids": ids[first : first + BATCH]}
        vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", part)


def collect(sizes: list[int], rounds: int) -> dict[str, list[float]]:
    """:func:`measure` on a host of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="vb-") as scratch,
        sandbox.PrivateOvs() as ovs,
        Vifd(Path(scratch), ovs) as vifd,
    ):
        found = dict(measure(vifd, sizes, rounds))
        empty(vifd)
        return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=400, help="offers of each kind (400)")
    parser.add_argument("--ports", default="0,100,1000", help="sizes of the journal (0,100,1000)")
    parser.add_argument("--json", action="store_true", help="every measurement, for a program")
    parsed = parser.parse_args()
    netns.enter_private_netns()
    found = collect([int(size) for size in parsed.ports.split(",")], parsed.rounds)
    if parsed.json:
        print(json.dumps(found))
        return 0
    print(f"{'milliseconds':44} {'min':>7}  {'p50':>7}  {'p99':>7}  {'max':>7}   {'n':>5}")
    for name, values in found.items():
        print(row(name, values))
    worst = max(statistics.median(v) for name, v in found.items() if "journal" in name)
    good = worst < LIMIT
    print(f"an offer takes {worst * 1e3:.2f} ms by the median (allowed {LIMIT * 1e3:.0f}): "
          f"{'good' if good else 'TOO MUCH'}")  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
