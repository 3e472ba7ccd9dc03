"""The integration bridge and its patch ports to the physical bridges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vifd.drivers import Bridge, Ovsdb, PortRow, PortSpec
from vifd.errors import BackendError, BridgeMissing, NameClash, PhysnetUnmapped, VifError
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.overlay import NO_TUNNELS, Overlay, port_name
from vifd_ovs.bridge.wiring import NOWHERE, OvsWiring

#: What a bridge that we make speaks; a bridge of others gets the last one added if it lacks it.
PROTOCOLS = ("OpenFlow10", "OpenFlow13", "OpenFlow14")

#: Of a bridge that we make: frames that no flow takes are dropped, whoever controls it.
FAIL_MODE = "secure"


@dataclass(frozen=True)
class Bridges:
    """What one plugin knows of its bridges.

    :param create: whether the integration bridge may be made
    :param mappings: physical network to physical bridge
    :param timeout: seconds for the switch to make a patch or tunnel port
    :param overlay: the tunnels between hosts
    :param secure: an integration bridge that others made drops what no flow takes
    """

    ovsdb: Ovsdb
    integration: str
    create: bool
    datapath_type: str
    mappings: Mapping[str, str]
    timeout: float
    overlay: Overlay = NO_TUNNELS
    secure: bool = False

    def ensure(self, name: str) -> None:
        """Have a bridge there and speaking OpenFlow 1.4; one that exists is not rewritten.

        :raises BridgeMissing: it is not there and may not be made
        """
        bridge = self.ovsdb.bridge(name)
        if bridge is None and not (self.create and name == self.integration):
            raise BridgeMissing(facts={"bridge": name}, stage="bridge")
        if bridge is not None and self.secure and bridge.fail_mode != FAIL_MODE:
            self.ovsdb.set_fail_mode(name, FAIL_MODE)
        if bridge is not None and speaks(bridge) and not fails_open(bridge):
            return
        self.ovsdb.ensure_bridge(
            name,
            datapath_type=self.datapath_type,
            fail_mode=FAIL_MODE,
            protocols=PROTOCOLS if bridge is None else PROTOCOLS[-1:],
            external_ids={marks.BRIDGE: "integration"},
        )
        # Its flow tables can be reached once the switch has made its local port.
        self.ovsdb.wait_ports([name], self.timeout)

    def patch_name(self, physnet: str | None, bridge: str) -> str:
        """The port of a bridge that leads to a physical network; empty without one.

        :raises PhysnetUnmapped: the physical network has no bridge here
        """
        if physnet is None:
            return ""
        return marks.patch_names(bridge, self.physical(physnet))[0]

    def physical(self, physnet: str) -> str:
        """The bridge of a physical network."""
        bridge = self.mappings.get(physnet)
        if bridge is None:
            raise unmapped(physnet, self.mappings)
        return bridge

    def ensure_patch(self, physnet: str, bridge: str) -> None:
        """Have the pair of patch ports between a bridge and that of a physical network.

        :raises VifError: the physical bridge is missing, or the switch cannot make the ports
        """
        physical = self.physical(physnet)
        if self.ovsdb.bridge(physical) is None:
            raise BridgeMissing(facts={"bridge": physical, "physnet": physnet}, stage="patch")
        if self.patch_pair_problem(physnet, bridge) is None:
            self._remember_uplinks(bridge, physical)
            return
        near, far = marks.patch_names(bridge, physical)
        # the near end first: its drop flow needs the number, and nothing comes in before the far
        self._patch(bridge, near, far, physical, NOWHERE)
        self._patch(physical, far, near, bridge, None)
        rows = self.ovsdb.wait_ports([near, far], self.timeout)
        for name in (near, far):
            row = rows.get(name)
            if row is None or (row.ofport or 0) <= 0:
                problem = f"patch port {name}: {row.error if row else 'no answer'}"
                raise BackendError(
                    facts={"backend": "Open vSwitch", "problem": problem}, stage="patch"
                )
        self._remember_uplinks(bridge, physical)

    def _remember_uplinks(self, bridge: str, physical: str) -> None:
        """Note by what a physical bridge leads out, so that it is missed once it is gone."""
        far = self.ovsdb.port(marks.patch_names(bridge, physical)[1])
        names = ",".join(row.name for row in self.uplinks(physical))
        if far is not None and names and far.external_ids.get(marks.UPLINKS) != names:
            self.ovsdb.set_external_ids({far.name: {marks.UPLINKS: names}})

    def patch_pair_problem(self, physnet: str, bridge: str) -> str | None:
        """What is wrong with the patch ports to a physical network, or ``None``."""
        physical = self.mappings.get(physnet)
        if physical is None:
            return f"physical network {physnet} is not mapped"
        near, far = marks.patch_names(bridge, physical)
        near_problem = self._patch_problem(near, bridge, far, NOWHERE)
        return near_problem or self._patch_problem(far, physical, near, None)

    def _patch_problem(self, name: str, bridge: str, peer: str, tag: int | None) -> str | None:
        row = self.ovsdb.port(name)
        if row is None:
            return f"port {name} is missing on bridge {bridge}"
        if row.type != "patch" or row.bridge != bridge:
            return f"port {name} has type {row.type or 'system'!r} on bridge {row.bridge}"
        if row.options.get("peer") != peer:
            return f"port {name} leads to {row.options.get('peer')}, not to {peer}"
        if row.tag != tag:
            return f"port {name} has the tag {row.tag}, not {tag}"
        if row.vlan_mode or row.trunks:
            return f"port {name} carries VLANs by mode {row.vlan_mode or '-'}, trunks {row.trunks}"
        if (row.ofport or 0) <= 0:
            return f"port {name}: {row.error or 'the switch has not made it'}"
        return None

    def _patch(self, bridge: str, name: str, peer: str, leads_to: str, tag: int | None) -> None:
        row = self.ovsdb.port(name)
        if row is not None and marks.PATCH not in row.external_ids:
            have = f"a port on bridge {row.bridge}"
            facts = {"kind": "port", "name": name, "have": have, **marks.ours(row)}
            raise NameClash(facts=facts, stage="patch")
        spec = PortSpec(
            name, tag=tag, type="patch", options={"peer": peer},
            external_ids={marks.PATCH: leads_to},
        )  # fmt: skip
        self.ovsdb.ensure_ports(bridge, [spec])

    def way_out(self, names: OvsWiring) -> list[str]:
        """The patch ports of a port's network, its physical bridge and the ports of that one that
        lead out of the host; empty without a physical network."""
        physical = self.mappings.get(names.physical_network or "")
        if physical is None:
            kinds = self.overlay.kinds(names.network_type)
            tunnels = [port_name(names.bridge, kind) for kind in kinds]
            return [names.patch] if names.patch else tunnels
        near, far = marks.patch_names(names.bridge, physical)
        return [near, far, physical, *(row.name for row in self.uplinks(physical))]

    def cards(self, names: OvsWiring) -> list[str]:
        """The devices by which a port's physical network leaves the host."""
        physical = self.mappings.get(names.physical_network or "")
        if physical is None or self.ovsdb.bridge(physical) is None:
            return []
        return sorted({name for row in self.uplinks(physical) for name in row.interfaces})

    def uplink_mtu(self, physnet: str) -> tuple[str, int] | None:
        """The device of a physical network with the smallest MTU, and that MTU."""
        bridge = self.mappings.get(physnet)
        if bridge is None or self.ovsdb.bridge(bridge) is None:
            return None
        devices = [row for row in self.uplinks(bridge) if row.mtu]
        smallest = min(devices, key=lambda row: row.mtu or 0, default=None)
        return (smallest.name, smallest.mtu or 0) if smallest else None

    def uplinks(self, bridge: str) -> list[PortRow]:
        """The ports of a physical bridge that lead out of the host."""
        return [row for row in self.ovsdb.ports(bridge) if _is_uplink(row)]


def speaks(bridge: Bridge) -> bool:
    """Whether a bridge speaks OpenFlow 1.4; one without a list speaks all that the switch knows."""
    return not bridge.protocols or PROTOCOLS[-1] in bridge.protocols


def fails_open(bridge: Bridge) -> bool:
    """Whether a bridge that we made passes everything by itself once a controller that somebody
    gave it is lost. What others made is theirs."""
    return marks.BRIDGE in bridge.external_ids and bridge.fail_mode != FAIL_MODE


def _is_uplink(row: PortRow) -> bool:
    return row.type in ("", "system", "dpdk") and not marks.is_ours(row.external_ids)


def unmapped(physnet: str, mappings: Mapping[str, str]) -> PhysnetUnmapped:
    """The error for a physical network that has no bridge here."""
    return PhysnetUnmapped(facts={"wanted": physnet, "have": sorted(mappings)})


def ensure_patches(
    bridges: Bridges, wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], VifError]:
    """Have the patch ports of several (physical network, bridge) pairs.

    :returns: the pairs that could not be had, with their reason
    """
    failed = {}
    for physnet, bridge in wanted:
        try:
            bridges.ensure_patch(physnet, bridge)
        except VifError as error:
            failed[physnet, bridge] = error
    return failed
