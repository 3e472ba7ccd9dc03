"""What the ports of a network stand on: the bridge, and the device that leads out of the host.

Both are made with the network's first port on this host and removed with the last one. They may
carry larger packets than the network asks for, never smaller ones: ports of one network are
changed one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vifd.drivers import (
    MARK,
    BridgePort,
    BridgeSpec,
    Bridging,
    Device,
    Links,
    VlanSpec,
    VxlanSpec,
)
from vifd.errors import BridgeMissing, DeviceError, MtuTooLarge, NameClash, VifError
from vifd.model.sets import Forwarding, SetKind
from vifd.plugin import Entry, NoSets, SetChange, Sets
from vifd_linuxbridge import marks, overlay, wiring
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.probing import ADDRESSED
from vifd_linuxbridge.wiring import LinuxWiring


class Networks:
    """The networks of this host, made and removed over the drivers.

    :param ledger: every port of this host that has names: closed ports are on no bridge
    :param guarding: whether this kernel guards devices
    :param sets: who is behind which tunnel endpoint
    """

    def __init__(
        self, bridging: Bridging, links: Links, settings: Settings,
        ledger: Callable[[], Mapping[str, Entry]], *, guarding: bool, sets: Sets | None = None,
    ) -> None:  # fmt: skip
        self._sets = sets or NoSets()
        self._bridging = bridging
        self._links = links
        self._settings = settings
        self._ledger = ledger
        self.guarding = guarding

    def ensure(self, names: LinuxWiring, mtu: int) -> None:
        """Have the bridge and its way out; what is as wanted is only read.

        :raises VifError: something of others is in the way, or the kernel refuses
        """
        there = self._bridging.get([n for n in (names.bridge, names.uplink, names.parent) if n])
        bridge = there.get(names.bridge)
        if not names.own_bridge:
            _foreign(names, bridge)
            return
        if problem := bridge_problem(names, bridge, mtu):
            spec = bridge_spec(names, _at_least(bridge, mtu))
            if bridge is not None and bridge.link.alias != spec.alias:
                raise _clash(bridge, problem)
            bridge = self._bridging.make(spec)
        if names.uplink and bridge is not None:
            self._ensure_uplink(names, bridge, there, mtu)

    def _ensure_uplink(
        self, names: LinuxWiring, bridge: Device, there: dict[str, Device], mtu: int
    ) -> None:
        uplink = there.get(names.uplink)
        index = bridge.link.ifindex
        if names.uplink == names.parent:
            self._admit(names, uplink, index, mtu)
        elif uplink_problem(names, uplink, index, mtu, self.settings_of(names)):
            lower = self._lower(names)
            spec = uplink_spec(names, self.settings_of(names), lower, _at_least(uplink, mtu))
            uplink = self._bridging.make(spec)
        if names.network_type == "vxlan" and self.forwarding(names) is not None:
            self.forward(names)
        as_it_is = uplink is not None and uplink.master == index and uplink.link.up
        if uplink is None or not as_it_is or names.vlan or port_problem(uplink):
            self._enslave_uplink(names)

    def forwarding(self, names: LinuxWiring) -> Forwarding | None:
        """Who is behind which tunnel endpoint of a port's network; ``None`` where nobody said."""
        return self._sets.forwarding(names.network_id)

    def settings_of(self, names: LinuxWiring) -> Settings:
        """The options as they count for a port's network."""
        return overlay.settings_of(self._settings, self.forwarding(names))

    def forward(self, names: LinuxWiring) -> bool:
        """Bring the entries of a network's VXLAN device to what they shall be, by the difference.

        :returns: whether there was one
        """
        have = self._bridging.tunnels(names.uplink)
        wanted = overlay.entries(names.uplink, self.forwarding(names), self._settings)
        add, delete = overlay.moves(have, wanted)
        if add or delete:
            self._bridging.change_fdb(add=add, delete=delete)
        return bool(add or delete)

    def refresh(self, changes: Sequence[SetChange], plugin: str) -> set[str]:
        """Bring the networks whose forwarding changed to it.

        :returns: the ports on them
        """
        changed = {c.key.id for c in changes if c.key.kind is SetKind.FORWARDING}
        ports: dict[str, list[str]] = {}
        places: dict[str, LinuxWiring] = {}
        for port_id, entry in (self._ledger() if changed else {}).items():
            if entry.wiring.plugin == plugin and entry.attachment.network.id in changed:
                names = wiring.read(entry.wiring)
                places[names.uplink] = names
                ports.setdefault(names.uplink, []).append(port_id)
        tunnels = [n for n, names in places.items() if names.network_type == "vxlan"]
        there = self._bridging.get(tunnels) if tunnels else {}
        return {p for n in there if self.forward(places[n]) for p in ports[n]}

    def _lower(self, names: LinuxWiring) -> str:
        """The device below the way out; a tunnel needs one only to join a group on it."""
        if names.network_type != "vxlan" or not self.settings_of(names).group:
            return names.parent
        holder = self._bridging.holder(self._settings.local_ip)
        if holder is None:
            problem = f"no device of this host has local_ip {self._settings.local_ip}"
            raise DeviceError(facts={"device": names.uplink, "problem": problem}, stage="uplink")
        return holder.link.name

    def _enslave_uplink(self, names: LinuxWiring) -> None:
        tagged = (names.vlan,) if names.vlan and names.vlan != wiring.UNTAGGED else ()
        pvid = wiring.UNTAGGED if names.vlan == wiring.UNTAGGED else None
        port = BridgePort(names.uplink, names.bridge, pvid=pvid, tagged=tagged)
        for error in self._bridging.enslave([port]).values():
            raise error

    def _admit(self, names: LinuxWiring, device: Device | None, bridge: int, mtu: int) -> None:
        """Whether a physical interface may become a port of the bridge."""
        name = names.parent
        if device is None:
            problem = f"the interface of physical network {names.physical_network} does not exist"
            raise DeviceError(facts={"device": name, "problem": problem}, stage="uplink")
        if device.link.mtu < mtu:
            facts = {"wanted": mtu, "have": device.link.mtu, "bottleneck": name}
            raise MtuTooLarge(facts=facts, stage="uplink")
        if device.master == bridge:
            return
        if device.master is not None:
            facts = {"kind": "interface", "name": name, "have": "a port of another bridge"}
            if marks.is_network(device.link.alias):
                facts["ours"] = f"network {marks.network_of(device.link.alias)} of vifd"
            raise NameClash(facts=facts, stage="uplink", hint=_elsewhere(names))
        addresses = self._bridging.addresses(name)
        if addresses and not self._settings.enslave_addressed:
            raise addressed(name, addresses)

    def remove_unused(self, names: LinuxWiring) -> None:
        """Remove what nobody stands on any more, if it is ours: a bridge that has a port besides
        its way out stays, and so does one that a closed port belongs to."""
        if not names.own_bridge:
            return
        there = self._bridging.get([names.bridge, *([names.uplink] if names.uplink else [])])
        bridge = there.get(names.bridge)
        alias = alias_of(names)
        if bridge is not None:
            if bridge.link.alias != alias:
                return
            members = [m.link.name for m in self._bridging.members(names.bridge)]
            if set(members) - {names.uplink} or self._waiting(names.bridge):
                return
        uplink = there.get(names.uplink)
        mine = [d for d in (uplink, bridge) if d is not None and d.link.alias == alias]
        if bridge and uplink and uplink not in mine and uplink.master == bridge.link.ifindex:
            self._bridging.release([names.uplink])
        self._links.delete([device.link.name for device in mine])

    def _waiting(self, bridge: str) -> bool:
        """Whether a tap is there whose port is closed, and will be a port of the bridge."""
        entries = [e.wiring for e in self._ledger().values()]
        devices = [w.device for w in entries if w.details.get("bridge") == bridge]
        there = self._links.get(devices) if devices else {}
        return any(link.alias.startswith(MARK) for link in there.values())


