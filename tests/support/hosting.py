"""What is known of a host that exists only in memory."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

from vifd.capabilities import names
from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.view import view

SWITCH = "openvswitch"


class FakeHost:
    """A host with a kernel, a switch and no large pages; a refresh reads it as it is then.

    :ivar present: the capabilities that it has now, with their values
    :ivar refreshes: how often it was read anew
    """

    def __init__(self) -> None:
        self.present: dict[str, Any] = {names.BRIDGE: None, names.OVS: "3.1.0"}
        self.refreshes = 0
        self._inventory = self._read()

    def _read(self) -> Inventory:
        now = time.time()
        found = {
            name: Capability(name, True, value, "told by the test", now, source=SWITCH)
            for name, value in self.present.items()
        }
        missing = "pages: write a number to nr_hugepages"
        found[names.HUGEPAGES] = Capability(
            names.HUGEPAGES, False, None, "0 pages", now, missing, "memory"
        )
        return Inventory(found, now)

    def show(self) -> dict[str, Any]:
        """See :meth:`vifd.api.backend.Backend.host`."""
        now = time.time()
        sources = [
            {"name": name, "at": self._inventory.at, "milliseconds": 1.5, "interval": 60.0,
             "running_for": None, "problem": None}
            for name in (SWITCH, "memory")
        ]  # fmt: skip
        uplink = {"device": "br-ex", "up": True, "mtu": 1500, "local_ip": "", "devices": ["eth1"],
                  "problem": ""}  # fmt: skip
        return {
            "host": "fake", "kernel": "6.1", "machine": "x86_64", "python": "3.11", "vifd": "0",
            "inventory": view(self._inventory, sources, now),
            "plugins": {
                "fake": {
                    "state": "degraded", "reasons": ["no large pages: write to nr_hugepages"],
                    "physical_networks": {"physnet1": uplink}, "tunnels": {},
                    "facts": {"bridge": "br-int"},
                },
            },
        }  # fmt: skip

    def refresh(self) -> Future[dict[str, Any]]:
        """See :meth:`vifd.api.backend.Backend.refresh_host`."""
        future: Future[dict[str, Any]] = Future()
        self.refreshes += 1
        self._inventory = self._read()
        future.set_result(self.show())
        return future
