"""Open vSwitch at its default places, as a host has it, and an underlay for tunnels.

Only in a world of one's own, where these places are nobody's.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from vifd.testing.sandbox import OF_DATAPATH, SCHEMA

BRIDGE, MAC = "br-underlay", "02:00:00:00:00:f0"
#: The addresses that Neutron's suite gives its hosts as tunnel endpoints.
ENDPOINTS = "240.0.0.0/4"
_DATABASE = Path("/etc/openvswitch/conf.db")


class HostSwitch:
    """The userspace datapath, and one bridge whose traffic between endpoints turns around in it.

    :param logs: where its daemons log
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs

    def start(self) -> None:
        """Start the daemons and make the underlay."""
        _run("ovsdb-tool", "create", str(_DATABASE), str(SCHEMA))
        _run(
            "ovsdb-server", str(_DATABASE), "--remote=punix:/run/openvswitch/db.sock",
            "--remote=ptcp:6640:127.0.0.1", "--pidfile", f"--log-file={self._logs / 'ovsdb.log'}",
            "--detach", "-vconsole:off",
        )  # fmt: skip
        _run("ovs-vsctl", "--no-wait", "init")
        log = f"--log-file={self._logs / 'vswitchd.log'}"
        _run("ovs-vswitchd", "--pidfile", log, "--detach", "-vconsole:off")
        _run(
            "ovs-vsctl", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, OF_DATAPATH,
            f"other-config:hwaddr={MAC}",
        )  # fmt: skip
        _run("ip", "link", "set", BRIDGE, "up", "mtu", "9000")
        _run("ip", "address", "add", "240.0.0.1/32", "dev", BRIDGE)
        _run("ip", "route", "add", ENDPOINTS, "dev", BRIDGE)
        # Both endpoints of a tunnel are addresses of this one bridge.
        flow = f"priority=10,in_port=LOCAL,ip,nw_dst={ENDPOINTS},actions=in_port"
        _run("ovs-ofctl", "add-flow", BRIDGE, flow)


def _run(*argv: str) -> None:
    # What a daemon inherits it keeps open: no pipe of ours.
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=120)
