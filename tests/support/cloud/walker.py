"""Machines in namespaces of their own on a host's bridge, and a ping between two of them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field

from vifd.testing.netns import Namespace
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

_ANSWERED = re.compile(r"\[([\d.]+)\] .*icmp_seq=(\d+) ttl=")
#: Seconds between two pings.
_PAUSE = 0.05


@dataclass
class Machine:
    """An internal port of a bridge that bears a port's id, inside a namespace.

    :param prefix: the length of its subnet's
    """

    ovs: PrivateOvs
    bridge: str
    port: str
    device: str
    mac: str
    address: str
    prefix: int = 24
    space: Namespace = field(init=False)

    def __post_init__(self) -> None:
        self.space = Namespace(self.device)
        self.ovs.vsctl(
            "add-port", self.bridge, self.device, "--", "set", "Interface", self.device,
            "type=internal", f"external_ids:iface-id={self.port}",
            f'external_ids:attached-mac="{self.mac}"', "external_ids:iface-status=active",
        )  # fmt: skip
        self.move_in()

    def move_in(self) -> None:
        """Put the device into the namespace, as whoever uses it does; also where a switch that was
        started anew made it once more: the one of before stays there, and leads nowhere."""
        from pyroute2 import IPRoute

        if self._is_there():
            self.space.command(["ip", "link", "delete", self.device])
        with IPRoute() as netlink:
            until(lambda: netlink.link_lookup(ifname=self.device), f"{self.device} is there")
            index = netlink.link_lookup(ifname=self.device)[0]
            netlink.link("set", index=index, net_ns_fd=self.space.fd)
        for words in (
            ["link", "set", self.device, "address", self.mac],
            ["addr", "add", f"{self.address}/{self.prefix}", "dev", self.device],
            ["link", "set", self.device, "up"],
        ):
            self.space.command(["ip", *words])

    def _is_there(self) -> bool:
        argv = ["ip", "link", "show", self.device]
        done = self.space.run(subprocess.run, argv, capture_output=True, check=False)
        return bool(done.returncode == 0)

    def reaches(self, other: Machine) -> bool:
        """Whether one ping of this moment is answered."""
        argv = ["ping", "-c", "1", "-W", "1", other.address]
        done = self.space.run(subprocess.run, argv, capture_output=True, check=False)
        return bool(done.returncode == 0)

    def close(self) -> None:
        """Take it off the bridge."""
        self.ovs.vsctl("--if-exists", "del-port", self.device)
        self.space.close()


class Ping:
    """Pings from one machine to another, 20 a second, from its making to :meth:`stop`.

    :ivar lost: once it has ended, when those that nobody answered were sent, in seconds since the
        epoch
    """

    def __init__(self, one: Machine, two: Machine) -> None:
        def call() -> subprocess.Popen[str]:
            return subprocess.Popen(
                ["ping", "-D", "-i", f"{_PAUSE}", "-W", "5", two.address],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

        self.lost: list[float] = []
        self._process = one.space.run(call)

    def stop(self) -> tuple[int, int]:
        """End it; how many were sent, and how many of them nobody answered. Those after the last
        one that was answered are on their way when it ends: they are not counted."""
        self._process.send_signal(2)
        said, _ = self._process.communicate(timeout=30)
        sent, self.lost = counted(said)
        return sent, len(self.lost)

    def close(self) -> None:
        """End it where nobody did, as in a test that failed."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def counted(said: str) -> tuple[int, list[float]]:
    """Of what ping said: how many up to the last one that was answered, and about when those of
    them were sent that were not."""
    answered = {int(number): float(when) for when, number in _ANSWERED.findall(said)}
    sent = max(answered, default=0)
    lost: list[float] = []
    at = 0.0
    for number in range(1, sent + 1):
        at = answered.get(number, at + _PAUSE)
        if number not in answered:
            lost.append(at)
    return sent, lost
