"""How long vifd takes to be back, and what guests notice: restarts of the daemon and of the switch.

``python bench/recovery.py`` takes two minutes and needs root (or unprivileged user namespaces) and
an installed Open vSwitch; nothing of the host's is touched. It prints a table and keeps it in
bench/RECOVERY.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import report
import scene
from contend_vifd import Client
from report import Figure
from support.flowmonitor import FlowMonitor
from support.stream import Stream
from vifd.drivers.openflow_connection import Connection, ConnectionLost
from vifd.openflow.message import Message
from vifd.testing import frames, netns
from vifd.testing.daemon import Vifd
from vifd.testing.guests import guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

RESULTS = Path(__file__).with_name("RECOVERY.md")
#: Ports that are plugged by one call.
PIECE = 100
#: Two ports of one network, the guests that talk.
TALKERS = (0, scene.NETWORKS)
#: By the number of ports: what a restart may take until it is ready, in seconds.
AIMS = {200: 1.5, 1000: 3.0}
#: The most that flows may take to be back once the switch has its socket again, in seconds.
FLOWS_BACK = 1.0


#: TimeoutStartSec= of the unit, in seconds.
ALLOWED = 300.0


class Manager:
    """The service manager's end of sd_notify: tells when the daemon is ready.

    ``spare``: seconds that were left of the time that systemd gives a start when they were fewest.
    """

    def __init__(self, directory: Path) -> None:
        self.patience, self.spare = 60.0, ALLOWED
        self.path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))

    def ready(self) -> None:
        """Wait for the daemon's word."""
        self._socket.settimeout(self.patience)
        self.spare, message = ALLOWED, b""
        end = time.monotonic() + ALLOWED
        while b"READY=1" not in message:
            message = self._socket.recv(4096)
            now = time.monotonic()
            self.spare = min(self.spare, end - now)
            if more := re.search(rb"EXTEND_TIMEOUT_USEC=(\d+)", message):
                end = max(end, now + int(more[1]) / 1e6)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


class Host(contextlib.ExitStack):
    """A switch, a daemon on it, and ports."""

    def __init__(self) -> None:
        super().__init__()
        scratch = self.enter_context(tempfile.TemporaryDirectory(prefix="vifd-recovery-"))
        self.ovs = self.enter_context(PrivateOvs())
        self.callback(self._leave)
        self.manager = Manager(Path(scratch))
        self.callback(self.manager.close)
        self.vifd = Vifd(Path(scratch) / "v", self.ovs, {"plugins": {"enabled_plugins": "ovs"}})
        self.vifd.process.env["NOTIFY_SOCKET"] = str(self.manager.path)
        self.callback(self.vifd.close)
        self.start()
        self.present = 0

    def _leave(self) -> None:
        """The namespace ends with this process: nobody need wait for 1000 ports to be removed."""
        self.ovs.vswitchd.kill()
        (self.ovs.rundir / "conf.db").unlink()

    def fill(self, count: int) -> None:
        """Have so many ports."""
        client = Client(self.vifd.socket)
        for first in range(self.present, count, PIECE):
            documents = [scene.document(n) for n in range(first, min(first + PIECE, count))]
            client.call("POST", "/v1/ports:plug?wait=active&timeout=100", {"ports": documents})
        client.close()
        self.present = count

    def start(self) -> float:
        """Start the daemon; the seconds until it said that it is ready."""
        start = time.perf_counter()
        self.vifd.process.spawn()
        self.manager.ready()
        return time.perf_counter() - start

    def floor(self) -> dict[str, float]:
        """The same without a daemon: seconds of all, and of which the imports are."""
        path = Path(__file__).with_name("recovery_floor.py")
        devices = [scene.device(n) for n in range(self.present)]
        argv = [sys.executable, str(path), str(self.ovs.rundir), scene.BRIDGE, *devices]
        start = time.perf_counter()
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, check=True, timeout=60,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        whole = time.perf_counter() - start
        parts: dict[str, float] = json.loads(done.stdout)
        return {"whole": whole, "import": whole - parts["read"]}

    def talk(self) -> contextlib.AbstractContextManager[Stream]:
        """A frame every 10 ms between two guests."""
        return _talk(self.ovs)


