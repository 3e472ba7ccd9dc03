"""nova's own functional tests, from its wheel, with os-vif not stubbed and vifd in its place.

Run by nova's interpreter beside a vifd: ``upstream.py SOCKET TEST...``. Two things of the tests are
changed: they stub os-vif, and their network service binds ports for libvirt to make the taps. What
the network service would say to vifd is said right before nova plugs. The last line of the output
is JSON: what ran, what failed, and what was plugged.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import sys
import unittest
from collections import Counter
from importlib import import_module
from typing import Any

done: Counter[str] = Counter()


class Unix(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(sys.argv[1])


def bound(vif: Any) -> None:
    """The network service says its part of a port."""
    body = {
        "version": "1.0", "role": "ACTIVE", "fixed_ips": [], "subnets": [],
        "port": {"id": vif.id, "name": "", "mac_address": vif.address},
        "network": {
            "id": vif.network.id, "mtu": 1450, "segment": {"network_type": "local"},
        },
    }  # fmt: skip
    connection = Unix("localhost")
    connection.request(
        "PUT", f"/v1/ports/{vif.id}/network", json.dumps(body), {"Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    if answer.status >= 300:
        raise RuntimeError(f"the network part of {vif.id}: {answer.read()[:500]!r}")
    connection.close()


def not_stubbed() -> None:
    """Have nova's libvirt fixture leave os-vif alone."""
    fixture = import_module("nova.tests.fixtures.libvirt").LibvirtFixture
    original = fixture.__init__

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **{**kwargs, "stub_os_vif": False})

    fixture.__init__ = made


def taps_by_vifd() -> None:
    """Have nova's network fixture bind ports as a network service does on hosts with vifd."""
    fixture = import_module("nova.tests.fixtures.neutron").NeutronFixture
    for value in vars(fixture).values():
        if isinstance(value, dict) and value.get("binding:vif_type") == "ovs":
            value["binding:vif_details"] = {
                **value.get("binding:vif_details", {}), "ovs_create_tap": True,
            }  # fmt: skip


def counted() -> None:
    """Count what goes through the shim, and bind before each plug."""
    plugin = import_module("vifd_nova.plugin")
    plug, unplug = plugin.StandIn.plug, plugin.StandIn.unplug

    def plug_(self: Any, vif: Any, instance: Any) -> None:
        if reason := plugin.why_not(vif):
            done[f"left to os-vif: {reason}"] += 1
        else:
            bound(vif)
        plug(self, vif, instance)
        done["plugged"] += 1

    def unplug_(self: Any, vif: Any, instance: Any) -> None:
        unplug(self, vif, instance)
        done["unplugged"] += 1

    plugin.StandIn.plug, plugin.StandIn.unplug = plug_, unplug_


def main() -> None:
    cfg = import_module("oslo_config.cfg")
    options = import_module("vifd_nova.options").OPTIONS
    cfg.set_defaults(options, take_over=["ovs"], socket=sys.argv[1])
    not_stubbed()
    taps_by_vifd()
    counted()
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:])
    logging.disable(logging.CRITICAL)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    bad = [(str(test), text) for test, text in (*result.failures, *result.errors)]
    report = {
        "ran": result.testsRun, "skipped": len(result.skipped), "bad": bad, "done": done,
    }  # fmt: skip
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
