"""The flows of a port, of a network and of a bridge: pure functions of what they serve.

There is no MAC learning and no NORMAL: where a frame may go is known beforehand, so nothing can
grow stale, and a closed port receives nothing even while it stands on the switch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from vifd.errors import BackendError
from vifd.openflow import action as act
from vifd.openflow.field import CONTROLLER, PRIORITY_TAG, TAGGED, UNTAGGED, Value
from vifd.openflow.flow import Flow, entry, flow, through
from vifd_ovs.bridge import admission, antispoof, cookies, joint, shaping, subflows, tunnelflows
from vifd_ovs.bridge.neighbours import NOBODY, Neighbours
from vifd_ovs.bridge.ports import Gate, SwitchPort
from vifd_ovs.bridge.tables import (
    CLASSIFY,
    DELIVER,
    GIVEN,
    INGRESS,
    LEAST,
    LIFE_REGISTER,
    NETWORK_REGISTER,
    PORT_REGISTER,
    PROTOCOL,
    TAGS,
    TAGS_REGISTER,
    TUNNELS,
)

ADMIT, PRIORITY_TAGGED, GUARD, MISS = 100, 95, LEAST, 0  #: priorities in CLASSIFY
SHARED, OWN, MULTICAST, UNKNOWN, NOWHERE = 110, 100, 50, 40, 1  #: priorities in DELIVER

#: An OpenFlow message has 64 KiB and an output 16 bytes; the rest is for head, match and uplink.
OUTPUTS_PER_FLOW = 4000
_OUTPUT_SIZE = 16
#: Open vSwitch gives a packet up at a table lookup after 64 KiB of datapath actions, 8 bytes each.
MOST_MEMBERS = 8000
#: What a member with security groups costs in both: two actions of 16 bytes, and the datapath's for
#: tracking (ct, recirc). The switch looks a packet up 4096 times at most, too.
JUDGED_COST = 6

#: Metadata of a frame that no switch port brings, and no controller sends: the question what would
#: become of a frame that is to be delivered in the network of its register.
QUESTION = 0x7669_6664

_MULTICAST_BIT = "01:00:00:00:00:00/01:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Network:
    """A network on a bridge.

    :param tag: its local VLAN id
    :param segment: network type, physical network, segmentation id
    :param neighbours: ports of others on the same VLAN of the bridge
    :param beyond: whether it has tunnel endpoints
    :param uplink: ofport of the patch port to its physical bridge; ``None`` without one
    :param over: the Ethernet type of its own tag, where it carries tags of its guests beneath
    """

    tag: int
    segment: tuple[str, str | None, int | None]
    uplink: int | None = None
    neighbours: Neighbours = NOBODY
    beyond: bool = False
    over: int = 0

    @property
    def vlan(self) -> int | None:
        """The VLAN id on the physical network; ``None`` for untagged frames."""
        return self.segment[2] if self.segment[0] == "vlan" else None


# --- the bridge -----------------------------------------------------------------------------------


def bridge_flows(
    *, ours: bool, uplinks: Iterable[int] = (), tunnels: Collection[int] = ()
) -> list[Flow]:
    """What belongs to no port and no network.

    :param ours: whether the bridge was made by us, so that what is unknown is dropped; on a bridge
        of others their traffic is not touched
    :param uplinks: ofports of our patch ports: of their traffic only known networks come in
    :param tunnels: the same of our tunnel ports
    """
    flows = [*antispoof.common_flows(), *admission.common_flows(), *joint.common_flows()]
    flows += shaping.common_flows()
    flows.append(
        flow(CLASSIFY, ADMIT, cookies.BRIDGE, goto=DELIVER, in_port=CONTROLLER, metadata=QUESTION)
    )
    flows += [flow(CLASSIFY, GUARD, cookies.BRIDGE, in_port=n) for n in uplinks]
    flows += tunnelflows.bridge_flows(tunnels)
    if ours:
        flows.append(flow(CLASSIFY, MISS, cookies.BRIDGE))
    return flows


# --- a port ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def port_flows(port: SwitchPort) -> tuple[Flow, ...]:
    """The flows of one port; each bears the cookie of its present life.

    The guard drops what is not admitted: everything while the port is closed, frames that bring
    a VLAN tag of their own unless its network carries these. A priority tag (IEEE 802.1Q, 6.9: VLAN
    id 0) is none, and is taken off. A plug asks for the flows of one port four times, hence the
    cache.
    """
    if port.gate is Gate.LEAVING:
        return (*_own(port), *_limits(port))
    if port.is_open:
        return (*port_flows(replace(port, gate=Gate.CLOSED)), *_admit(port), *_own(port))
    guard = [flow(CLASSIFY, GUARD, port.cookie, in_port=port.ofport)]
    if port.sub is not None:
        guard = [*subflows.guard(port)]
    if port.gate is Gate.GUARDED:
        return (*guard, *_limits(port))
    filters = antispoof.port_flows(port) if port.secured else ()
    # what is for nobody is dropped anyhow; this one counts it
    nowhere = flow(DELIVER, NOWHERE, port.cookie, in_port=port.ofport)
    return (*guard, nowhere, *filters, *_limits(port))


def _limits(port: SwitchPort) -> Iterator[Flow]:
    if port.via is not None and port.gate is not Gate.GUARDED:
        yield from subflows.ends(port, port.via)
    if (shape := port.limited) is not None:
        yield from shaping.port_flows(
            port.cookie, port.ofport, shape, _judges(port), given=port.sub is None
        )


def _judges(port: SwitchPort) -> int:
    """The table in which what a port sends is judged."""
    if port.secured:
        return PROTOCOL
    return DELIVER if port.over else TAGS


def _admit(port: SwitchPort) -> Iterator[Flow]:
    network = act.set_field(NETWORK_REGISTER, port.tag)
    if port.groups is not None:
        network += act.set_field(PORT_REGISTER, port.ofport)
        network += act.set_field(LIFE_REGISTER, joint.life(port.generation, port.ofport))
    tags = act.set_field(TAGS_REGISTER, 1) if port.over and port.secured else b""
    onward, meter = shaping.entrance(port.ofport, port.shape, _judges(port))
    if port.sub is not None:
        if port.via is not None:
            yield subflows.admit(port, port.via, ADMIT, network + tags, onward, meter)
        return
    yield through(meter, flow(
        CLASSIFY, ADMIT, port.cookie, [network], onward, in_port=port.ofport,
        vlan_vid=UNTAGGED,
    ))  # fmt: skip
    if port.over:
        yield through(meter, flow(
            CLASSIFY, PRIORITY_TAGGED, port.cookie, [network + tags], onward, in_port=port.ofport,
            vlan_vid=TAGGED,
        ))  # fmt: skip
        return
    yield through(meter, flow(
        CLASSIFY, PRIORITY_TAGGED, port.cookie, [act.pop_vlan(), network], onward,
        in_port=port.ofport, vlan_vid=PRIORITY_TAG,
    ))  # fmt: skip


def _own(port: SwitchPort) -> Iterator[Flow]:
    """What is for the port alone."""
    here: dict[str, Value] = {NETWORK_REGISTER: port.tag, "eth_dst": port.mac}
    asked = _asked(port)
    if asked is None:
        yield entry(DELIVER, OWN, port.cookie, here, [act.output(port.ofport)], None)
        return
    receiver = act.set_field(PORT_REGISTER, port.ofport)
    yield entry(DELIVER, OWN, port.cookie, here, [receiver], asked)
    if port.groups is not None:
        life = joint.life(port.generation, port.ofport)
        yield from joint.port_flows(port.cookie, port.tag, port.mac, port.ofport, life)


def _asked(port: SwitchPort) -> int | None:
    """The table that decides on what the port receives; ``None`` where it receives everything."""
    if port.groups is not None:
        return INGRESS
    return GIVEN if port.sub is not None or shaping.shapes_given(port.shape) else None


# --- a network ------------------------------------------------------------------------------------


def network_flows(network: Network, members: Iterable[SwitchPort]) -> list[Flow]:
    """The flows of a network on this bridge; none while no port of it is open.

    :param members: its ports; those that receive nothing do not count
    :raises BackendError: they are more than the switch can flood to
    """
    present = sorted((m for m in members if m.receives), key=lambda m: m.ofport)
    if not present:
        return []
    judged = {m.ofport: _handed(m) for m in present if _asked(m) is not None}
    if len(present) + (JUDGED_COST - 1) * len(judged) > MOST_MEMBERS:
        problem = f"{len(present)} open ports on one network, {MOST_MEMBERS} is the most"
        if judged:
            problem += (
                f", and each of {len(judged)} with security groups or limits counts "
                f"{JUDGED_COST}-fold"
            )
        raise BackendError(facts={"backend": "Open vSwitch", "problem": problem})
    uplink = to_uplink(network)
    others = network.neighbours.without({m.ofport for m in present})
    uplink = others.tail or uplink
    everyone = [*(m.ofport for m in present), *others.plain]
    unsecured = [*(m.ofport for m in present if not m.secured), *others.plain]
    flows = _from_uplink(network)
    for mac, holders in sorted(shared_macs(present).items()):
        # who uses it now may be on another host, or in another program
        flows += _deliver(network, SHARED, [*holders, *others.plain], uplink, judged, eth_dst=mac)
        if any(m.groups is not None for m in present):
            flows.append(joint.anybodys(cookies.network(network.tag), network.tag, mac))
    flows += _deliver(network, MULTICAST, everyone, uplink, judged, eth_dst=_MULTICAST_BIT)
    if unsecured or uplink or network.beyond:
        flows += _deliver(network, UNKNOWN, unsecured, uplink, judged)
    return flows


def _from_uplink(network: Network) -> list[Flow]:
    if network.uplink is None:
        return []
    flat: list[Value] = [UNTAGGED, PRIORITY_TAG]
    return [
        flow(
            CLASSIFY, ADMIT, cookies.network(network.tag),
            [*([] if vlan == UNTAGGED else [act.pop_vlan()]),
             act.set_field(NETWORK_REGISTER, network.tag)],
            goto=DELIVER, in_port=network.uplink, vlan_vid=vlan,
        )
        for vlan in (flat if network.vlan is None else [network.vlan])
    ]  # fmt: skip


def to_uplink(network: Network) -> bytes:
    """The actions that send a frame out to the segment; they change it, so they come last."""
    if network.uplink is None:
        return b""
    out = act.output(network.uplink)
    if network.vlan is None:
        return out
    tag = act.push_vlan(network.over) if network.over else act.push_vlan()
    return tag + act.set_vlan(network.vlan) + out


def shared_macs(members: Sequence[SwitchPort]) -> dict[str, list[int]]:
    """MACs that cannot be told to belong to one port alone, with the ports that may use them."""
    if len({m.mac for m in members}) == len(members) and all(len(m.allowed) == 1 for m in members):
        return {}  # nobody may use another MAC than its own, and all differ
    holders: dict[str, set[int]] = {}
    foreign: set[str] = set()
    for member in members:
        for mac in {member.mac, *(pair.mac for pair in member.allowed)}:
            holders.setdefault(mac, set()).add(member.ofport)
            if mac != member.mac:
                foreign.add(mac)
    return {
        mac: sorted(ports) for mac, ports in holders.items() if mac in foreign or len(ports) > 1
    }


def _deliver(
    network: Network, priority: int, ports: Sequence[int], tail: bytes,
    judged: Mapping[int, bytes], **match: str,
) -> list[Flow]:  # fmt: skip
    """One flow with all outputs, or a chain of flows where they exceed an OpenFlow message.

    :param judged: of ports with security groups or limits, the actions that have these asked
    """
    chunks = [*_chunks(ports, judged)]
    last = len(chunks) - 1
    beyond = TUNNELS if network.beyond else None
    return [
        flow(
            DELIVER + i, priority, cookies.network(network.tag),
            [*(judged.get(n) or act.output(n) for n in chunk), *([tail] if i == last else [])],
            goto=beyond if i == last else DELIVER + i + 1,
            **{NETWORK_REGISTER: network.tag}, **match,
        )
        for i, chunk in enumerate(chunks)
    ]  # fmt: skip


def _handed(port: SwitchPort) -> bytes:
    """The actions that have what decides on a port's frames asked about one that goes to others as
    well."""
    asked = GIVEN if port.groups is None else INGRESS
    actions = [act.set_field(PORT_REGISTER, port.ofport), act.resubmit(table=asked)]
    return act.copied(actions) if shaping.shapes_given(port.shape) else b"".join(actions)


def _chunks(ports: Sequence[int], judged: Mapping[int, bytes]) -> Iterator[list[int]]:
    """The ports in as many flows as it takes, those without rules first."""
    chunk: list[int] = []
    room = OUTPUTS_PER_FLOW
    for number in sorted(ports, key=lambda n: n in judged):
        cost = len(judged[number]) // _OUTPUT_SIZE if number in judged else 1
        if room < cost:
            yield chunk
            chunk, room = [], OUTPUTS_PER_FLOW
        chunk.append(number)
        room -= cost
    yield chunk
