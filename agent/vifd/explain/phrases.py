"""What findings are in words: what is there, and what should be. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vifd.explain.subject import Subject
from vifd.model import Evidence
from vifd.plugin import meanings
from vifd.plugin.meanings import value

#: How a plugin begins what a trace found when it met a flow of others.
FOREIGN = "a flow that is not ours took it"

START_SWITCH = (
    "start it (`systemctl status ovs-vswitchd` or `openvswitch-switch`); its log says why it "
    "ended. vifd puts every flow back once it answers"
)
START_DATABASE = "start it (`systemctl status ovsdb-server` or `openvswitch-switch`)"
MAP_AND_RESTART = (
    "add the physical network to the mappings in the plugin's group of agent.conf "
    "(`bridge_mappings`) and restart vifd, or unplug the port"
)
TRACE_BY_HAND = "`ovs-appctl ofproto/trace` with the same frame shows every table it goes through"

#: The priority of our flow that lets a port's frames in: flows of others above it come first.
ADMIT = 100
_PRIORITY = re.compile(r"priority (\d+)")

Sentence = Callable[[Evidence, Subject], str]


def plain(finding: Evidence, _: Subject) -> str:
    """A fact without a sentence of its own."""
    return meanings.plain(finding)


# --- the device -----------------------------------------------------------------------------------


def device_missing(_: Evidence, subject: Subject) -> str:
    return f"the device {subject.device} does not exist"


def device_anew(finding: Evidence, subject: Subject) -> str:
    return (
        f"{subject.device} was deleted and made anew by another program: it is interface "
        f"{value(finding.have)}, and {value(finding.wanted)} was plugged; what holds the old one "
        "passes nothing"
    )


def device_mark(finding: Evidence, subject: Subject) -> str:
    return (
        f"{subject.device} does not bear the mark of this port: its alias is "
        f"{value(finding.have)!r}, wanted {value(finding.wanted)!r}"
    )


def device_down(_: Evidence, subject: Subject) -> str:
    return f"{subject.device} is down, wanted up"


def device_ipv6(_: Evidence, subject: Subject) -> str:
    return (
        f"IPv6 is on for {subject.device}, wanted off: the host would speak with the guest's MAC "
        "address"
    )


def device_queues(finding: Evidence, subject: Subject) -> str:
    have, wanted = ("several queues" if side else "one queue"
                    for side in (finding.have, finding.wanted))  # fmt: skip
    return f"{subject.device} is a device for {have}, wanted {wanted}"


def device_value(what: str, unit: str = "") -> Sentence:
    """A sentence for a property of the device."""

    def sentence(finding: Evidence, subject: Subject) -> str:
        have, wanted = value(finding.have), value(finding.wanted)
        return f"{what} of {subject.device} is {have}, wanted {wanted} {unit}".rstrip()

    return sentence


def socket_deleted(_: Evidence, subject: Subject) -> str:
    path = subject.details.get("socket") or "of the port"
    return f"the socket {path} was deleted under its guest: the switch cannot find the guest"


def socket(_: Evidence, subject: Subject) -> str:
    path = subject.details.get("socket") or "of the port"
    return f"the socket {path} is missing"


# --- the switch -----------------------------------------------------------------------------------


def database(finding: Evidence, _: Subject) -> str:
    why = f" ({finding.have})" if isinstance(finding.have, str) else ""
    return (
        f"the database of the switch (ovsdb-server) does not answer{why}; what is said of it is old"
    )


def bridge_missing(_: Evidence, subject: Subject) -> str:
    return f"bridge {subject.bridge} does not exist"


def switch_silent(finding: Evidence, subject: Subject) -> str:
    return (
        f"the switch (ovs-vswitchd) does not answer for bridge {subject.bridge}: "
        f"{value(finding.have)}"
    )


def linux_bridge(finding: Evidence, subject: Subject) -> str:
    return f"bridge {subject.bridge}: {value(finding.have)}"


# --- the port on the switch -----------------------------------------------------------------------


def port_missing(_: Evidence, subject: Subject) -> str:
    return f"the switch has no port {subject.device}: it is not in its database"


def port_elsewhere(finding: Evidence, subject: Subject) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    return f"port {subject.device} is on bridge {have}, wanted {wanted}"


def port_error(finding: Evidence, subject: Subject) -> str:
    return f"the switch cannot use port {subject.device}: {value(finding.have)}"


def port_number(finding: Evidence, subject: Subject) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    kind = "is asked to have" if finding.fact.endswith("request") else "has"
    return (
        f"port {subject.device} {kind} the OpenFlow number {have}, wanted {wanted}: no flow is for "
        "that number"
    )


def port_tag(finding: Evidence, subject: Subject) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    return f"the VLAN tag of port {subject.device} is {have}, wanted {wanted}"


def port_vlans(finding: Evidence, subject: Subject) -> str:
    return f"port {subject.device} does not treat VLANs {value(finding.wanted)}: {finding.have}"


def port_stopped(finding: Evidence, _: Subject) -> str:
    return f"an OpenFlow setting stops frames at a switch port: {value(finding.have)}"


def port_stops(finding: Evidence, subject: Subject) -> str:
    return f"{subject.device} passes nothing as a port of {subject.bridge}: {value(finding.have)}"


def mapped_down(_: Evidence, subject: Subject) -> str:
    return f"bridge {subject.bridge} is down"


def snooping(_: Evidence, subject: Subject) -> str:
    return (
        f"bridge {subject.bridge} snoops on multicast: frames to groups, of IPv6 neighbour "
        "discovery among them, may be lost"
    )


def put_on_device(finding: Evidence, _: Subject) -> str:
    return f"other software put something on the device: {value(finding.have)}"


def filter_of_others(finding: Evidence, subject: Subject) -> str:
    return f"filters of other software see frames of {subject.device}: {value(finding.have)}"


_WAYS = {
    "security_groups.egress": " for what the guest sends",
    "security_groups.ingress": " for what is sent to the guest",
}


def awaits_set(finding: Evidence, subject: Subject) -> str:
    way = _WAYS.get(finding.fact, "")
    return (
        f"{subject.device} stays closed{way} but for what every guest may do: it "
        f"{value(finding.have)}, which nobody has said on this host"
    )


def port_twin(finding: Evidence, _: Subject) -> str:
    return f"another port bears the same iface-id: {value(finding.have)}"


def port_ids(finding: Evidence, subject: Subject) -> str:
    have, wanted = finding.have, finding.wanted
    if not isinstance(have, Mapping) or not isinstance(wanted, Mapping):
        return plain(finding, subject)
    differing = [k for k in wanted if have.get(k) != wanted[k]]
    texts = [f"{k} is {value(have.get(k))}, wanted {value(wanted[k])}" for k in differing]
    return f"external_ids of port {subject.device}: {'; '.join(texts[:3])}"


def port_device(finding: Evidence, subject: Subject) -> str:
    return (
        f"the switch holds interface {value(finding.have)} as {subject.device}, the device is "
        f"{value(finding.wanted)}: frames go to a device that is no more"
    )


def port_down(finding: Evidence, subject: Subject) -> str:
    return f"the switch sees {subject.device} as {value(finding.have)}, wanted up"


def not_enslaved(_: Evidence, subject: Subject) -> str:
    return f"{subject.device} is not a port of bridge {subject.bridge}"


# --- flows, filter, uplink, proof -----------------------------------------------------------------

_SET = {"flows.port": "of this port", "flows.network": "of its network",
        "flows.bridge": "that all ports share"}  # fmt: skip


def flows_differ(finding: Evidence, subject: Subject) -> str:
    whose = _SET.get(finding.fact, finding.fact)
    missing = _listed(finding.wanted, "missing")
    extra = _listed(finding.have, "not wanted")
    parts = [f"missing: {_first(missing)}"] if missing else []
    parts += [f"not wanted: {_first(extra)}"] if extra else []
    said = "; ".join(parts) or plain(finding, subject)
    return f"the flows {whose} on {subject.bridge} are not as wanted; {said}"


def _listed(side: Any, key: str) -> list[str]:
    found = side.get(key) if isinstance(side, Mapping) else None
    return [str(text) for text in found or ()]


def _first(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f"{texts[0]}{more}"


def foreign_flow(finding: Evidence, subject: Subject) -> str:
    what = str(finding.have).partition(": ")[2]
    kind = finding.fact.partition(".")[2].replace("_", " ")
    return f"a flow that is not vifd's stands above the flows of this port: {what}; it takes {kind}"


def above_ours(finding: Evidence) -> bool:
    """Whether a trace met a foreign flow that takes frames before any of ours could."""
    found = _PRIORITY.search(str(finding.have))
    return found is not None and int(found[1]) > ADMIT


def filter_silent(finding: Evidence, _: Subject) -> str:
    return f"the packet filter cannot be read: {value(finding.have)}"


def filter_differs(finding: Evidence, subject: Subject) -> str:
    part = finding.fact.partition(".")[2]
    if isinstance(finding.have, bool):
        there = "is" if finding.have else "is not"
        wanted = "should be" if finding.wanted else "should not be"
        return f"{subject.device} {there} in the set {part!r} of table vifd, and {wanted}"
    own = {"rules": f"chain {subject.device}", "targets": f"chain {subject.device}-nd"}
    name = own.get(part, f"chain {part}")
    have = finding.have if isinstance(finding.have, list) else [finding.have]
    if have == ["missing"]:
        return f"{name} of table vifd is gone"
    return f"{name} of table vifd is not as wanted: {_first([value(h) for h in have] or ['empty'])}"


def unmapped(finding: Evidence, subject: Subject) -> str:
    physnet = subject.record.doc.attachment.network.segment.physical_network
    return (
        f"physical network {physnet} is not mapped on this host (mapped: {value(finding.have)}): "
        "the configuration says no more where it leaves"
    )


def physical_missing(finding: Evidence, _: Subject) -> str:
    return f"bridge {value(finding.wanted)} of the physical network does not exist"


def names_differ(finding: Evidence, _: Subject) -> str:
    have, wanted = (v if isinstance(v, dict) else {} for v in (finding.have, finding.wanted))
    told = [f"{k} {value(have.get(k) or 'nothing')}, not {value(v)}" for k, v in wanted.items()]
    return f"what was stored of its network is not what its document says: {'; '.join(told)}"


def patch(finding: Evidence, subject: Subject) -> str:
    return f"the way from {subject.bridge} to the physical network: {value(finding.have)}"


def no_tunnel(finding: Evidence, _: Subject) -> str:
    return (
        f"networks of type {value(finding.wanted)} have no tunnel on this host "
        f"(have: {value(finding.have)})"
    )


def tunnel_port(finding: Evidence, subject: Subject) -> str:
    return f"the tunnel from {subject.bridge} to other hosts: {value(finding.have)}"


def no_local_ip(finding: Evidence, _: Subject) -> str:
    return f"{value(finding.have)}, the local_ip that tunnels leave from"


def tunnel_down(finding: Evidence, _: Subject) -> str:
    return f"the interface that tunnels leave by: {value(finding.have)}"


def unreachable_endpoints(finding: Evidence, _: Subject) -> str:
    return f"other hosts of the network cannot be reached: {value(finding.have)}"


def tunnel_mtu(finding: Evidence, _: Subject) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    return (
        f"the underlay carries networks of {have} bytes through the tunnel, this one has {wanted}"
    )


def tunnelled(finding: Evidence, _: Subject) -> str:
    kind = "to" if finding.fact == "tunnel.leaving" else "from"
    return f"a frame {kind} another host: {value(finding.have)}; wanted: {value(finding.wanted)}"


def uplink_down(finding: Evidence, _: Subject) -> str:
    return f"the interface to the physical network has no carrier: {value(finding.have)}"


def uplink_gone(finding: Evidence, _: Subject) -> str:
    return f"{value(finding.have)}; it was {value(finding.wanted)}"


def uplink_vlan(finding: Evidence, _: Subject) -> str:
    return f"the way out does not carry {value(finding.wanted)}: {value(finding.have)}"


def lost_outside(finding: Evidence, _: Subject) -> str:
    kind = "from the guest" if finding.fact == "uplink.leaving" else "for the guest"
    return f"a frame {kind} is {value(finding.have)}"


def foreign_flows(finding: Evidence, subject: Subject) -> str:
    return (
        f"flows that are not vifd's take frames of {subject.device}, which are lost or pass "
        f"unfiltered: {value(finding.have)}"
    )


def uplink_mtu(finding: Evidence, _: Subject) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    return f"the interface to the physical network carries {have} bytes, the network has {wanted}"


def uplink(finding: Evidence, subject: Subject) -> str:
    name = subject.details.get("uplink") or "the way out"
    return f"{name}: {value(finding.have)}, wanted {value(finding.wanted)}"


def held_by_stranger(finding: Evidence, subject: Subject) -> str:
    return f"{subject.device} is held open by {finding.have}, which is no guest of this port"


def guest_lost(finding: Evidence, _: Subject) -> str:
    return f"guest {value(finding.have)}: it holds one that is no more"


def traced(finding: Evidence, _: Subject) -> str:
    kind = finding.fact.partition(".")[2].replace("_", " ")
    return f"a trace of a frame ({kind}): {value(finding.have)}; wanted: {value(finding.wanted)}"
