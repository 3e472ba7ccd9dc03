"""What the facts of a port on a bridge of Open vSwitch say in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from vifd.model import Evidence
from vifd.model.trunks import is_sub_port
from vifd.plugin.meanings import About, Unsure, gate, listed, plain, value, words
from vifd_ovs.bridge.flows import ADMIT
from vifd_ovs.bridge.proofs import FOREIGN

START_SWITCH = (
    "start it (`systemctl status ovs-vswitchd` or `openvswitch-switch`); its log says why it "
    "ended. One that was stopped goes on with `kill -CONT`, one that hangs is started anew. vifd "
    "puts every flow back once it answers"
)


START_DATABASE = (
    "start it (`systemctl status ovsdb-server` or `openvswitch-switch`); one that was stopped goes "
    "on with `kill -CONT`, one that hangs is started anew"
)


KEEP_OFF = (
    "remove that flow, or have its owner keep off this bridge: vifd never touches flows that do "
    "not bear its cookie"
)


TRACE_BY_HAND = "`ovs-appctl ofproto/trace` with the same frame shows every table it goes through"


_PRIORITY = re.compile(r"priority (\d+)")


def database(finding: Evidence, _: About) -> str:
    why = f" ({finding.have})" if isinstance(finding.have, str) else ""
    return (
        f"the database of the switch (ovsdb-server) does not answer{why}; what is said of it is old"
    )


bridge_missing = words("bridge {bridge} does not exist")
switch_silent = words("the switch (ovs-vswitchd) does not answer for bridge {bridge}: {have}")
#: In the words of :mod:`vifd.drivers.openflow_errors`.
NOT_SPOKEN = "it does not speak OpenFlow"
other_protocols = words("the flows of bridge {bridge} cannot be read: {have}")
port_missing = words("the switch has no port {device}: it is not in its database")
port_taken = words("{device} is not a port of its own on {bridge}: its interface stands {have}")
port_elsewhere = words("port {device} is on bridge {have}, wanted {wanted}")
port_error = words("the switch cannot use port {device}: {have}")


def port_number(finding: Evidence, port: About) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    kind = "is asked to have" if finding.fact.endswith("request") else "has"
    return (
        f"port {port.device} {kind} the OpenFlow number {have}, wanted {wanted}: no flow is for "
        "that number"
    )


port_tag = words("the VLAN tag of port {device} is {have}, wanted {wanted}")
port_vlans = words("port {device} does not treat VLANs {wanted}: {have}")
port_stopped = words("an OpenFlow setting stops frames at a switch port: {have}")
limited = words("{device} is limited, and what is more is dropped: {have}")
mirrored = words("a mirror of bridge {bridge} takes or spreads frames: {have}")
mirrored_outside = words("a mirror on the way out of the host takes or spreads frames: {have}")
spanning = words("a spanning tree runs on {have}: it blocks ports, and takes what guests send it")
bounded = words("bridge {bridge} does not take every flow: {have}")
blocked = words("a spanning tree keeps frames from passing: {have}")
kept_apart = words("the way out is cut: the ports {have} of the physical bridge are all protected")
snooping = words("{have} snoops on multicast: what no member asked for is lost, neighbours too")
flooded = words("frames go to every port of the physical bridge, nothing is learned for {have}")
port_twin = words("another port bears the same iface-id: {have}")


def port_ids(finding: Evidence, port: About) -> str:
    have, wanted = finding.have, finding.wanted
    if not isinstance(have, Mapping) or not isinstance(wanted, Mapping):
        return plain(finding, port)
    differing = [k for k in wanted if have.get(k) != wanted[k]]
    texts = [f"{k} is {value(have.get(k))}, wanted {value(wanted[k])}" for k in differing]
    return f"external_ids of port {port.device}: {'; '.join(texts[:3])}"


port_device = words(
    "the switch holds interface {have} as {device}, the device is {wanted}: frames go to a "
    "device that is no more"
)
port_down = words("the switch sees {device} as {have}, wanted up")


_SET = {"flows.port": "of this port", "flows.network": "of its network",
        "flows.bridge": "that all ports share"}  # fmt: skip


def flows_differ(finding: Evidence, port: About) -> str:
    whose = _SET.get(finding.fact, finding.fact)
    missing = _listed(finding.wanted, "missing")
    extra = _listed(finding.have, "not wanted")
    parts = [f"missing: {listed(missing)}"] if missing else []
    parts += [f"not wanted: {listed(extra)}"] if extra else []
    said = "; ".join(parts) or plain(finding, port)
    return f"the flows {whose} on {port.bridge} are not as wanted; {said}"


def _listed(side: Any, key: str) -> list[str]:
    found = side.get(key) if isinstance(side, Mapping) else None
    return [str(text) for text in found or ()]


def foreign_flow(finding: Evidence, port: About) -> str:
    what = str(finding.have).partition(": ")[2]
    kind = finding.fact.partition(".")[2].replace("_", " ")
    return f"a flow that is not vifd's stands above the flows of this port: {what}; it takes {kind}"


def foreign_above(finding: Evidence) -> bool:
    """Whether a trace met a foreign flow that takes frames before any of ours could."""
    if not foreign(finding):
        return False
    found = _PRIORITY.search(str(finding.have))
    return found is not None and int(found[1]) > ADMIT


physical_missing = words("bridge {wanted} of the physical network does not exist")


def names_differ(finding: Evidence, _: About) -> str:
    have, wanted = (v if isinstance(v, dict) else {} for v in (finding.have, finding.wanted))
    told = [f"{k} {value(have.get(k) or 'nothing')}, not {value(v)}" for k, v in wanted.items()]
    return f"what was stored of its network is not what its document says: {'; '.join(told)}"


patch = words("the way from {bridge} to the physical network: {have}")
no_tunnel = words("networks of type {wanted} have no tunnel on this host (have: {have})")
tunnel_port = words("the tunnel from {bridge} to other hosts: {have}")
no_local_ip = words("{have}, the local_ip that tunnels leave from")
tunnel_down = words("the interface that tunnels leave by: {have}")
unreachable_endpoints = words("other hosts of the network cannot be reached: {have}")
tunnel_mtu = words(
    "the underlay carries networks of {have} bytes through the tunnel, this one has {wanted}"
)


def tunnelled(finding: Evidence, _: About) -> str:
    kind = "to" if finding.fact == "tunnel.leaving" else "from"
    return f"a frame {kind} another host: {value(finding.have)}; wanted: {value(finding.wanted)}"


def uplink_gone(finding: Evidence, _: About) -> str:
    was = "" if finding.source == "netlink" else f"; it was {value(finding.wanted)}"
    return f"{value(finding.have)}{was}"


datapaths = words(
    "the bridge of the physical network is of another datapath than the integration bridge, so no "
    "frame passes between them ({have}; {wanted})"
)
untagged = words("the way out takes the tag of the VLAN off, the network has it: {have}")
uplink_vlan = words("the way out does not carry {wanted}: {have}")


def lost_outside(finding: Evidence, _: About) -> str:
    kind = "from the guest" if finding.fact == "uplink.leaving" else "for the guest"
    return f"a frame {kind} is {value(finding.have)}"


foreign_flows = words(
    "flows that are not vifd's take frames of {device}, which are lost or pass unfiltered: {have}"
)
traced = words("a trace of a frame ({kind}): {have}; wanted: {wanted}")


def foreign(finding: Evidence) -> bool:
    """Whether a trace met a flow that is not ours."""
    return FOREIGN in str(finding.have)


def port_sound(have: Mapping[str, Any], port: About) -> str:
    if is_sub_port(port.attachment):
        way = f"VLAN {value(have.get('trunk.vlan'))} of {value(have.get('trunk.parent'))}"
        return f"its frames come and go by {way}; {value(have.get('trunk.device'))}"
    text = f"{port.device} is port {have.get('ovsdb.ofport')} of {have.get('ovsdb.bridge')}"
    return f"{text}, local VLAN {value(have.get('ovsdb.tag'))}"


def flows_sound(have: Mapping[str, Any], port: About) -> str:
    whose = {"flows.port": "its own", "flows.network": "of its network", "flows.bridge": "shared"}
    counts = [f"{have[name]} {word}" for name, word in whose.items() if name in have]
    text = f"{', '.join(counts)}: as wanted"
    if port.passing is not None:
        text += f"; {gate(port, '')}"
    if frames := have.get("flows.frames"):
        # a count in words: "12 let in, 0 dropped, 3 refused as spoofed"
        text += f"; frames of it: {', '.join(f'{n} {word}' for word, n in frames.items())}"
    if (tags := have.get("trunk.tags")) is not None:
        text += f"; {_tagged(tags)}"
    if stand_above := have.get("flows.foreign"):
        # so an earlier version told of them: whether they take what they should not is not known
        above = "; ".join(stand_above)
        return Unsure(f"{text}; flows that are not vifd's stand above: {above}")
    return text


def _tagged(tags: list[int]) -> str:
    """Of a trunk's parent: what becomes of tagged frames."""
    return (
        f"VLANs of sub-ports that are here: {runs(tags) or 'none'}; a frame with any other tag is "
        "dropped here, and counted among those dropped: no sub-port has it"
    )


def runs(numbers: Iterable[int]) -> str:
    """Numbers in a few characters: ``1-3, 7``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    return ", ".join("-".join(map(str, run)) for run in found)
