"""How long vifd takes to be ready with many ports on a machine that has much else to do.

``PYTHONPATH=tests python bench/loaded.py --ports 2000 --busy 8`` needs root (or unprivileged user
namespaces) and an installed Open vSwitch; nothing of the host's is touched. The unit gives a start
300 s, and more while ports come back.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import report
import scene
from recovery import ALLOWED, Host, settled
from report import Figure
from vifd.testing import netns
from vifd.testing.wait import until


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    argv = [sys.executable, "-c", "while True: sum(range(100000))"]
    running = [subprocess.Popen(argv) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def reboot(host: Host) -> None:
    """Leave what a power cut leaves: the switch's database, no device, no flow."""
    host.vifd.stop()
    host.ovs.vswitchd.kill()
    group = [scene.device(n) for n in range(host.present)]
    text = "".join(f"link del {device}\n" for device in group)
    subprocess.run(["ip", "-force", "-batch", "-"], input=text, text=True, check=False)
    host.ovs.vswitchd.spawn()


def main() -> int:
    """Run it; 1 where systemd would have ended a start, or a port is not proven."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--ports", type=int, default=2000)
    parser.add_argument("--busy", type=int, default=8, help="processes that compute meanwhile (8)")
    options = parser.parse_args()
    netns.enter_private_netns()
    figures, spare = [], ALLOWED
    with Host() as host:
        host.manager.patience = 3 * ALLOWED
        begin = time.monotonic()
        host.fill(options.ports)
        took = time.monotonic() - begin
        print(report.markdown([("ports", "plugged in"), (f"{options.ports}", f"{took:.0f} s")]))
        for number in (0, options.busy):
            with busy(number):
                for what, before in (("restart", host.vifd.stop), ("boot", lambda: reboot(host))):
                    before()
                    took = host.start()
                    spare = min(spare, host.manager.spare)
                    name = f"{options.ports} ports, {number} busy processes: {what} until ready"
                    figures.append(Figure(name, took, "s", ALLOWED))
                    print(f"{name}: {took:.1f} s, load {os.getloadavg()[0]:.1f}, at least "
                          f"{host.manager.spare:.0f} s left for systemd", flush=True)  # fmt: skip
                    until(lambda: settled(host), "every port is proven", 3 * ALLOWED)
    print(report.figures(figures))
    print(report.machine())
    return 1 if spare < 0 else 0


if __name__ == "__main__":
    sys.exit(main())
