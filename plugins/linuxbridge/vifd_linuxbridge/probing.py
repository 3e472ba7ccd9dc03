"""Probe: whether the plugin can work on this host now, and what its kernel lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from vifd.drivers import Bridging, Device, Links, Nft
from vifd.drivers.nft.objects import Change
from vifd.errors import VifError
from vifd.model import Attachment, FixedIp, Network, Port, Segment
from vifd.plugin import ANSWERS, Health, Probe, Uplink
from vifd.policy.logged import FEATURE, Logged
from vifd.policy.owntags import TRANSPARENT
from vifd.policy.qos import Limit, Shape, Traffic
from vifd.policy.rule import Direction
from vifd_linuxbridge import ruleset, shaping
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.options import Settings

#: Kinds of devices and features of bridges that some networks need.
_FEATURES = ("bridge", "vlan", "vxlan", "vlan_filtering", "guard")


@dataclass(frozen=True)
class Interface:
    """What a physical network is mapped to.

    :param problem: why it cannot be used, or the empty string
    :param mend: what helps where it cannot
    :param up: whether it is there, up, and its link as well
    :param ways: of a bridge, the interfaces by which it leads out
    """

    name: str
    mtu: int | None = None
    problem: str = ""
    up: bool = False
    ways: tuple[str, ...] = ()
    mend: str = ""


@dataclass(frozen=True)
class Ground:
    """What was read of the host.

    :param lacking: feature to reason
    :param taps: why no tap can be made, or the empty string
    :param nft: why the filter cannot be installed, or the empty string
    :param interfaces: by physical network
    :param tunnel_mtu: the MTU of the device that tunnels leave by
    :param tunnel_up: whether it is up, and its link as well
    :param filtered: the settings by which the host's IP filters see bridged frames
    :param untracked: why no port can be held to security groups, or the empty string; ``None``:
        it was not asked
    """

    lacking: dict[str, str] = field(default_factory=dict)
    taps: str = ""
    nft: str = ""
    interfaces: dict[str, Interface] = field(default_factory=dict)
    tunnel_device: str = ""
    tunnel_mtu: int | None = None
    tunnel_up: bool = False
    filtered: tuple[str, ...] = ()
    untracked: str | None = None
    #: why no port can be held to a rate or have its packets marked, or the empty string
    unlimited: str = ""
    #: why no question of a guest is answered here, or the empty string
    unanswered: str = ""
    #: why no packet is logged here, or the empty string
    unlogged: str = ""


def survey(links: Links, bridging: Bridging, nft: Nft, settings: Settings) -> Ground:
    """Read the host."""
    reasons = {feature: bridging.lacking(feature) for feature in _FEATURES}
    holder = bridging.holder(settings.local_ip) if settings.local_ip else None
    problem, untracked, unlimited = _filters(nft)
    return Ground(
        taps=links.tap_problem(),
        lacking={feature: reason for feature, reason in reasons.items() if reason},
        nft=problem,
        interfaces={physnet: _interface(bridging, settings, physnet)
                    for physnet in settings.physnets},
        tunnel_device=holder.link.name if holder else "",
        tunnel_mtu=holder.link.mtu if holder else None,
        tunnel_up=bool(holder and holder.link.up and holder.link.carrier),
        filtered=tuple(bridging.filtered()),
        untracked=untracked,
        unlimited=unlimited,
        unanswered=_unanswered(nft, settings, reasons["guard"] or ""),
        unlogged=nft.deafened() or "",
    )  # fmt: skip


def _unanswered(nft: Nft, settings: Settings, unguarded: str) -> str:
    """Why no question of a guest is answered here. Without a guard on its device a closed port
    would be told of the network."""
    if not settings.arp_responder:
        return (
            "arp_responder is off in [linuxbridge]: questions go to every endpoint of the network"
        )
    return unguarded or nft.unanswerable() or ""


#: Why no sub-port of a trunk is served, before what the kernel lacks.
NO_TRUNK = "a sub-port is a VLAN device above its parent's tap, which cannot be made here"
#: Why no tag of a guest's own passes bridges that look at tags.
_AWARE = (
    "with vlan_aware = true one bridge per physical network tells networks by their tags: a "
    "guest's own is none of its network, and the bridge drops it"
)
_EVERYTHING = Traffic(Limit(1000, 1000), Limit(1000, 1000))
#: What helps where a mapping names what cannot be used.
_CORRECT = (
    "correct physical_interface_mappings or bridge_mappings in [linuxbridge] of agent.conf and "
    "restart vifd"
)
#: What helps where the host itself uses a mapped interface.
ADDRESSED = (
    "use an interface without addresses, put the addresses on a bridge of your own and name it in "
    "bridge_mappings, or set enslave_addressed_interfaces"
)
#: A port of which everything is logged.
TOLD = Judged(1, *2 * (dict.fromkeys(Direction, ()),), "", Logged(accepted=True, dropped=True))
#: A port with every limit and a mark.
LIMITED = Shape(_EVERYTHING, _EVERYTHING, 1)


def _filters(nft: Nft) -> tuple[str, str, str]:
    """Why no filter can be installed, why no port can be held to security groups, and why none to
    a rate. What cannot be told is no reason to do without groups."""
    problem = _rehearse(nft)
    try:
        untracked = nft.untracked() or ""
    except VifError:
        untracked = ""
    limits = "" if problem else _rehearse(nft, LIMITED)
    unlimited = f"the kernel has no limits in nftables (module nft_limit): {limits}"
    return problem, untracked, unlimited if limits else ""


def _rehearse(nft: Nft, shape: Shape | None = None) -> str:
    """Have the kernel judge the whole table with a port in it, and change nothing."""
    sample = Attachment(
        version="1.0",
        port=Port(id="00000000-0000-0000-0000-000000000000", mac_address="02:00:00:00:00:00"),
        network=Network(id="00000000-0000-0000-0000-000000000000", segment=Segment("local")),
        fixed_ips=[FixedIp("192.0.2.1")],
    )
    filter_ = replace(ruleset.port_filter(sample, "vifd-probe", opened=True), shape=shape)
    shared = Change() if shape is None else Change(sets=shaping.SETS, chains=shaping.base())
    try:
        nft.rehearse(ruleset.TABLE, shared | ruleset.install([filter_], ruleset.base(False)))
    except VifError as error:
        return error.message
    return ""


def _interface(bridging: Bridging, settings: Settings, physnet: str) -> Interface:
    foreign = settings.bridges.get(physnet)
    name = foreign or settings.interfaces[physnet]
    device = bridging.get([name]).get(name)
    if device is None:
        real = bridging.real_name(name)
        problem = f"is another name (altname) of {real}: map {real}" if real else "does not exist"
        back = "" if real else f"bring {name} back (ip link show), or "
        return Interface(name, problem=problem, mend=f"{back}{_CORRECT}")
    mtu, up = device.link.mtu, device.link.up and device.link.carrier
    if foreign:
        return _foreign(bridging, device)
    if device.link.kind == "bridge":
        problem = (
            "is a bridge, which cannot be a port of another bridge: map the interface that leads "
            "out of it, or for flat networks map it in bridge_mappings"
        )
        return Interface(name, mtu, problem, up, mend=_CORRECT)
    addresses = bridging.addresses(name)
    if addresses and not settings.enslave_addressed:
        problem = f"has the host's addresses {', '.join(addresses)}"
        return Interface(name, mtu, problem, up, mend=ADDRESSED)
    return Interface(name, mtu, up=up)


def _foreign(bridging: Bridging, device: Device) -> Interface:
    """A bridge of others: as up as what it leads out by. One with nothing but guests on it leads
    nowhere on purpose, and is up as it says itself."""
    link = device.link
    if link.kind != "bridge":
        return Interface(link.name, link.mtu, "is no bridge", link.up, mend=_CORRECT)
    ways = [m.link for m in bridging.members(link.name) if m.link.kind != "tun"]
    up = link.up and (not ways or any(way.up and way.carrier for way in ways))
    return Interface(link.name, link.mtu, up=up, ways=tuple(way.name for way in ways))


def probe(ground: Ground, settings: Settings) -> Probe:
    """The answer: what lacks for good makes the plugin unavailable, what lacks for some networks
    makes it degraded."""
    fatal = list(_fatal(ground))
    lacking = list(_lacking(ground, settings))
    health = Health.UNAVAILABLE if fatal else Health.DEGRADED if lacking else Health.READY
    facts = {
        "kernel": {f: ground.lacking.get(f, "available") for f in _FEATURES},
        "nftables": ground.nft or "available",
        "connection_tracking": ground.untracked or "available",
        "limits": ground.unlimited or "available",
        "arp_responder": ground.unanswered or "available",
        "logging": ground.unlogged or "available",
        "bridge_netfilter": list(ground.filtered),
        "physical_networks": {
            physnet: {"device": i.name, "mtu": i.mtu, "up": i.up, "problem": i.problem or None}
            for physnet, i in ground.interfaces.items()
        },
        "tunnels": {"local_ip": settings.local_ip or None, "device": ground.tunnel_device or None,
                    "mtu": ground.tunnel_mtu},
        "vlan_aware": settings.vlan_aware,
    }  # fmt: skip
    unenforced = {"security_groups": ground.untracked} if ground.untracked else {}
    if unlogged := ground.untracked or ground.unlogged:
        unenforced[FEATURE] = unlogged
    unenforced |= dict.fromkeys(shaping.FEATURES, ground.unlimited) if ground.unlimited else {}
    unenforced |= {TRANSPARENT: _AWARE} if settings.vlan_aware else {}
    if without := ground.lacking.get("vlan") or ground.lacking.get("guard"):
        unenforced["trunk"] = f"{NO_TRUNK}: {without}"
    unenforced |= {ANSWERS: ground.unanswered} if ground.unanswered else {}
    return Probe(
        health, fatal + lacking, facts, _physical(ground), _tunnels(ground, settings),
        unenforced=unenforced,
    )  # fmt: skip


def _physical(ground: Ground) -> dict[str, Uplink]:
    return {physnet: _uplink(interface) for physnet, interface in ground.interfaces.items()}


def _uplink(interface: Interface) -> Uplink:
    name = interface.name
    down = "" if interface.up or interface.mtu is None else "is down or has no carrier"
    problem = " and ".join(filter(None, (interface.problem, down)))
    return Uplink(
        name, interface.up, interface.mtu, devices=(name, *interface.ways),
        problem=f"{name} {problem}" if problem else "",
    )  # fmt: skip


def _tunnels(ground: Ground, settings: Settings) -> dict[str, Uplink]:
    """VXLAN, where this kernel can make it and a device has the endpoint's address."""
    device, underlay = ground.tunnel_device, ground.tunnel_mtu
    if not device or "vxlan" in ground.lacking:
        return {}
    mtu = None if underlay is None else underlay - settings.overhead
    problem = "" if ground.tunnel_up else f"{device} is down or has no carrier"
    up = ground.tunnel_up
    return {"vxlan": Uplink(device, up, mtu, settings.local_ip, (device,), problem)}


