"""An agent that says "up" and wires nothing: what passes with it proves nothing of a data plane.

It reports as the stock agent does, and tells the server that every interface with an ``iface-id``
on its integration bridge is up. It runs in Neutron's environment, which has oslo.messaging.
"""

from __future__ import annotations

import argparse
import configparser
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

AGENT = "Open vSwitch agent"
BINARY = "neutron-openvswitch-agent"
VERSIONS = {
    "Port": "1.11", "Network": "1.3", "Subnet": "1.2", "SecurityGroup": "1.6",
    "SecurityGroupRule": "1.3", "AddressGroup": "1.2",
}  # fmt: skip


class Server:
    """The two topics of Neutron's server that this agent speaks to."""

    def __init__(self, url: str) -> None:
        import oslo_messaging
        from oslo_config import cfg

        cfg.CONF([], project="null-agent")
        oslo_messaging.set_transport_defaults("neutron")
        transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)

        def client(topic: str, version: str) -> Any:
            target = oslo_messaging.Target(topic=topic, version=version)
            return oslo_messaging.get_rpc_client(transport, target, timeout=30)

        self._reports = client("q-reports-plugin", "1.4")
        self._plugin = client("q-plugin", "1.9")

    def report(self, state: dict[str, Any]) -> None:
        """Tell the agent's state."""
        call = {"agent_state": {"agent_state": state}, "time": _now()}
        self._reports.call(_context(), "report_state", **call)

    def devices(self, host: str, up: set[str], down: set[str]) -> None:
        """Tell which devices are up now, and which are down."""
        self._plugin.call(
            _context(), "update_device_list", devices_up=sorted(up), devices_down=sorted(down),
            agent_id=f"ovs-agent-{host}", host=host, refresh_tunnels=False,
        )  # fmt: skip


def main() -> int:
    """Say "up" until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config-file", action="append", default=[])
    given, _ = parser.parse_known_args()
    conf = configparser.ConfigParser(interpolation=None, strict=False)
    conf.read(given.config_file)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host, bridge = conf["DEFAULT"]["host"], conf["ovs"]["integration_bridge"]
    interval = float(conf.get("agent", "report_interval", fallback="30"))
    server = Server(conf["DEFAULT"]["transport_url"])
    state = _state(conf, host, bridge)
    server.report({**state, "start_flag": True, "resource_versions": VERSIONS})
    reported, known = time.monotonic(), set[str]()
    while not told.wait(1):
        try:
            if time.monotonic() - reported > interval:
                server.report(state)
                reported = time.monotonic()
            present = _ports(bridge)
            if present != known:
                server.devices(host, present - known, known - present)
            known = present
        except Exception as error:  # the suite ends the server before the agent
            print(type(error).__name__, error, flush=True)
    return 0


def _state(conf: configparser.ConfigParser, host: str, bridge: str) -> dict[str, Any]:
    def pairs(text: str) -> dict[str, str]:
        return dict(pair.split(":", 1) for pair in text.split(",") if pair)

    tunnels = conf.get("agent", "tunnel_types", fallback="")
    configurations = {
        "bridge_mappings": pairs(conf.get("ovs", "bridge_mappings", fallback="")),
        "tunnel_types": [name for name in tunnels.split(",") if name],
        "tunneling_ip": conf.get("ovs", "local_ip", fallback=""),
        "l2_population": conf.getboolean("agent", "l2_population", fallback=False),
        "integration_bridge": bridge, "datapath_type": "netdev", "devices": 0,
        "ovs_capabilities": {"datapath_types": ["netdev"], "iface_types": ["internal", "tap"]},
        "ovs_hybrid_plug": False, "arp_responder_enabled": False, "extensions": [],
        "enable_distributed_routing": False, "in_distributed_mode": False,
        "baremetal_smartnic": conf.getboolean("agent", "baremetal_smartnic", fallback=False),
        "log_agent_heartbeats": False,
    }  # fmt: skip
    return {
        "binary": BINARY, "host": host, "topic": "N/A", "agent_type": AGENT,
        "configurations": configurations, "uuid": str(uuid.uuid4()),
    }  # fmt: skip


def _ports(bridge: str) -> set[str]:
    found = set()
    for name in _vsctl("list-ports", bridge).split():
        found.add(
            _vsctl("--if-exists", "get", "Interface", name, "external_ids:iface-id").strip('"\n')
        )
    return found - {""}


def _vsctl(*words: str) -> str:
    argv = ["ovs-vsctl", "--timeout=20", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def _context() -> dict[str, Any]:
    return {
        "user_id": None, "project_id": None, "tenant_id": None, "is_admin": True,
        "roles": ["admin"], "request_id": f"req-{uuid.uuid4()}", "global_request_id": None,
        "timestamp": _now(),
    }  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


if __name__ == "__main__":
    sys.exit(main())