@contextlib.contextmanager
def _talk(ovs: PrivateOvs):  # type: ignore[no-untyped-def]
    one, two = TALKERS

    def frame(payload: bytes) -> bytes:
        ips = [scene.document(n)["fixed_ips"][0]["ip_address"] for n in TALKERS]
        return frames.udp(scene.mac(one), scene.mac(two), ips[0], ips[1], payload)

    with guests(scene.device(one), scene.device(two), ovs=ovs) as (first, second):
        ovs.revalidated()
        with Stream(first, second, frame) as stream:
            until(lambda: stream.arrived, "frames arrive")
            yield stream


# --- the daemon -----------------------------------------------------------------------------------


@dataclass
class Restarts:
    """What restarts with so many ports took, in seconds."""

    ports: int
    orderly: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    modified: int = 0
    sent: int = 0
    lost: int = 0

    def row(self) -> list[str]:
        """A line of the table."""
        took, floor = statistics.median(self.orderly), statistics.median(self.floor)
        aim = AIMS.get(self.ports)
        met = "-" if aim is None else f"{'met' if took < aim else 'MISSED'} < {aim:g}"
        return [
            f"{self.ports}", f"{took:.2f}", f"{max(self.orderly):.2f}",
            f"{statistics.median(self.killed):.2f}", f"{floor:.2f}",
            f"{statistics.median(self.imports):.2f}", f"{took / floor:.2f}",
            f"{self.modified}", f"{self.lost} of {self.sent}", met,
        ]  # fmt: skip


HEAD = (
    "ports", "restart until ready", "longest", "after SIGKILL", "floor", "of which imports",
    "vifd : floor", "flow modifications", "frames lost", "aim",
)  # fmt: skip


def restarts(host: Host, rounds: int) -> Restarts:
    """Restart again and again with nothing changed, while guests talk and every flow is watched."""
    found = Restarts(host.present)
    with host.talk() as stream, FlowMonitor(host.ovs, scene.BRIDGE) as monitor:
        for _ in range(rounds):
            host.vifd.stop()
            found.orderly.append(host.start())
            host.vifd.kill()
            found.killed.append(host.start())
            floor = host.floor()
            found.floor.append(floor["whole"])
            found.imports.append(floor["import"])
    found.modified = len(monitor.lines)
    found.sent, found.lost = len(stream.sent), len(stream.lost)
    return found


# --- the switch -----------------------------------------------------------------------------------


def flow_count(path: Path) -> int | None:
    """How many flows a bridge has (OFPMP_AGGREGATE), ``None`` while it does not answer."""
    try:
        connection = Connection(str(path), time.monotonic() + 2.0)
    except ConnectionLost:
        return None
    try:
        replies: list[Message] = connection.exchange(AGGREGATE, 99, time.monotonic() + 2.0)
    except ConnectionLost:
        return None
    finally:
        connection.close()
    return int.from_bytes(replies[-1].body[8 + 16 : 8 + 20])


#: OFPT_MULTIPART_REQUEST of OFPMP_AGGREGATE: all tables, any port, any cookie, any match.
AGGREGATE = bytes.fromhex(
    "0512003800000063" "0002000000000000" "ff000000ffffffffffffffff00000000"
    "00000000000000000000000000000000" "0001000400000000"
)  # fmt: skip