def _fatal(ground: Ground) -> Iterator[str]:
    if ground.taps:
        yield ground.taps
    if "bridge" in ground.lacking:
        yield ground.lacking["bridge"]
    if ground.nft:
        yield f"ports cannot be filtered: {ground.nft}"


def _lacking(ground: Ground, settings: Settings) -> Iterator[str]:
    for physnet, interface in ground.interfaces.items():
        if interface.problem:
            yield f"{interface.name} of physical network {physnet} {interface.problem}"
        elif not interface.up:
            yield f"{interface.name} of physical network {physnet} is down or has no carrier"
    if settings.interfaces and settings.vlan_aware and "vlan_filtering" in ground.lacking:
        yield f"vlan_aware is set but {ground.lacking['vlan_filtering']}"
    if settings.interfaces and not settings.vlan_aware and "vlan" in ground.lacking:
        yield f"VLAN networks cannot be served: {ground.lacking['vlan']}"
    if settings.local_ip and "vxlan" in ground.lacking:
        yield f"VXLAN networks cannot be served: {ground.lacking['vxlan']}"
    if settings.local_ip and not ground.tunnel_device:
        yield f"no device of this host has local_ip {settings.local_ip}"
    if settings.arp_responder and ground.unanswered:
        yield f"arp_responder is set but {ground.unanswered}"
    if ground.filtered:
        yield (
            f"{', '.join(ground.filtered)} = 1: the host's own packet filter judges frames between "
            "guests; set it to 0"
        )
