"""Neutron's ``openvswitch`` firewall driver on a switch, for ``bench/groups.py``.

Run by a Python that has Neutron; it says and is told one JSON object a line. The driver is used as
its agent uses it: told of rules or members, then every port concerned is updated, in one deferred
change. Agent, server and messages are left out, and so is the search for connections to end, which
asks the kernel: what is measured is the driver.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from typing import Any

from neutron.agent.common import ovs_lib
from neutron.agent.linux.openvswitch_firewall import firewall
from neutron.conf.agent import common as config
from neutron.conf.agent import ovs_conf, ovsdb_api, securitygroups_rpc
from neutron.conf.plugins.ml2.drivers import ovs_conf as agent_conf
from neutron.plugins.ml2.drivers.openvswitch.agent.openflow import br_cookie
from oslo_config import cfg

from neutron import privileged  # type: ignore[attr-defined]

BRIDGE = "br-neutron"
#: Looks for a port, a tenth of a second apart.
_TRIES = 300


def settle_in(database: str) -> None:
    """Options as the agent has them, but for where the switch is; privileged calls in-process."""
    config.register_root_helper(cfg.CONF)
    ovs_conf.register_ovs_agent_opts(cfg.CONF)
    agent_conf.register_ovs_agent_opts(cfg.CONF)
    agent_conf.register_ovs_opts(cfg.CONF)
    ovsdb_api.register_ovsdb_api_opts(cfg.CONF)
    securitygroups_rpc.register_securitygroups_opts(cfg.CONF)
    cfg.CONF([], project="neutron")
    cfg.CONF.set_override("ovsdb_connection", f"unix:{database}", "OVS")
    cfg.CONF.set_override("root_helper", "", "AGENT")
    cfg.CONF.set_override("use_helper_for_ns_read", False, "AGENT")
    for context in vars(privileged).values():
        if hasattr(context, "set_client_mode"):
            context.set_client_mode(False)


class Bridge(br_cookie.OVSBridgeCookieMixin, ovs_lib.OVSBridge):  # type: ignore[misc]
    """As the agent's, without its OpenFlow controller: the driver does without."""


class NoConnections:
    """Ends no connection."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


class Driver:
    """The driver, with ports."""

    def __init__(self) -> None:
        self.bridge = Bridge(BRIDGE)
        self.firewall = firewall.OVSFirewallDriver(self.bridge)
        self.firewall.ipconntrack = NoConnections()
        # as its agent has it, in fewer tables: to the driver's first, and from its last on
        self.bridge.add_flow(table=0, priority=0, actions="resubmit(,60)")
        self.bridge.add_flow(table=60, priority=3, actions="normal")
        self.ports: dict[str, Any] = {}

    def sets(self, rules: dict[str, Any], members: dict[str, Any]) -> None:
        for group, said in rules.items():
            self.firewall.update_security_group_rules(group, said)
        for group, said in members.items():
            pairs = {kind: [tuple(pair) for pair in found] for kind, found in said.items()}
            self.firewall.update_security_group_members(group, pairs)

    def wait_for(self, device: str) -> None:
        """The driver leaves out a port that the database has not told it of."""
        for _ in range(_TRIES):
            found = self.bridge.get_vif_port_by_id(device)
            # a list, and empty, until the switch has given one
            if found and isinstance(found.ofport, int) and found.ofport > 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"no port {device}")

    def update(
        self, ports: Any = (), rules: dict[str, Any] | None = None,
        members: dict[str, Any] | None = None,
    ) -> dict[str, float]:  # fmt: skip
        """One change: what the agent does for one message of the server."""
        for port in ports:
            self.wait_for(port["device"])
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        with self.firewall.defer_apply():
            self.sets(rules or {}, members or {})
            for port in ports:
                if port["device"] in self.ports:
                    self.firewall.update_port_filter(port)
                else:
                    self.firewall.prepare_port_filter(port)
                self.ports[port["device"]] = port
            if not ports:
                for port in self.ports.values():
                    self.firewall.update_port_filter(port)
        took = time.perf_counter() - start
        return {"seconds": took, "cpu": _cpu(before, resource.RUSAGE_SELF)
                + _cpu(children, resource.RUSAGE_CHILDREN)}  # fmt: skip


def _cpu(before: resource.struct_rusage, who: int) -> float:
    now = resource.getrusage(who)
    return now.ru_utime - before.ru_utime + now.ru_stime - before.ru_stime


def main() -> None:
    settle_in(os.environ["OVS_DATABASE"])
    driver = Driver()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(driver.update(**json.loads(line))), flush=True)


def ended() -> None:
    """As main, but an error ends the process: threads of the driver's libraries outlive main."""
    try:
        main()
    except BaseException:
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    ended()