def alias_of(names: LinuxWiring) -> str:
    """The mark of the bridge and of the way out."""
    owner = f"physical:{names.physical_network}" if names.vlan else names.network_id
    return marks.network_alias(owner)


def bridge_spec(names: LinuxWiring, mtu: int) -> BridgeSpec:
    """The bridge as it shall be."""
    return BridgeSpec(
        names.bridge, alias_of(names), mtu, wiring.bridge_mac(names.bridge),
        vlan_filtering=names.vlan is not None,
    )  # fmt: skip


def uplink_spec(
    names: LinuxWiring, settings: Settings, lower: str, mtu: int
) -> VlanSpec | VxlanSpec:
    """The VLAN or VXLAN device as it shall be, over a lower device."""
    alias, number = alias_of(names), names.segmentation_id or 0
    if names.network_type == "vlan":
        return VlanSpec(names.uplink, alias, mtu, lower, number)
    return VxlanSpec(
        names.uplink, alias, mtu, number, settings.local_ip, group=settings.group, parent=lower,
        port=settings.port, ttl=settings.ttl, remotes=settings.remotes,
    )  # fmt: skip


def _at_least(there: Device | None, mtu: int) -> int:
    return mtu if there is None else max(mtu, there.link.mtu)


def bridge_problem(names: LinuxWiring, device: Device | None, mtu: int) -> str:
    """What is not as wanted of a bridge of ours, or the empty string."""
    if device is None:
        return "missing"
    link = device.link
    if link.kind != "bridge" or link.alias != alias_of(names):
        return f"kind {link.kind or 'physical'}, alias {link.alias!r}"
    if not link.up:
        return "down"
    if link.mtu < mtu:
        return f"MTU {link.mtu}"
    if link.ipv6:
        return "IPv6 is on"
    if device.stp:
        return "a spanning tree runs"
    if device.snooping:
        return "it snoops on multicast"
    if device.quiet is False:
        return "it learns from frames that it does not forward"
    aware = names.vlan is not None
    return "" if bool(device.vlan_filtering) == aware else f"VLAN filtering {not aware}"


