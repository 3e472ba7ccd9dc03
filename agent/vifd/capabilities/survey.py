"""The sources of a real host, put together; and the events upon which they are read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vifd.capabilities.findings import Source
from vifd.capabilities.host import HostCapabilities
from vifd.capabilities.probes.kernel import Kernel
from vifd.capabilities.probes.memory import Memory
from vifd.capabilities.probes.networks import Networks
from vifd.capabilities.probes.nft import PacketFilter
from vifd.capabilities.probes.nics import NET, Nics
from vifd.capabilities.probes.ovs import OpenVswitch
from vifd.capabilities.probes.qemu import Guests
from vifd.capabilities.tree import Tree, Unreadable
from vifd.drivers import Drivers
from vifd.drivers.devlink import Devlink
from vifd.drivers.nft import families
from vifd.hypervisor import Hypervisor
from vifd.plugin import Advert, Probe


def sources(
    drivers: Drivers,
    hypervisor: Hypervisor,
    probes: Callable[[], Mapping[str, Probe]],
    adverts: Callable[[], Mapping[str, Advert]],
    *,
    emulator: str = "",
    root: str = "/",
) -> list[Source]:
    """Every source of this host.

    :param probes: the last answers of the plugins' own probes
    :param adverts: the plugins that are admitted
    :param emulator: the QEMU binary that guests run with; found if empty
    :param root: where procfs, sysfs and ``/dev`` are
    """
    tree = Tree(Path(root))
    kernel = Kernel(tree, _bridging(drivers))
    return [
        kernel,
        PacketFilter(kernel.modules, families.lacking),
        Memory(tree),
        Nics(tree, eswitch),
        _switch(drivers, probes),
        Guests(hypervisor.facts, emulator, kernel.kvm),
        Networks(probes, adverts),
    ]


def _switch(drivers: Drivers, probes: Callable[[], Mapping[str, Probe]]) -> OpenVswitch:
    def ours() -> list[str]:
        return integration_bridges(probes())

    return OpenVswitch(drivers.ovsdb, drivers.openflow, drivers.tracer, ours)


def _bridging(drivers: Drivers) -> Callable[[str], str | None]:
    if drivers.bridging is not None:
        return drivers.bridging.lacking

    def nobody(kind: str) -> str | None:
        raise Unreadable(f"this vifd was put together without a driver to ask for {kind}")

    return nobody


def eswitch(pci: str) -> str:
    """The mode of a card's embedded switch, asked on a socket of its own."""
    devlink = Devlink()
    try:
        return devlink.eswitch_mode(pci)
    finally:
        devlink.close()


def integration_bridges(probes: Mapping[str, Probe]) -> list[str]:
    """The bridges that plugins of Open vSwitch say they use."""
    found: dict[str, None] = {}
    for probe in probes.values():
        bridge: Any = probe.facts.get("bridge")
        name = bridge.get("name") if isinstance(bridge, dict) else bridge
        if name:
            found[str(name)] = None
    return list(found)


def subscribe(
    host: HostCapabilities, drivers: Drivers, hypervisor: Hypervisor, root: str = "/"
) -> None:
    """Have sources read again when what they read has changed. The callbacks only mark."""

    def ovsdb(kind: str, _name: str) -> None:
        if kind != "port":
            host.suspect("openvswitch")

    cards = os.path.join(root, NET)

    def link(name: str, exists: bool) -> None:
        # a tap that comes or goes is no card; one that has a device below it in sysfs is
        if not name or (exists and os.path.exists(f"{cards}/{name}/device")):
            host.suspect("interfaces")

    drivers.ovsdb.subscribe(ovsdb)
    drivers.links.subscribe(link)
    hypervisor.subscribe(lambda device: None if device else host.suspect("hypervisor"))
