"""What limits of a rate are worth on Open vSwitch: ``make bench/qos``.

One port is held to a rate by vifd's meters, by ``ingress_policing_rate`` and by ``linux-htb`` (what
neutron's agent sets on the kernel's datapath), on a private switch with the userspace datapath in a
network namespace of its own; the frames are those of two kernels' stacks. Said is the median of
what passed, counted in whole frames, in percent of what was asked for, and the switch's CPU, in
seconds per second. It wants a quiet machine: senders that have no turn measure that.
``--keep FILE`` writes the table there as well.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from functional.qos.stations import SPAN, Station, datagrams, rates, stream
from functional.scene import Scene
from vifd.testing import netns
from vifd.testing.attachments import attachment
from vifd.testing.sandbox import PrivateOvs

#: kbit/s that are asked for, and packets/s.
RATE, PACKETS = 10_000, 1_000
_ROUNDS = 3


class Bench:
    """Two stations, of which the first is limited."""

    def __init__(self, ovs: PrivateOvs, scene: Scene, stack: contextlib.ExitStack) -> None:
        self.ovs, self.scene = ovs, scene
        scene.plug(attachment(99))
        self.one, self.two = (Station(scene, stack, attachment(n)) for n in (1, 2))
        scene.plug(self.one.attachment, self.two.attachment)

    def _cpu(self) -> float:
        text = Path(f"/proc/{self.ovs.vswitchd.pid}/stat").read_text()
        user, system = text.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def policy(self, *rules: dict[str, Any]) -> None:
        """What vifd holds the port to."""
        port = attachment(1, qos_policy={"rules": [*rules]}).port
        self.scene.plug(structs.replace(self.one.attachment, port=port))

    def measured(
        self, direction: str, protocol: str, *, packets: bool = False
    ) -> tuple[float, float]:
        """What passes, in kbit/s or packets/s, and seconds of the switch's CPU per second."""
        ends = (self.one, self.two) if direction == "egress" else (self.two, self.one)
        size, offered = (100, 2.5 * PACKETS * 800) if packets else (1300, 2.5 * RATE * 1000)
        passing = stream(*ends) if protocol == "tcp" else datagrams(*ends, size, offered)
        with passing:
            found = rates(ends[1])
            next(found)  # the burst
            before = self._cpu()
            seen = list(itertools.islice(found, _ROUNDS))
            cpu = (self._cpu() - before) / (_ROUNDS * SPAN)
        bits, frames = (statistics.median(column) for column in zip(*seen, strict=True))
        return (frames if packets else bits / 1000), cpu

    @contextlib.contextmanager
    def nothing(self, direction: str) -> Iterator[None]:
        """No limit."""
        del direction
        self.policy()
        yield

    @contextlib.contextmanager
    def meters(self, direction: str) -> Iterator[None]:
        """vifd's."""
        self.policy({"type": "bandwidth_limit", "max_kbps": RATE, "direction": direction})
        yield
        self.policy()

    @contextlib.contextmanager
    def policing(self, direction: str) -> Iterator[None]:
        """Of what the guest sends; there is none of what it gets."""
        assert direction == "egress"
        interface = ("set", "Interface", self.one.name)
        self.ovs.vsctl(*interface, f"ingress_policing_rate={RATE}",
                       f"ingress_policing_burst={RATE * 8 // 10}")  # fmt: skip
        yield
        self.ovs.vsctl(*interface, "ingress_policing_rate=0", "ingress_policing_burst=0")

    @contextlib.contextmanager
    def htb(self, direction: str) -> Iterator[None]:
        """Of what the guest gets."""
        assert direction == "ingress"
        most = f"other-config:max-rate={RATE * 1000}"
        self.ovs.vsctl("set", "Port", self.one.name, "qos=@q", "--", "--id=@q", "create", "QoS",
                       "type=linux-htb", most, "queues:0=@a", "--", "--id=@a", "create", "Queue",
                       most)  # fmt: skip
        yield
        self.ovs.vsctl("clear", "Port", self.one.name, "qos", "--", "--all", "destroy", "QoS",
                       "--", "--all", "destroy", "Queue")  # fmt: skip


def run(bench: Bench) -> Iterator[str]:
    """The table, line by line."""
    ways: list[tuple[str, Callable[[str], contextlib.AbstractContextManager[None]], str]] = [
        ("none", bench.nothing, "egress"), ("meter (vifd)", bench.meters, "egress"),
        ("ingress_policing_rate", bench.policing, "egress"),
        ("none", bench.nothing, "ingress"), ("meter (vifd)", bench.meters, "ingress"),
        ("linux-htb", bench.htb, "ingress"),
    ]  # fmt: skip
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    yield (
        f"Asked for {RATE} kbit/s, UDP offered 2.5 times as much. Load {load}, at nice "
        f"{os.nice(0)}."
    )
    yield ""
    yield "| limit | direction | UDP, % of the rate | TCP, % of the rate | CPU of the switch, UDP |"
    yield "|---|---|---|---|---|"
    for name, limited, direction in ways:
        with limited(direction):
            udp, cpu = bench.measured(direction, "udp")
            tcp = bench.measured(direction, "tcp")[0] if name != "none" else 0
        share = f"{tcp / RATE:.1%}" if tcp else "not asked"
        yield f"| {name} | {direction} | {udp / RATE:.1%} | {share} | {cpu:.3f} |"
    for direction in ("egress", "ingress"):
        rule = {"type": "packet_rate_limit", "max_kpps": PACKETS // 1000, "direction": direction}
        bench.policy(rule)
        passed, cpu = bench.measured(direction, "udp", packets=True)
        yield f"| meter of packets (vifd) | {direction} | {passed / PACKETS:.1%} | | {cpu:.3f} |"
    bench.policy()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the table there")
    keep: Path | None = parser.parse_args().keep
    netns.enter_private_netns()
    lines = [
        "# Limits of a rate on Open vSwitch",
        "",
        "`make bench/qos`; what is compared is in bench/qos.py.",
        "",
    ]
    with PrivateOvs() as ovs, Scene(ovs) as scene, contextlib.ExitStack() as stack:
        for line in run(Bench(ovs, scene, stack)):
            print(line, flush=True)
            lines.append(line)
    if keep is not None:
        keep.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