def port_problem(device: Device) -> str:
    """What keeps frames from leaving by a port that leads out, or from being found again."""
    if device.flood is False:
        return "it floods nothing"
    if device.learning is False:
        return "it learns nothing"
    if device.broadcasts is False:
        return "no frames to all, or to groups, leave by it"
    if device.isolated:
        return "it is isolated"
    return "; ".join(device.stops)


def uplink_problem(
    names: LinuxWiring, device: Device | None, bridge: int, mtu: int, settings: Settings
) -> str:
    """What is not as wanted of the way out, or the empty string."""
    if device is None:
        return "missing"
    link = device.link
    if link.mtu < mtu:
        return f"MTU {link.mtu}"
    if not link.up:
        return "down"
    if device.master != bridge:
        return "not a port of the bridge"
    if problem := port_problem(device):
        return problem
    if names.uplink == names.parent:
        return ""
    if link.alias != alias_of(names):
        return f"alias {link.alias!r}"
    if device.number != names.segmentation_id:
        return f"number {device.number}"
    wanted = (settings.local_ip, settings.group, settings.port)
    if names.network_type == "vxlan" and (device.local, device.group, device.port) != wanted:
        return f"tunnels leave from {device.local}"
    return "IPv6 is on" if link.ipv6 else ""


def _elsewhere(names: LinuxWiring) -> str:
    """What to do about an interface that another bridge has."""
    return (
        f"see which one (ip link show {names.parent}); map that bridge in bridge_mappings instead "
        f"of {names.parent} in physical_interface_mappings, or, if nobody needs it there: "
        f"ip link set {names.parent} nomaster"
    )


def _foreign(names: LinuxWiring, bridge: Device | None) -> None:
    if bridge is None or bridge.link.kind != "bridge":
        facts = {"bridge": names.bridge, "physnet": names.physical_network}
        kind = None if bridge is None else bridge.link.kind or "physical"
        message = f"{names.bridge} is no bridge but a device of kind {kind}" if kind else None
        raise BridgeMissing(message, facts=facts, stage="bridge")


def _clash(device: Device, have: str) -> NameClash:
    facts = {"kind": "bridge", "name": device.link.name, "have": have}
    alias = device.link.alias
    if marks.is_network(alias):
        facts["ours"] = f"network {marks.network_of(alias)} of vifd"
    elif alias.startswith(MARK):
        facts["ours"] = f"port {alias.removeprefix(MARK)[:36]} of vifd"
    return NameClash(facts=facts, stage="bridge")


def addressed(name: str, addresses: list[str]) -> VifError:
    """The refusal to take an interface that the host itself uses."""
    have = f"it has the host's addresses {', '.join(addresses)}"
    return NameClash(
        facts={"kind": "interface", "name": name, "have": have, "addresses": addresses},
        stage="uplink",
        hint=ADDRESSED,
    )
