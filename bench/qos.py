"""What limits of a rate are worth: ``make bench/qos``.

On Open vSwitch one port is held to a rate by vifd's meters, by ``ingress_policing_rate`` and by
``linux-htb`` (what neutron's agent sets on the kernel's datapath), on a private switch in a network
namespace of its own, with the userspace datapath or, with ``VIFD_DATAPATH=system``, the kernel's;
on a bridge of the kernel (qos_bridge.py) by vifd's nftables and by the traffic control of neutron's
linuxbridge agent. The frames are those of stacks of kernels. Said is the median of what passed,
counted in whole frames, in percent of what was asked for, and CPU, in seconds per second. It wants
a quiet machine: senders that have no turn measure that. ``--keep FILE`` writes the tables there as
well.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from functional.linux_scene import LinuxScene
from functional.qos.stations import Station
from functional.scene import Scene
from qos_bridge import BridgeRig
from qos_rig import RATE, Rig, Way
from vifd.testing import netns
from vifd.testing.attachments import attachment
from vifd.testing.sandbox import DATAPATH, PrivateOvs


class SwitchRig(Rig):
    """Ports of a private switch."""

    def __init__(self, ovs: PrivateOvs, scene: Scene, stack: contextlib.ExitStack) -> None:
        self.ovs, self.scene = ovs, scene
        scene.plug(attachment(99))
        self.one, self.two = (Station(scene, stack, attachment(n)) for n in (1, 2))
        scene.plug(self.one.attachment, self.two.attachment)

    def cpu(self) -> float:
        """Of the switch; with the kernel's datapath also of this process, in whose system calls the
        kernel carries frames."""
        text = Path(f"/proc/{self.ovs.vswitchd.pid}/stat").read_text()
        user, system = text.rsplit(")", 1)[1].split()[11:13]
        spent = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        here = os.times() if DATAPATH == "system" else None
        return spent + (here.user + here.system if here else 0.0)

    def ways(self) -> list[Way]:
        return [
            ("none", self.nothing, "egress", ""),
            ("meter (vifd)", self.limited, "egress", ""),
            ("ingress_policing_rate", self.policing, "egress", ""),
            ("none", self.nothing, "ingress", ""),
            ("meter (vifd)", self.limited, "ingress", ""),
            ("linux-htb", self.htb, "ingress", ""),
        ]

    @contextlib.contextmanager
    def policing(self, direction: str) -> Iterator[None]:
        """Of what the guest sends; there is none of what it gets."""
        assert direction == "egress"
        interface = ("set", "Interface", self.one.name)
        self.ovs.vsctl(*interface, f"ingress_policing_rate={self.rate}",
                       f"ingress_policing_burst={self.rate * 8 // 10}")  # fmt: skip
        yield
        self.ovs.vsctl(*interface, "ingress_policing_rate=0", "ingress_policing_burst=0")

    @contextlib.contextmanager
    def htb(self, direction: str) -> Iterator[None]:
        """Of what the guest gets."""
        assert direction == "ingress"
        most = f"other-config:max-rate={self.rate * 1000}"
        self.ovs.vsctl("set", "Port", self.one.name, "qos=@q", "--", "--id=@q", "create", "QoS",
                       "type=linux-htb", most, "queues:0=@a", "--", "--id=@a", "create", "Queue",
                       most)  # fmt: skip
        yield
        self.ovs.vsctl("clear", "Port", self.one.name, "qos", "--", "--all", "destroy", "QoS",
                       "--", "--all", "destroy", "Queue")  # fmt: skip


def asked() -> str:
    """What is asked for, and how loaded the machine is."""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"Asked for {Rig.rate} kbit/s, UDP offered 2.5 times as much. Load {load}, at nice "
        f"{os.nice(0)}."
    )


def switch() -> Iterator[str]:
    """The part about Open vSwitch."""
    with PrivateOvs() as ovs, Scene(ovs) as scene, contextlib.ExitStack() as stack:
        rig = SwitchRig(ovs, scene, stack)
        kernel = DATAPATH == "system"
        title = "## Open vSwitch" + (", the kernel's datapath" if kernel else "")
        whose = "the switch" + (", kernel and senders" if kernel else "")
        yield from (title, "", asked(), "", *rig.table("meter", whose), "")


def bridge() -> Iterator[str]:
    """The part about bridges of the kernel."""
    with LinuxScene(serve_local=True) as scene, contextlib.ExitStack() as stack:
        rig = BridgeRig(scene, stack)
        table = rig.table("nft limit", "kernel and senders")
        yield from ("## Linux bridge", "", asked(), "", *table, "")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--only", choices=("switch", "bridge"), help="one of the two back ends")
    parser.add_argument(
        "--rate", type=int, default=RATE, metavar="KBIT",
        help=f"kbit/s asked for ({RATE}); less where little can be sent",
    )  # fmt: skip
    given = parser.parse_args()
    Rig.rate = given.rate
    keep: Path | None = given.keep
    netns.enter_private_netns()
    lines = ["# Limits of a rate", "", "`make bench/qos`; what is compared is in bench/qos.py.", ""]
    parts = {"switch": switch, "bridge": bridge}
    for part in [given.only] if given.only else [*parts]:
        for line in parts[part]():
            print(line, flush=True)
            lines.append(line)
    if keep is not None:
        keep.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