def switch_killed(host: Host, rounds: int) -> list[Figure]:
    """Kill ovs-vswitchd; how long until its flows are back, and what guests notice."""
    socket_ = host.ovs.rundir / f"{scene.BRIDGE}.mgmt"
    wanted = flow_count(socket_)
    dump = flows(host.ovs)
    back, gaps, proven, dead = [], [], [], []
    for _ in range(rounds):
        with host.talk() as stream:
            killed = time.perf_counter()
            host.ovs.vswitchd.kill()
            host.ovs.vswitchd.spawn()
            until(lambda: flow_count(socket_) is not None, "the switch answers", 30)
            alive = time.perf_counter()
            until(lambda: flow_count(socket_) == wanted, "every flow is back", 30)
            back.append(time.perf_counter() - alive)
            dead.append(alive - killed)
            until(lambda: stream.sent[-1] - max(stream.arrived.values()) < 0.1, "frames pass", 30)
            until(lambda: settled(host), "every port is proven again", 60)
            proven.append(time.perf_counter() - alive)
        gaps.append(stream.gap)
        if flows(host.ovs) != dump:
            raise RuntimeError("the flows are not what they were")
    ports = f"{host.present} ports"
    alone = switch_alone(host, rounds)
    return [
        Figure(f"{ports}: the same without vifd, until its socket is back", alone, "s"),
        Figure(f"{ports}: ovs-vswitchd killed, until its socket is back", median(dead), "s"),
        Figure(f"{ports}: from its socket to {wanted} flows", median(back), "s", FLOWS_BACK),
        Figure(f"{ports}: the longest of these", max(back), "s", FLOWS_BACK),
        Figure(f"{ports}: from its socket to every port proven", median(proven), "s"),
        Figure(f"{ports}: gap seen by two guests, from the kill on", median(gaps), "s"),
        Figure(f"{ports}: the longest gap", max(gaps), "s"),
    ]


def switch_alone(host: Host, rounds: int) -> float:
    """What the switch takes by itself until its socket is back: the floor of the gap."""
    socket_ = host.ovs.rundir / f"{scene.BRIDGE}.mgmt"
    took = []
    host.vifd.stop()
    for _ in range(rounds):
        start = time.perf_counter()
        host.ovs.vswitchd.kill()
        host.ovs.vswitchd.spawn()
        until(lambda: flow_count(socket_) is not None, "the switch answers", 30)
        took.append(time.perf_counter() - start)
    host.start()
    return median(took)


def settled(host: Host) -> bool:
    """Whether every port is proven."""
    return bool(host.vifd.get("/v1/status")["ports"] == {"LIVE": host.present})


def flows(ovs: PrivateOvs) -> list[str]:
    """The bridge's flows."""
    text = ovs.ofctl("dump-flows", scene.BRIDGE, "--no-stats")
    return sorted(line.strip() for line in text.splitlines() if "actions=" in line)


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


NOTES = """\
Seconds by the wall, from the start of the process to its READY, with nothing changed meanwhile.

- **floor**: a Python process that imports the libraries of the daemon and reads all flows, all rows
  and every device once, on raw sockets: no journal, nothing compared, nothing traced, no API.
- **flow modifications**: additions, deletions and changes of flows over all these restarts, told by
  the switch's own flow monitor.
- **frames lost**: of one every 10 ms between two guests, over all these restarts.
- The gap includes the time for which the switch itself is away.
"""


def render(found: Sequence[Restarts], figures: Sequence[Figure], seconds: float) -> str:
    """The whole account."""
    parts = [report.markdown([HEAD, *(r.row() for r in found)])]
    if figures:
        parts.append(report.figures(figures))
    return "\n\n".join([*parts, f"{report.machine()}\n- measured in {seconds:.0f} s"])


def main() -> int:
    """Run it; 1 where a frame was lost or a flow was touched over a restart of the daemon."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--ports", type=int, nargs="+", default=[2, 200, 1000])
    parser.add_argument("--rounds", type=int, default=5, help="restarts of each kind (5)")
    parser.add_argument("--switch", type=int, default=200, help="ports when the switch is killed")
    parser.add_argument("--keep", action="store_true", help="write bench/RECOVERY.md")
    options = parser.parse_args()
    netns.enter_private_netns()
    begin = time.monotonic()
    found, figures = [], []
    with Host() as host:
        for count in sorted(options.ports):
            host.fill(max(count, max(TALKERS) + 1))
            found.append(restarts(host, options.rounds))
            print(report.markdown([HEAD, found[-1].row()]), flush=True)
            if count == options.switch:
                figures += switch_killed(host, options.rounds)
                print(report.figures(figures), flush=True)
    text = render(found, figures, time.monotonic() - begin)
    print(text)
    if options.keep:
        head = "# Recovery: restarts of the daemon and of the switch\n\nMade by `make recovery`.\n"
        RESULTS.write_text(f"{head}\n{text}\n\n## How to read it\n\n{NOTES}")
    return 1 if any(r.modified or r.lost for r in found) else 0


if __name__ == "__main__":
    sys.exit(main())
