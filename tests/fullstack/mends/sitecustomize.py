"""Mends of the suite's surroundings, loaded by every Python of a run (it lies on ``PYTHONPATH``).

None changes a test, an assertion or a time limit; ``docs/fullstack.md`` has the reason of each.
A mend is a function of the module that it is for, called once the module is loaded.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

#: The underlay's bridge, where hosts' tunnel endpoints are, and its address.
UNDERLAY, UNDERLAY_MAC = "br-underlay", "02:00:00:00:00:f0"
_SCTP, _UDP = 132, 17


def userspace_bridges(constants: Any) -> None:
    """Bridges that the suite and the agents make have the datapath that this kernel has."""
    if os.environ.get("FULLSTACK_DATAPATH") == "netdev":
        constants.OVS_DATAPATH_SYSTEM = "netdev"


def waiting(base: Any) -> None:
    """The function that the suite calls by this name, and a note of what restart tests see."""
    if not hasattr(base, "wait_until_true"):
        from neutron.common import utils

        def wait_until_true(
            predicate: Callable[[], Any], timeout: float = 60, sleep: float = 1,
            exception: Any = None,
        ) -> None:  # fmt: skip
            utils.wait_until_true(predicate, timeout=timeout, sleep=sleep, exception=exception)

        base.wait_until_true = wait_until_true
    _note_restarts(base.BaseFullStackTestCase)


def _note_restarts(case: Any) -> None:
    """Note which agents told the server of their start while the pings of a restart test ran."""
    asserting = case._assert_ping_during_agents_restart

    def noted(self: Any, agents: Any, *words: Any, **more: Any) -> None:
        begin = time.time()
        asserting(self, agents, *words, **more)
        end = time.time()
        hosts = {agent.hostname for agent in agents}
        known = self.client.list_agents()["agents"]
        started = [
            _seconds(agent["started_at"])
            for agent in known
            if agent["host"] in hosts and agent["binary"] == "neutron-openvswitch-agent"
        ]
        inside = sum(begin - 1 <= at <= end for at in started)
        told = {"restarted": len(hosts), "reported": inside, "seconds": round(end - begin, 1)}
        print("NOTE", json.dumps(told), flush=True)

    case._assert_ping_during_agents_restart = noted


def _seconds(text: str) -> float:
    import calendar

    return calendar.timegm(time.strptime(text[:19].replace("T", " "), "%Y-%m-%d %H:%M:%S"))


def tunnel_endpoints(environment: Any) -> None:
    """A host's endpoint lies on a port of the switch: its userspace datapath sends by no other."""
    if os.environ.get("FULLSTACK_DATAPATH") != "netdev":
        return

    def connect(self: Any) -> None:
        from neutron.agent.linux import ip_lib

        device = ip_lib.IPDevice(UNDERLAY)
        device.addr.add(f"{self.local_ip}/32")
        self.addCleanup(device.addr.delete, f"{self.local_ip}/32")
        argv = ["ovs-appctl", "tnl/neigh/set", UNDERLAY, self.local_ip, UNDERLAY_MAC]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        self.tunnel_device = device

    environment.Host.connect_to_central_network_via_tunneling = connect


def sample_files(helpers: Any) -> None:
    """Sample files are found by their names, though the suite asks with a directory before one."""
    find = helpers.find_file
    helpers.find_file = lambda name, path: find(os.path.basename(name), path)


def sctp_by_udp(helpers: Any) -> None:
    """Without SCTP in the kernel the suite's SCTP traffic is UDP ..."""
    if _kernel_has_sctp():
        return
    start = helpers.NetcatTester.__init__

    def init(self: Any, client: Any, server: Any, address: Any, port: Any, protocol: Any,
             *words: Any, **more: Any) -> None:  # fmt: skip
        protocol = "udp" if protocol == "sctp" else protocol
        start(self, client, server, address, port, protocol, *words, **more)

    helpers.NetcatTester.__init__ = init


def sctp_rules_by_udp(tests: Any) -> None:
    """... and so are its rules."""
    if _kernel_has_sctp():
        return
    real = tests.constants

    class Constants:
        PROTO_NUM_SCTP = _UDP

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    tests.constants = Constants()


def _kernel_has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, _SCTP).close()
    except OSError:
        return False
    return True


MENDS: dict[str, Callable[[Any], None]] = {
    "neutron_lib.plugins.ml2.ovs_constants": userspace_bridges,
    "neutron.tests.common.helpers": sample_files,
    "neutron.tests.common.net_helpers": sctp_by_udp,
    "neutron.tests.fullstack.base": waiting,
    "neutron.tests.fullstack.resources.environment": tunnel_endpoints,
    "neutron.tests.fullstack.test_securitygroup": sctp_rules_by_udp,
}


class Mending(importlib.abc.MetaPathFinder):
    """Finds the modules that have a mend as Python does, and mends each once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        mend = MENDS.get(fullname)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if mend else None
        if mend is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            mend(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Mending())
