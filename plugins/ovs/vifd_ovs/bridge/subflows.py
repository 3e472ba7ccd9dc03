"""The two ends of a sub-port as flows: where its frames come in, and where they go out. Pure.

They come tagged over the parent's switch port. CLASSIFY takes the tag off and has the packet come
in by the sub-port's own number from there on, so that every table behind is the same for it as for
any other port. What is given to it gets the tag again, is sent out by the parent's port, and is as
it was, because it may go to others too. A packet is never sent back by the port it came in: the
switch holds sub-ports to that by their numbers alone, which are none of the switch's, so it is said
here.
"""

from __future__ import annotations

from collections.abc import Iterator

from vifd.openflow import action as act
from vifd.openflow.field import ICMPV6, IPV6, Value
from vifd.openflow.flow import Flow, entry, flow, through
from vifd_ovs.bridge import cookies, shaping
from vifd_ovs.bridge.overlay import OVERLAYS
from vifd_ovs.bridge.ports import SwitchPort, Via
from vifd_ovs.bridge.tables import (
    ANSWERED,
    CLASSIFY,
    GIVEN,
    LEAST,
    NETWORK_REGISTER,
    PORT_REGISTER,
    SOLICITED,
)

#: Above the parent's guard, which drops what brings a tag.
GUARD = LEAST + 1
#: In tables that give a packet to the port in the register.
_SELF, _PARENT = 70, 60
_PORT = 50


def guard(port: SwitchPort) -> Iterator[Flow]:
    """What the sub-port's VLAN brings is dropped, unless it is admitted."""
    if (via := port.via) is not None:
        yield flow(CLASSIFY, GUARD, port.cookie, in_port=via.ofport, vlan_vid=via.vlan)


def admit(
    port: SwitchPort, via: Via, priority: int, network: bytes, onward: int, meter: int | None
) -> Flow:
    """The frames of its VLAN come in as its own, without the tag.

    :param network: the actions by which a packet is known to be of its network
    """
    own = [act.pop_vlan(), act.come_in(port.ofport), network]
    return through(meter, flow(
        CLASSIFY, priority, port.cookie, own, onward, in_port=via.ofport, vlan_vid=via.vlan,
    ))  # fmt: skip


def _out(via: Via, by: bytes) -> list[act.Action]:
    return [act.push_vlan(), act.set_vlan(via.vlan), by, act.pop_vlan()]


def ends(port: SwitchPort, via: Via) -> Iterator[Flow]:
    """What it is given, and what is answered to it, goes out by the parent's port, tagged."""
    yield from _given(port, via)
    if port.segment[0] in OVERLAYS:
        yield from _answers(port, via)


def _given(port: SwitchPort, via: Via) -> Iterator[Flow]:
    """What it sent itself it is not given; what the parent sends goes back where it came in."""
    where: dict[str, Value] = {PORT_REGISTER: port.ofport}
    yield entry(GIVEN, _SELF, port.cookie, {**where, "in_port": port.ofport})
    yield from shaping.leading(port.cookie, port.ofport, port.limited)
    table, meter = shaping.ending(port.ofport, port.limited)
    yield through(meter, entry(
        table, _PARENT, port.cookie, {**where, "in_port": via.ofport}, _out(via, act.in_port()),
    ))  # fmt: skip
    yield through(meter, entry(
        table, _PORT, port.cookie, where, _out(via, act.output(via.ofport))
    ))  # fmt: skip


# --- answers in networks with tunnels -------------------------------------------------------------

#: Ends an answer to who asked, in networks with sub-ports.
BACK = act.resubmit(table=ANSWERED)


def _answers(port: SwitchPort, via: Via) -> Iterator[Flow]:
    """What is answered here goes back by the parent's port, tagged."""
    out = _out(via, act.output(via.ofport))
    yield flow(ANSWERED, _PORT, port.cookie, out, in_port=port.ofport)
    target = act.move("eth_src", "nd_tll")
    yield flow(SOLICITED, _PORT, port.cookie, [target, *out], in_port=port.ofport, eth_type=IPV6,
               ip_proto=ICMPV6, icmpv6_type=136)  # fmt: skip


def answered(tag: int) -> Flow:
    """Of whoever else asked, in a network with sub-ports."""
    return flow(
        ANSWERED, 0, cookies.network(tag), [act.in_port()], **{NETWORK_REGISTER: tag}
    )  # fmt: skip
