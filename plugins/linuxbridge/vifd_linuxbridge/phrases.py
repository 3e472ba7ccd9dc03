"""What the facts of a port on a bridge of the kernel say in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vifd.model import Evidence
from vifd.plugin.meanings import About, gate, listed, value, words

linux_bridge = words("bridge {bridge}: {have}")
port_stops = words("frames are lost at {device} as a port of {bridge}: {have}")


def way_out(finding: Evidence, port: About) -> str:
    have, name = value(finding.have), port.details.get("uplink")
    if have == "missing" and name:
        have = f"this host has no interface {name} (renamed, pulled or deleted)"
    return f"the way from {port.bridge} out of the host: {have}"


mapped_down = words("bridge {bridge} is down")
snooping = words(
    "bridge {bridge} snoops on multicast: frames to groups, of IPv6 neighbour discovery among"
    " them, may be lost"
)
guard_barred = words(
    "other software has put {have} on {device}, in the place of vifd's guard: if the packet filter"
    " is flushed, nothing holds the guest until vifd has mended it"
)
filter_of_others = words("filters of other software see frames of {device}: {have}")
not_enslaved = words("{device} is not a port of bridge {bridge}")
filter_silent = words("the packet filter cannot be read: {have}")


def unanswered(finding: Evidence, port: About) -> str:
    if finding.fact == "nft.asks":
        return (
            f"what {port.device} asks (ARP, neighbour discovery) is answered about {finding.have},"
            f" and should be about {finding.wanted}"
        )
    return f"what is answered about the port's network (table netdev vifd-answers): {finding.have}"


def filter_differs(finding: Evidence, port: About) -> str:
    part = finding.fact.partition(".")[2]
    if isinstance(finding.have, bool):
        there = "is" if finding.have else "is not"
        wanted = "should be" if finding.wanted else "should not be"
        return f"{port.device} {there} in the set {part!r} of table vifd, and {wanted}"
    own = {
        "rules": f"chain {port.device}", "targets": f"chain {port.device}-nd",
        "sent": f"chain {port.device}-out", "received": f"chain {port.device}-in",
        "groups": "what the rules of its security groups are", "zone": "the zone of its network",
        "tracking": "what ports with security groups share",
    }  # fmt: skip
    name = own.get(part, f"chain {part}")
    have = finding.have if isinstance(finding.have, list) else [finding.have]
    if have == ["missing"]:
        return f"{name} of table vifd is gone"
    return f"{name} of table vifd is not as wanted: {listed([value(h) for h in have] or ['empty'])}"


def port_sound(have: Mapping[str, Any], port: About) -> str:
    if "trunk.parent" in have:
        way = f"VLAN {value(have.get('trunk.vlan'))} of {value(have['trunk.parent'])}"
        where = f"port of {port.bridge}" if "bridge.port" in have else "port of no bridge: closed"
        return f"its frames come and go by {way}: VLAN device {port.device}, {where}"
    if "bridge.port" in have:
        return f"{port.device} is a port of {port.bridge}"
    return f"{port.device} is closed, and a port of no bridge"


def filter_sound(have: Mapping[str, Any], port: About) -> str:
    rules = have.get("nft.rules")
    own = f"{rules} rules in chain {port.device}" if rules is not None else "rules"
    return f"{own}: as wanted; {gate(port, 'not known whether open')}"
