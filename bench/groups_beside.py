"""vifd beside neutron's ``openvswitch`` firewall driver and beside NORMAL without a filter: bridges
of one switch, measured by turns. Flows of a port, seconds of a change, packets and latency."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, ipv6, mac
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs

PEER, PLAIN = "br-neutron", "br-plain"
GROUP = "11111111-0000-4000-8000-000000000001"
#: Rounds of each measure; the three take turns.
ROUNDS, BURST, WINDOW, ECHOES = 60, 8192, 32, 50
#: Seconds after which what has not arrived is lost.
_LONGEST = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
#: What Neutron makes for a project, and SSH.
DEFAULT: list[dict[str, Any]] = [
    {"direction": "egress", "ethertype": "IPv4"},
    {"direction": "egress", "ethertype": "IPv6"},
    {"direction": "ingress", "ethertype": "IPv4", "remote_group_id": GROUP},
    {"direction": "ingress", "ethertype": "IPv6", "remote_group_id": GROUP},
]


def cpu(pid: int | None) -> float:
    """Seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def busy(pid: int | None) -> float:
    """The same, to the nanosecond: what its threads ran, whatever else the machine does."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Peer:
    """neutron's driver on a bridge of its own, in a process of its own."""

    def __init__(self, ovs: PrivateOvs, python: str) -> None:
        self._ovs = ovs
        bridge = ["set", "Bridge", PEER, "datapath_type=netdev", "fail_mode=secure"]
        ovs.vsctl("add-br", PEER, "--", *bridge)
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | ovs.env
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            # isolated: this directory has a neutron.py
            [python, "-I", str(Path(__file__).with_name("groups_neutron.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            env=env | {"OVS_RUNDIR": str(ovs.rundir), "OVS_DATABASE": str(ovs.socket)},
        )  # fmt: skip
        self._answer()
        self.ports: list[dict[str, Any]] = []

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise RuntimeError(f"neutron's driver ended: {self._said.read()[-2000:]}")
        found: dict[str, float] = json.loads(line)
        return found

    def tell(self, **said: Any) -> dict[str, float]:
        """One change; seconds and CPU of the driver and of the tools that it runs."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def plug(self, number: int) -> None:
        """A port as the agent finds it, with its rules."""
        name = f"peer{number}"
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        self._ovs.vsctl(
            "add-port", PEER, name, "tag=1", "--", "set", "Interface", name,
            f"external_ids:iface-id={name}", f'external_ids:attached-mac="{mac(number)}"',
            "--", "set", "Port", name, "other_config:tag=1", "other_config:segmentation_id=1",
            "other_config:physical_network=p", "other_config:network_type=vlan",
        )  # fmt: skip
        port = {
            "device": name, "mac_address": mac(number), "network_id": "n",
            "fixed_ips": [ipv4(number), ipv6(number)], "allowed_address_pairs": [],
            "security_groups": [GROUP], "port_security_enabled": True,
        }  # fmt: skip
        self.ports.append(port)
        self.tell(ports=[port])

    def close(self) -> None:
        """End the driver."""
        self._process.kill()
        self._process.wait()
        self._said.close()


@contextlib.contextmanager
def peer(ovs: PrivateOvs, python: str) -> Iterator[Peer]:
    """neutron's driver while it lasts."""
    found = Peer(ovs, python)
    try:
        yield found
    finally:
        found.close()


def plain(ovs: PrivateOvs, numbers: tuple[int, ...]) -> None:
    """A bridge that learns and filters nothing."""
    ovs.vsctl("add-br", PLAIN, "--", "set", "Bridge", PLAIN, "datapath_type=netdev")
    for number in numbers:
        name = f"plain{number}"
        subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        ovs.vsctl("add-port", PLAIN, name)


# --- traffic --------------------------------------------------------------------------------------


class Pair:
    """Two guests between whom a connection is established.

    :param sport: where the connection begins; Linux and Windows give clients those above 32767
    """

    def __init__(
        self, ovs: PrivateOvs, names: tuple[str, str], size: int, sport: int = 40000
    ) -> None:
        for name in names:
            ovs.wait_for_no_carrier(name)
        self.one, self.two = (TapGuest(name) for name in names)
        for guest in (self.one, self.two):
            ovs.wait_for_carrier(guest.name)
        pad = b"x" * size
        self.frame = f.udp(mac(1), mac(2), ipv4(1), ipv4(2), pad, sport=sport, dport=5000)
        self.back = f.udp(mac(2), mac(1), ipv4(2), ipv4(1), pad, sport=5000, dport=sport)

    def begin(self) -> None:
        """Have the connection established, both ways."""
        for _ in range(3):
            self.one.send(self.frame)
            self.two.recv(predicate=lambda got: got[:42] == self.frame[:42])
            self.two.send(self.back)
            self.one.recv(predicate=lambda got: got[:42] == self.back[:42])

    def burst(self, *, back: bool = False) -> float:
        """Packets per second, so many at once under way.

        :param back: of who was asked, instead of who began
        """
        frame, sender, receiver = self.frame, self.one, self.two
        if back:
            frame, sender, receiver = self.back, self.two, self.one
        receiver.drain()
        start, sent, there = time.perf_counter(), 0, 0
        while there < BURST:
            for _ in range(min(WINDOW - (sent - there), BURST - sent)):
                sender.send(frame)
                sent += 1
            there += sum(got == frame for got in receiver.drain())
            if time.perf_counter() - start > _LONGEST:
                raise RuntimeError(f"{receiver.name}: {there} of {sent} packets arrived")
        return there / (time.perf_counter() - start)

    def echo(self) -> list[float]:
        """Seconds from one guest to the other, one packet at a time."""
        found = []
        for _ in range(ECHOES):
            start = time.perf_counter()
            self.one.send(self.frame)
            self.two.recv(predicate=lambda got: got == self.frame)
            found.append(time.perf_counter() - start)
        return found

    def close(self) -> None:
        """Switch both off."""
        self.one.close()
        self.two.close()


#: By measure: packets per second there and back, microseconds of latency, and of the switch's CPU
#: for a packet there and back.
Figures = dict[str, list[float]]


def traffic(
    ovs: PrivateOvs, names: dict[str, tuple[str, str]], size: int, sport: int
) -> dict[str, Figures]:
    """What rounds came to that were taken by turns, each time in the other order: what else the
    machine does then falls on all of them alike."""
    with contextlib.ExitStack() as stack:
        pairs = {who: Pair(ovs, both, size, sport) for who, both in names.items()}
        for pair in pairs.values():
            stack.callback(pair.close)
            pair.begin()
        found: dict[str, Figures] = {who: {} for who in names}
        for number in range(ROUNDS):
            order = list(pairs.items())
            for who, pair in order if number % 2 else reversed(order):
                for measure, value in _round(ovs, pair).items():
                    found[who].setdefault(measure, []).append(value)
    return found


def _round(ovs: PrivateOvs, pair: Pair) -> dict[str, float]:
    found = {}
    for way, back in (("there", False), ("back", True)):
        before = busy(ovs.vswitchd.pid)
        found[f"rate {way}"] = pair.burst(back=back)
        found[f"CPU {way}"] = (busy(ovs.vswitchd.pid) - before) / BURST * 1e6
    return found | {"latency": statistics.median(pair.echo()) * 1e6}


def typical(measure: str, rounds: list[float]) -> float:
    """Of all rounds: the median; of CPU, which is counted in whole ticks and is nothing in a short
    round, the mean."""
    return statistics.fmean(rounds) if measure.startswith("CPU") else statistics.median(rounds)


def ratio(measure: str, one: list[float], other: list[float]) -> float:
    """The median of the ratios of rounds taken one after the other; of CPU, of the sums."""
    if measure.startswith("CPU"):
        return sum(one) / sum(other)
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def rules(count: int) -> list[dict[str, Any]]:
    """The default group's, and so many more."""
    return DEFAULT + [
        {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
         "port_range_min": 1 + n, "port_range_max": 1 + n}
        for n in range(count)
    ]  # fmt: skip


def member(number: int) -> str:
    """The address of a member elsewhere."""
    return f"10.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def pairs_of(count: int) -> dict[str, Any]:
    """Members in the words of neutron's driver, which is told of the ports of the host as well."""
    found = [[ipv4(n), mac(n)] for n in range(1, 21)]
    found += [[member(n), f"fa:16:3f:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"]
             for n in range(count)]  # fmt: skip
    return {"IPv4": found, "IPv6": []}
