"""Open vSwitch with DPDK, as far as the database and the control socket show it."""

from __future__ import annotations

from typing import Any

from vifd.drivers import PortRow
from vifd.testing.ovsdb import FakeOvsdb
from vifd.testing.tracer import FakeTracer

TYPES = ("dpdkvhostuser", "dpdkvhostuserclient")
#: What the smallest pool of packet buffers takes, roughly.
_POOL = 192 << 20


class FakeDpdk:
    """Gives a fake switch DPDK: vhost-user ports, polling threads, a heap.

    :ivar free: bytes of the heap that are not in use; a pool of buffers is taken from it when the
        first guest connects, and without one a port passes nothing although it bears no error
    """

    def __init__(self, ovsdb: FakeOvsdb, tracer: FakeTracer) -> None:
        self._ovsdb = ovsdb
        self.free = 1500 << 20
        self.pool = False
        self.connected: set[str] = set()
        ovsdb.vhost = self._columns
        ovsdb.root |= {
            "dpdk_initialized": True,
            "datapath_types": ["netdev"],
            "iface_types": ["dpdk", *TYPES, "internal", "patch", "system", "tap"],
            "other_config": {"dpdk-init": "true"},
        }
        tracer.commands |= {
            "dpif-netdev/pmd-rxq-show": self._queues,
            "dpdk/get-malloc-stats": self._heap,
            "netdev-dpdk/get-mempool-info": self._pools,
        }

    def connect(self, name: str) -> None:
        """A guest negotiates its queues with a port."""
        if not self.pool and self.free >= _POOL:
            self.pool = True
            self.free -= _POOL
        self.connected.add(name)
        self._ovsdb.decide(name)

    def disconnect(self, name: str) -> None:
        """The guest goes away."""
        self.connected.discard(name)
        self._ovsdb.decide(name)

    def _columns(self, port: PortRow) -> dict[str, Any]:
        mode = "client" if port.type == TYPES[1] else "server"
        if port.name not in self.connected:
            status = {"mode": mode, "status": "disconnected"}
            return {"link_state": "down", "mtu": port.mtu or 0, "status": status}
        status = {"mode": mode, "status": "connected", "num_of_vrings": "2"}
        if not self.pool:
            return {"link_state": "down", "mtu": 0, "status": status}
        return {"link_state": "up", "mtu": port.mtu_request or 1500, "status": status}

    def _starved(self, name: str) -> bool:
        return name in self.connected and not self.pool

    def _queues(self, *_: str) -> str:
        lines = ["pmd thread numa_id 0 core_id 1:", "  isolated : false"]
        for name in sorted(self._vhost_ports()):
            if not self._starved(name):
                lines.append(f"  port: {name:<16}  queue-id:  0 (enabled)   pmd usage:  0 %")
        return "\n".join([*lines, "  overhead:  0 %", ""])

    def _vhost_ports(self) -> list[str]:
        return [row.name for row in self._ovsdb.all_ports() if row.type in TYPES]

    def _heap(self, *_: str) -> str:
        size = self.free + (_POOL if self.pool else 0)
        return (
            f"Heap id:0\n\tHeap name:socket_0\n\tHeap_size:{size},\n\tFree_size:{self.free},\n"
            f"\tAlloc_size:{size - self.free},\n\tGreatest_free_size:{self.free},\n"
            "Heap id:1\n\tHeap name:\n\tHeap_size:0,\n\tFree_size:0,\n\tGreatest_free_size:0,\n"
        )

    def _pools(self, *_: str) -> str:
        return "mempool <ovsdee7ecf500021580262144>@0x161100a00\n" if self.pool else ""
