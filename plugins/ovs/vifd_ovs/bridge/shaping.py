"""The QoS policy of a port as meters and flows. Pure.

Meters, because they hold in the userspace and in the kernel's datapath, both ways, for taps and
sockets, and change under traffic (docs/design/qos.md has what was measured). A flow names one, so
that of two limits of one direction the second stands in a table of its own.

What a guest sends is limited where it comes in, before anything is asked of it: what is refused
counts as well. What it receives is limited last, so that only what it gets counts; of a frame that
goes to several ports each gets a copy, whose fate is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache

from vifd.openflow import action as act
from vifd.openflow import steps
from vifd.openflow.field import IPV4, IPV6, Value
from vifd.openflow.flow import Flow, entry, flow, through
from vifd.openflow.mark import MARK
from vifd.openflow.meters import Meter
from vifd.policy.qos import Limit, Shape, Traffic
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.tables import GIVEN, GIVEN_FURTHER, PORT_REGISTER, SENT

_PORT = 50
#: The highest number that a meter can have (OpenFlow 1.4, 7.3.4.4): no port passes so much.
_MOST = 0xFFFF_FFFF


class Kind(IntEnum):
    """What a meter limits; a part of its number."""

    SENT_BANDWIDTH = 0x10
    SENT_PACKETS = 0x11
    GIVEN_BANDWIDTH = 0x20
    GIVEN_PACKETS = 0x21
    LOGGED = 0x30  #: what is handed to vifd for logs of security groups


#: Each with its name in the evidence, which is the rule's in the enforcement report.
NAMES = {
    Kind.SENT_BANDWIDTH: "qos.bandwidth_limit.egress",
    Kind.SENT_PACKETS: "qos.packet_rate_limit.egress",
    Kind.GIVEN_BANDWIDTH: "qos.bandwidth_limit.ingress",
    Kind.GIVEN_PACKETS: "qos.packet_rate_limit.ingress",
}


def number(kind: Kind, ofport: int) -> int:
    """The number of a port's meter: our mark, the kind, the port."""
    return MARK << 24 | kind << 16 | ofport


def ours(meter: int) -> bool:
    """Whether a meter bears our mark."""
    return meter >> 24 == MARK


@lru_cache(maxsize=2048)
def meters(ofport: int, shape: Shape | None) -> dict[Kind, Meter]:
    """The meters of a port; not to be changed."""
    if shape is None:
        return {}
    wanted = {
        Kind.SENT_BANDWIDTH: shape.egress.bandwidth,
        Kind.SENT_PACKETS: shape.egress.packets,
        Kind.GIVEN_BANDWIDTH: shape.ingress.bandwidth,
        Kind.GIVEN_PACKETS: shape.ingress.packets,
    }
    return {k: _meter(k, ofport, limit) for k, limit in wanted.items() if limit is not None}


def _meter(kind: Kind, ofport: int, limit: Limit) -> Meter:
    packets = kind in (Kind.SENT_PACKETS, Kind.GIVEN_PACKETS)
    rate, burst = (min(value, _MOST) for value in limit)
    return Meter(number(kind, ofport), rate, burst, packets=packets)


def shapes_sent(shape: Shape | None) -> bool:
    """Whether what the port sends goes by :data:`SENT`."""
    return shape is not None and (shape.egress != Traffic() or shape.dscp is not None)


def shapes_given(shape: Shape | None) -> bool:
    """Whether what the port receives goes by :data:`GIVEN`."""
    return shape is not None and shape.ingress != Traffic()


def entrance(ofport: int, shape: Shape | None, judged: int) -> tuple[int, int | None]:
    """The table that what a port sends goes on to, and the meter that it goes through before."""
    if not shapes_sent(shape):
        return judged, None
    packets = meters(ofport, shape).get(Kind.SENT_PACKETS)
    return SENT, packets.id if packets is not None else None


def common_flows() -> Iterator[Flow]:
    """What is the same for every port that is given frames by its register."""
    yield flow(GIVEN, 0, cookies.BRIDGE, [act.output_register(PORT_REGISTER)])


def port_flows(
    cookie: int, ofport: int, shape: Shape, judged: int, *, given: bool = True
) -> Iterator[Flow]:
    """The flows of a port with limits or a mark.

    :param judged: the table in which what it sends is judged
    :param given: also what it receives, which leaves by a switch port of its own
    """
    made = {kind: meter.id for kind, meter in meters(ofport, shape).items()}
    if shapes_sent(shape):
        yield from _sent(cookie, ofport, shape.dscp, made.get(Kind.SENT_BANDWIDTH), judged)
    if given and shapes_given(shape):
        yield from _given(cookie, ofport, shape)


def _sent(
    cookie: int, ofport: int, dscp: int | None, meter: int | None, judged: int
) -> Iterator[Flow]:
    yield through(meter, flow(SENT, _PORT, cookie, goto=judged, in_port=ofport))
    for kind in (IPV4, IPV6) if dscp is not None else ():
        mark = [act.set_field("ip_dscp", dscp or 0)]
        marked = flow(SENT, _PORT + 10, cookie, mark, judged, in_port=ofport, eth_type=kind)
        yield through(meter, marked)


def _given(cookie: int, ofport: int, shape: Shape) -> Iterator[Flow]:
    yield from leading(cookie, ofport, shape)
    table, meter = ending(ofport, shape)
    where: dict[str, Value] = {PORT_REGISTER: ofport}
    yield through(meter, entry(table, _PORT, cookie, where, [act.output(ofport)]))


def leading(cookie: int, ofport: int, shape: Shape | None) -> Iterator[Flow]:
    """The first of two limits of what a port receives."""
    table, _ = ending(ofport, shape)
    if table != GIVEN:
        packets = meters(ofport, shape)[Kind.GIVEN_PACKETS].id
        where: dict[str, Value] = {PORT_REGISTER: ofport}
        yield through(packets, entry(GIVEN, _PORT, cookie, where, goto=table))


def ending(ofport: int, shape: Shape | None) -> tuple[int, int | None]:
    """The table in which what a port receives is given to it, and the meter that it goes through
    there."""
    made = {kind: meter.id for kind, meter in meters(ofport, shape).items()}
    packets, bandwidth = made.get(Kind.GIVEN_PACKETS), made.get(Kind.GIVEN_BANDWIDTH)
    if packets is None or bandwidth is None:
        return GIVEN, packets or bandwidth
    return GIVEN_FURTHER, bandwidth


def marks(flows: Iterable[Flow]) -> list[int]:
    """The DSCP marks that a port's own flows set."""
    said = (step for f in flows if f.table == SENT for step in steps.parse(f.actions))
    fields = (step for step in said if isinstance(step, steps.SetField))
    return sorted({step.number for step in fields if step.field.name == "ip_dscp"})


#: What the plugins on a bridge enforce by this.
FEATURES = frozenset((*NAMES.values(), "qos.dscp_marking.egress"))
