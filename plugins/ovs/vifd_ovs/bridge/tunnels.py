"""The tunnel ports of the integration bridge: made, read back, and what they stand on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vifd.drivers import Drivers, Ovsdb, PortRow, PortSpec
from vifd.errors import BackendError, MtuTooLarge, NameClash, SegmentTypeUnsupported, VifError
from vifd.model import Attachment
from vifd.plugin import Requirement, Uplink
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.overlay import (
    OVERLAYS,
    Kind,
    Overlay,
    interface_type,
    kind_of,
    port_name,
)


def rows(ovsdb: Ovsdb, bridge: str) -> dict[Kind, PortRow]:
    """Our tunnel ports on a bridge."""
    found = {kind_of(row): row for row in ovsdb.ports(bridge)}
    return {kind: row for kind, row in found.items() if kind is not None}


def ensure(ovsdb: Ovsdb, overlay: Overlay, bridge: str, network_type: str, timeout: float) -> None:
    """Have the tunnel ports that networks of a type need on a bridge; those that are as wanted are
    only read.

    :raises VifError: the type has none here, a port of others has the name, or the switch refuses
    """
    kinds = overlay.kinds(network_type)
    if not kinds:
        raise unserved(network_type, overlay)
    missing = [kind for kind in kinds if problem(ovsdb, overlay, bridge, kind) is not None]
    if not missing:
        return
    for kind in missing:
        _make(ovsdb, overlay, bridge, kind)
    names = [port_name(bridge, kind) for kind in missing]
    found = ovsdb.wait_ports(names, timeout)
    for kind, name in zip(missing, names, strict=True):
        row = found.get(name)
        if row is None or (row.ofport or 0) <= 0:
            text = failure(ovsdb, overlay, kind, row) if row else f"tunnel port {name}: no answer"
            raise BackendError(facts={"backend": "Open vSwitch", "problem": text}, stage="tunnel")


def _make(ovsdb: Ovsdb, overlay: Overlay, bridge: str, kind: Kind) -> None:
    spec = overlay.spec(bridge, kind)
    row = ovsdb.port(spec.name)
    if row is not None and kind_of(row) is None:
        have = f"a port on bridge {row.bridge}"
        facts = {"kind": "port", "name": spec.name, "have": have, **marks.ours(row)}
        raise NameClash(facts=facts, stage="tunnel")
    if row is not None and (_elsewhere(row, spec, bridge) or row.error):
        # what the switch has refused, or what bears an option of others, is made anew
        ovsdb.delete_ports(row.bridge, [spec.name])
    ovsdb.ensure_ports(bridge, [spec])


def _elsewhere(row: PortRow, spec: PortSpec, bridge: str) -> bool:
    extra = row.options.keys() - spec.options.keys()
    return row.bridge != bridge or row.type != spec.type or bool(extra)


def problem(ovsdb: Ovsdb, overlay: Overlay, bridge: str, kind: Kind) -> str | None:
    """What is wrong with a tunnel port, or ``None``."""
    name = port_name(bridge, kind)
    row = ovsdb.port(name)
    if row is None:
        return f"port {name} for {kind} is missing on bridge {bridge}"
    if kind_of(row) != kind or row.type != interface_type(kind) or row.bridge != bridge:
        return f"port {name} has type {row.type or 'system'!r} on bridge {row.bridge}"
    wanted = overlay.spec(bridge, kind)
    if not _options(row, overlay, kind):
        keys = sorted({*row.options, *wanted.options})
        have = {k: row.options.get(k) for k in keys if row.options.get(k) != wanted.options.get(k)}
        return f"port {name} has other options than wanted: {have}"
    if row.tag != wanted.tag or row.vlan_mode or row.trunks:
        return f"port {name} has the tag {row.tag}, not {wanted.tag}"
    if (row.ofport or 0) <= 0:
        return failure(ovsdb, overlay, kind, row)
    return None


def _options(row: PortRow, overlay: Overlay, kind: Kind) -> bool:
    return dict(row.options) == dict(overlay.spec(row.bridge, kind).options)


def failure(ovsdb: Ovsdb, overlay: Overlay, kind: Kind, row: PortRow) -> str:
    """Why the switch does not run a tunnel port. Two that are configured alike cannot be told apart
    when a packet comes, so it takes only one of them: the other is named."""
    rival = _rival(ovsdb, overlay, kind, row.name)
    if rival is not None:
        return (
            f"port {row.name}: {rival.name} on bridge {rival.bridge} is a tunnel of the same kind "
            f"from {overlay.local.get(kind.version)}, and the switch runs one of them: give one of "
            "the two another local_ip or UDP port"
        )
    return f"port {row.name}: {row.error or 'the switch has not made it'}"


def _rival(ovsdb: Ovsdb, overlay: Overlay, kind: Kind, name: str) -> PortRow | None:
    wanted = overlay.spec("", kind).options
    same = ("remote_ip", "local_ip", "dst_port")
    for bridge in ovsdb.bridges():
        for row in ovsdb.ports(bridge):
            alike = all(row.options.get(o, _default(kind, o)) == wanted.get(o) for o in same)
            if row.name != name and row.type == interface_type(kind) and alike:
                return row
    return None


def _default(kind: Kind, option: str) -> str | None:
    """What an option that is not given stands for."""
    ports = {"vxlan": "4789", "geneve": "6081"}
    return ports.get(kind.type) if option == "dst_port" else None


# --- what they stand on ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Underlay:
    """The interface that has an address that tunnels leave from.

    :param device: its name; empty where no interface has the address
    :param up: ``None`` where it cannot be read
    """

    address: str
    device: str = ""
    mtu: int | None = None
    up: bool | None = None

    @property
    def problem(self) -> str:
        """In words why nothing leaves by it; empty where nothing is known."""
        if self.up is None:
            return ""
        if not self.device:
            return f"no interface of this host has local_ip {self.address}"
        return "" if self.up else f"{self.device}, which has local_ip {self.address}, is down"


def underlay(drivers: Drivers, address: str) -> Underlay:
    """Read it; what a bridge's own device lacks of a carrier says nothing of its uplink."""
    if drivers.bridging is None:
        return Underlay(address)
    try:
        holder = drivers.bridging.holder(address)
    except VifError:
        return Underlay(address)
    if holder is None:
        return Underlay(address, up=False)
    link = holder.link
    return Underlay(address, link.name, link.mtu, link.up and link.carrier)


