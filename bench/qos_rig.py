"""Two stations of which the first is limited, and what passes between them: for bench/qos.py."""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

from functional.plugged import PluggedPorts
from functional.qos.stations import SPAN, Station, datagrams, rates, stream
from vifd.testing.attachments import attachment

#: kbit/s that are asked for where nobody says otherwise; packets/s, the least of a document.
RATE, PACKETS = 10_000, 1_000
ROUNDS = 3
#: One way of holding a port to a rate: its name, how, the direction, and why it cannot be tried.
Way = tuple[str, Callable[[str], contextlib.AbstractContextManager[None]], str, str]


class Rig:
    """The stations are plugged by who makes it."""

    #: kbit/s that are asked for.
    rate = RATE
    scene: PluggedPorts
    one: Station
    two: Station

    def cpu(self) -> float:
        """Seconds of CPU so far of what carries the frames."""
        raise NotImplementedError

    def ways(self) -> list[Way]:
        """What is compared."""
        raise NotImplementedError

    def policy(self, *rules: dict[str, Any]) -> None:
        """What vifd holds the port to."""
        port = attachment(1, qos_policy={"rules": [*rules]}).port
        self.scene.plug(structs.replace(self.one.attachment, port=port))

    def measured(
        self, direction: str, protocol: str, *, packets: bool = False
    ) -> tuple[float, float]:
        """What passes, in kbit/s or packets/s, and seconds of CPU per second."""
        ends = (self.one, self.two) if direction == "egress" else (self.two, self.one)
        size, offered = (100, 2.5 * PACKETS * 800) if packets else (1300, 2.5 * self.rate * 1000)
        passing = stream(*ends) if protocol == "tcp" else datagrams(*ends, size, offered)
        with passing:
            found = rates(ends[1])
            for _ in range(2):  # the burst
                next(found)
            before = self.cpu()
            seen = list(itertools.islice(found, ROUNDS))
            cpu = (self.cpu() - before) / (ROUNDS * SPAN)
        bits, frames = (statistics.median(column) for column in zip(*seen, strict=True))
        return (frames if packets else bits / 1000), cpu

    @contextlib.contextmanager
    def nothing(self, direction: str) -> Iterator[None]:
        """No limit."""
        del direction
        self.policy()
        yield

    @contextlib.contextmanager
    def limited(self, direction: str) -> Iterator[None]:
        """vifd's."""
        self.policy({"type": "bandwidth_limit", "max_kbps": self.rate, "direction": direction})
        yield
        self.policy()

    def table(self, own: str, whose: str) -> Iterator[str]:
        """It, line by line.

        :param own: what vifd's limit is called here
        :param whose: the CPU
        """
        rate = "% of the rate"
        yield f"| limit | direction | UDP, {rate} | TCP, {rate} | CPU of {whose}, UDP |"
        yield "|---|---|---|---|---|"
        for name, limited, direction, lacking in self.ways():
            if lacking:
                yield f"| {name} | {direction} | {lacking} | | |"
                continue
            with limited(direction):
                udp, cpu = self.measured(direction, "udp")
                tcp = self.measured(direction, "tcp")[0] if name != "none" else 0
            share = f"{tcp / self.rate:.1%}" if tcp else "not asked"
            yield f"| {name} | {direction} | {udp / self.rate:.1%} | {share} | {cpu:.3f} |"
        for direction in ("egress", "ingress"):
            most = PACKETS // 1000
            rule = {"type": "packet_rate_limit", "max_kpps": most, "direction": direction}
            for name, rules in (("none", []), (f"{own} of packets (vifd)", [rule])):
                self.policy(*rules)
                passed, cpu = self.measured(direction, "udp", packets=True)
                yield f"| {name} | {direction} | {passed / PACKETS:.1%} | | {cpu:.3f} |"
        self.policy()
