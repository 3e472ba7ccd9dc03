"""Probe: whether the host can connect guests by vhost-user now.

Everything here is read. DPDK is never switched on from here: an initialisation that fails ends
ovs-vswitchd, and with it the whole switch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vifd.drivers import Drivers
from vifd.plugin import Health, Probe
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.chassis import taken_by_ovn
from vifd_ovs.bridge.numbers import ID_CHARACTERS
from vifd_ovs.bridge.reach import unreachable
from vifd_ovs.bridge.uplinks import lacking, physical_networks
from vifd_vhostuser import dpdk, sockets
from vifd_vhostuser.dpdk import Buffers, Polling
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.options import CLIENT, SERVER, Settings

#: What a pool of packet buffers takes for an MTU of 1500, measured: the one that the switch asks
#: for first, and the smallest that it sometimes falls back to.
_POOL = 1040 << 20
_SMALLEST_POOL = 192 << 20


@dataclass
class Probing:
    """One ``probe`` call."""

    drivers: Drivers
    settings: Settings
    bridges: Bridges
    files: HostFiles
    root: dict[str, Any] = field(init=False)
    polling: Polling = field(init=False)
    buffers: Buffers = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.drivers.ovsdb.facts()
        ready = bool(self.root.get("dpdk_initialized"))
        self.polling = dpdk.polling(self.drivers.tracer) if ready else Polling()
        self.buffers = dpdk.buffers(self.drivers.tracer) if ready else Buffers()

    def run(self) -> Probe:
        """What lacks for good makes the plugin unavailable, what lacks for some guests or networks
        makes it degraded."""
        fatal = [*self._switch(), *self._sockets()]
        lacking = [] if fatal else [*self._memory(), *self._cores(), *self._networks()]
        health = Health.UNAVAILABLE if fatal else Health.DEGRADED if lacking else Health.READY
        applies = not taken_by_ovn(self.root, self.settings.bridge)
        networks = physical_networks(self.bridges)
        return Probe(health, fatal + lacking, self._facts(), networks, applies=applies)

    # --- what nothing works without ---

    def _switch(self) -> Iterator[str]:
        if not self.drivers.ovsdb.connected():
            yield (
                "the Open vSwitch database cannot be reached: start Open vSwitch, or correct "
                "ovsdb_connection in [openvswitch] of agent.conf"
            )
            return
        if owned := taken_by_ovn(self.root, self.settings.bridge):
            yield owned
        config = self.root.get("other_config") or {}
        if not self.root.get("dpdk_initialized"):
            asked = config.get("dpdk-init", "not set")
            yield (
                f"Open vSwitch has not initialised DPDK (other_config:dpdk-init is {asked}): set "
                "large pages aside, set it to true and restart the switch. vifd never sets it, "
                "because an initialisation that fails stops the switch"
            )
        elif self.settings.port_type not in (self.root.get("iface_types") or ()):
            yield (
                f"Open vSwitch has no interface type {self.settings.port_type}: install one that "
                "is built with DPDK"
            )
        yield from self._bridge()
        if self.root.get("dpdk_initialized"):
            yield from self._no_memory()

    def _bridge(self) -> Iterator[str]:
        bridge = self.drivers.ovsdb.bridge(self.settings.bridge)
        if bridge is None:
            if not self.settings.create_bridge:
                yield (
                    f"bridge {self.settings.bridge} does not exist and create_bridge is false: "
                    "make it with datapath_type=netdev, or set create_bridge"
                )
        elif bridge.datapath_type != "netdev":
            have = bridge.datapath_type or "system"
            yield f"bridge {bridge.name} has datapath {have!r}, vhost-user needs 'netdev'"
            return
        yield from unreachable(self.drivers, bridge)

    def _no_memory(self) -> Iterator[str]:
        free = self.buffers.free
        if free is not None and not self.buffers.pools and free < _SMALLEST_POOL:
            yield (
                f"DPDK has {free >> 20} MiB free, the smallest pool of packet buffers needs "
                f"{_SMALLEST_POOL >> 20} MiB: ports would connect and pass nothing"
            )

    def _sockets(self) -> Iterator[str]:
        settings = self.settings
        sample = f"{settings.socket_dir}/{sockets.PREFIX}{'0' * ID_CHARACTERS}"
        problem = sockets.path_problem(sample)
        if problem is not None:
            yield f"socket_dir {settings.socket_dir}: {problem}"
            return
        make = settings.make_socket_dir and settings.port_type == CLIENT
        missing = sockets.directory_problem(settings.socket_dir, make=make)
        if missing is not None:
            yield f"socket_dir: {missing}"
        below = (self.root.get("other_config") or {}).get("vhost-sock-dir", "").strip("./")
        if settings.port_type == SERVER and below and not settings.socket_dir.endswith(f"/{below}"):
            yield (
                f"Open vSwitch makes its sockets in {below!r} below its run directory "
                f"(other_config:vhost-sock-dir), socket_dir is {settings.socket_dir}"
            )

    # --- what some guests or networks need ---

    def _memory(self) -> Iterator[str]:
        free = self.buffers.free
        if free is not None and not self.buffers.pools and free < _POOL:
            yield (
                f"DPDK has {free >> 20} MiB free, a pool of packet buffers takes {_POOL >> 20} "
                "MiB: the first port with a guest may pass nothing"
            )
        counts = [c for sizes in self.files.hugepages().values() for c in sizes.values()]
        if not self.settings.file_backed_memory and not sum(c["nr"] for c in counts):
            yield (
                "the host has no large pages: no guest whose flavor asks for them can start "
                "(file_backed_memory is false)"
            )

    def _cores(self) -> Iterator[str]:
        mask = (self.root.get("other_config") or {}).get("pmd-cpu-mask", "")
        chosen = cores_of(mask)
        online = self.files.online_cpus()
        if chosen is None:
            yield f"other_config:pmd-cpu-mask {mask!r} is no hexadecimal number"
        elif chosen - online:
            yield f"pmd-cpu-mask names cores that do not run: {sorted(chosen - online)}"
        elif len(online) > 1 and chosen >= online:
            yield "pmd-cpu-mask gives every core of the host to polling threads"
        if self.polling.problem:
            yield f"the polling threads cannot be read: {self.polling.problem}"
        elif not self.polling.cores and self._has_ports():
            yield "no polling thread runs, although there are ports to poll"

    def _has_ports(self) -> bool:
        rows = self.drivers.ovsdb.ports(self.settings.bridge)
        return any(row.type in (CLIENT, SERVER) for row in rows)

    def _networks(self) -> Iterator[str]:
        bridge = self.drivers.ovsdb.bridge(self.settings.bridge)
        foreign = bridge is not None and marks.BRIDGE not in bridge.external_ids
        if bridge is not None and foreign and bridge.fail_mode != "secure":
            yield (
                f"bridge {bridge.name} is not ours and has fail_mode "
                f"{bridge.fail_mode or 'standalone'}: after a restart of the switch it forwards "
                "like a plain bridge until vifd has put its flows back"
            )
        yield from lacking(self.bridges, self.drivers.links)
        for physnet, name in self.settings.mappings.items():
            physical = self.drivers.ovsdb.bridge(name)
            if physical is not None and physical.datapath_type != "netdev":
                yield f"bridge {name} of physical network {physnet} is not of datapath 'netdev'"

    def _facts(self) -> dict[str, Any]:
        return {
            **self.root,
            "connected": self.drivers.ovsdb.connected(),
            "bridge": self.settings.bridge,
            "port_type": self.settings.port_type,
            "socket_dir": self.settings.socket_dir,
            "pmd_cores": {str(node): cores for node, cores in self.polling.cores.items()},
            "mempools": list(self.buffers.pools),
            "dpdk_memory_free": self.buffers.free,
            "hugepages": self.files.hugepages(),
            "file_backed_memory": self.settings.file_backed_memory,
        }


def cores_of(mask: str) -> set[int] | None:
    """The cores in a hexadecimal mask; ``None`` if it is none. An empty one names no core."""
    if not mask:
        return set()
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]+", mask):
        return None
    number = int(mask, 16)
    return {core for core in range(number.bit_length()) if number >> core & 1}
