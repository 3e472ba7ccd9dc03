"""The same on a bridge of the kernel: vifd's limits of nftables beside what neutron's linuxbridge
agent sets on the tap, ``tbf`` for what the guest gets and policing for what it sends.

Neutron's policing is tried beside vifd's guard (``clsact``), whose place it would take; where this
kernel has no classifier or action for it, the table says so.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from functional.linux_scene import LinuxScene
from functional.qos.cabled import Cabled
from qos_rig import Rig, Way
from vifd.testing.attachments import attachment


class BridgeRig(Rig):
    """Guests with a kernel's stack each, on one bridge."""

    def __init__(self, scene: LinuxScene, stack: contextlib.ExitStack) -> None:
        self.scene = scene
        ports = [attachment(n) for n in (1, 2)]
        scene.plug(*ports)
        self.one, self.two = (Cabled(scene, stack, port) for port in ports)

    def cpu(self) -> float:
        """Of this process, in whose system calls the kernel carries the frames."""
        spent = os.times()
        return spent.user + spent.system

    def ways(self) -> list[Way]:
        return [
            ("none", self.nothing, "egress", ""),
            ("nft limit (vifd)", self.limited, "egress", ""),
            ("tc policing (neutron)", self.policing, "egress", self._lacking()),
            ("none", self.nothing, "ingress", ""),
            ("nft limit (vifd)", self.limited, "ingress", ""),
            ("tc tbf (neutron)", self.tbf, "ingress", ""),
        ]

    @property
    def _burst(self) -> str:
        """What neutron lets come at once where nobody says otherwise: 80 % of the rate."""
        return f"{self.rate * 8 // 10}kbit"

    def _police(self) -> list[str]:
        most = ["rate", f"{self.rate}kbit", "burst", self._burst, "mtu", "64kb", "drop"]
        return ["filter", "add", "dev", self.one.name, "ingress", "protocol", "all", "prio", "49",
                "u32", "match", "u32", "0", "0", "police", *most, "flowid", ":1"]  # fmt: skip

    def _lacking(self) -> str:
        tried = subprocess.run(["tc", *self._police()], capture_output=True, text=True)
        if tried.returncode:
            return f"this kernel has none: {tried.stderr.splitlines()[0]}"
        self._unpolice()
        return ""

    def _unpolice(self) -> None:
        _tc("filter", "del", "dev", self.one.name, "ingress", "prio", "49")

    @contextlib.contextmanager
    def policing(self, direction: str) -> Iterator[None]:
        """Of what the guest sends."""
        assert direction == "egress"
        _tc(*self._police())
        yield
        self._unpolice()

    @contextlib.contextmanager
    def tbf(self, direction: str) -> Iterator[None]:
        """Of what the guest gets."""
        assert direction == "ingress"
        _tc("qdisc", "replace", "dev", self.one.name, "root", "tbf", "rate", f"{self.rate}kbit",
            "latency", "50ms", "burst", self._burst)  # fmt: skip
        yield
        _tc("qdisc", "del", "dev", self.one.name, "root")


def _tc(*words: str) -> None:
    subprocess.run(["tc", *words], check=True)