def underlays(drivers: Drivers, overlay: Overlay) -> dict[int, Underlay]:
    """By IP version."""
    return {version: underlay(drivers, address) for version, address in overlay.local.items()}


def largest(overlay: Overlay, kind: Kind, found: Underlay) -> int | None:
    """The largest MTU of a network that a tunnel carries in one piece."""
    return found.mtu - overlay.overhead(kind) if found.mtu else None


def reached(overlay: Overlay, found: Mapping[int, Underlay]) -> dict[str, Uplink]:
    """For the answer of a probe: the network types that can be carried, and by what."""
    return {kind: _uplink(overlay, kind, found) for kind in overlay.served}


def _uplink(overlay: Overlay, network_type: str, found: Mapping[int, Underlay]) -> Uplink:
    kinds = overlay.kinds(network_type)
    all_ = [found[kind.version] for kind in kinds]
    states = {u.up for u in all_}
    # frames go by the one that their endpoint has: all must be there
    up = False if False in states else None if None in states else True
    mtus = [m for k in kinds if (m := largest(overlay, k, found[k.version])) is not None]
    devices = tuple(dict.fromkeys(u.device for u in all_ if u.device))
    return Uplink(
        devices[0] if devices else "", up, min(mtus, default=None), all_[0].address, devices,
        "; ".join(u.problem for u in all_ if u.problem),
    )  # fmt: skip


def lacking(tunnels: Mapping[str, Uplink], offered: Sequence[str]) -> Iterator[str]:
    """For each tunnel that cannot be used now: why, and what to do.

    :param offered: types of interfaces that the switch knows; empty where it does not say
    """
    problems = dict.fromkeys(u.problem for u in tunnels.values() if u.up is False)
    yield from (f"tunnels: {problem}" for problem in problems)
    for kind in tunnels:
        if offered and kind not in offered:
            yield f"network type {kind}: the switch makes no interfaces of that type"


def needs(
    attachment: Attachment, overlay: Overlay, found: Mapping[int, Underlay]
) -> Iterator[Requirement]:
    """What a network needs that leaves the host through tunnels: its type, and its MTU."""
    network_type = attachment.network.segment.network_type
    if network_type not in OVERLAYS:
        return
    served = network_type in overlay.served
    yield Requirement("tunnel", served, unserved(network_type, overlay))
    if attachment.network.segment.segmentation_id is None:
        return
    for kind in overlay.kinds(network_type):
        below = found.get(kind.version, Underlay(overlay.local[kind.version]))
        limit, wanted = largest(overlay, kind, below), attachment.network.mtu
        facts = {"wanted": wanted, "have": limit, "bottleneck": f"{kind} by {below.device}"}
        fits = limit is None or wanted <= limit
        yield Requirement("mtu", fits, MtuTooLarge(facts=facts))


def unserved(network_type: str, overlay: Overlay) -> SegmentTypeUnsupported:
    """The refusal of a network type that has no tunnel here."""
    have = ["local", "flat", "vlan", *overlay.served]
    without = "" if overlay.local else "; no local_ip is configured"
    todo = [] if overlay.local else ["set local_ip to an address of this host"]
    todo += [] if network_type in overlay.types else [f"add {network_type} to tunnel_types"]
    return SegmentTypeUnsupported(
        f"network type {network_type!r} has no tunnel on this host (have {have}){without}",
        facts={"wanted": network_type, "have": have}, stage="segment",
        hint=f"{' and '.join(todo)}, in the plugin's group of agent.conf, and restart vifd",
    )  # fmt: skip
