"""What the switch counted of the frames of ports, by what became of them.

What a guest sends in all and what it is given its port counts; the flows that refuse a frame belong
to the port that it is of, and count as well. Nothing is counted on the way of what passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from vifd.drivers import Drivers
from vifd.errors import VifError
from vifd.model.counted import Count, Counted, Reason, Way
from vifd.openflow.counts import Dropped, Traffic
from vifd.openflow.flow import Flow
from vifd_ovs.bridge import shaping, subflows
from vifd_ovs.bridge.flows import GUARD, NOWHERE
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.shaping import Kind
from vifd_ovs.bridge.tables import CLASSIFY, DELIVER, EGRESS_REFUSED, INGRESS_REFUSED, SPOOFED
from vifd_ovs.bridge.wantedmeters import limits

#: Seconds that the switch has to write what its datapath counted into its tables: it does so twice
#: a second.
_PATIENCE = 2.0
_SENT_LIMITS = (Kind.SENT_BANDWIDTH, Kind.SENT_PACKETS)
_GIVEN_LIMITS = (Kind.GIVEN_BANDWIDTH, Kind.GIVEN_PACKETS)


def read(drivers: Drivers, bridge: str, ports: Sequence[SwitchPort]) -> dict[str, Counted]:
    """The counters of ports on a bridge; of one that the switch does not have there are none.

    What came is read before what was refused, so that this is never more.

    :raises VifError: they cannot be read
    """
    openflow = drivers.openflow
    traffic = openflow.traffic(bridge)
    with contextlib.suppress(VifError):  # then what the tables say is older
        drivers.tracer.settle(_PATIENCE)
    flows = openflow.dump_each(bridge, [port.cookie for port in ports])
    numbers = limits(ports)
    dropped = openflow.dropped(bridge, numbers) if numbers else {}
    found = {}
    for port in ports:
        own = flows.get(port.cookie, ())
        passed = _of_flows(port, own) if port.sub is not None else traffic.get(port.ofport)
        if passed is not None:
            found[port.id] = counted(port, passed, own, dropped)
    return found


def _of_flows(port: SwitchPort, flows: Collection[Flow]) -> Traffic | None:
    """What passed a sub-port, which is no port of the switch, by where it comes in and goes out."""
    table, _ = shaping.ending(port.ofport, port.limited)
    came = _sum(f for f in flows if f.table == CLASSIFY)
    went = _sum(f for f in flows if f.table == table and f.actions)
    return Traffic(came.packets, went.packets, came.bytes, went.bytes) if flows else None


def counted(
    port: SwitchPort, traffic: Traffic, flows: Collection[Flow], dropped: Mapping[int, Dropped]
) -> Counted:
    """The counters of a port. Pure.

    :param traffic: what its switch port counted
    :param flows: its own
    :param dropped: by its meters
    """
    guard = GUARD if port.sub is None else subflows.GUARD
    sent = {
        Reason.SPOOFED: _sum(f for f in flows if f.table == SPOOFED),
        Reason.NO_RULE: _sum(f for f in flows if f.table == EGRESS_REFUSED),
        Reason.NO_WAY: _sum(f for f in flows if (f.table, f.priority) == (DELIVER, NOWHERE)),
        Reason.CLOSED: _sum(f for f in flows if (f.table, f.priority) == (CLASSIFY, guard)),
        Reason.LIMITED: _limited(port, dropped, _SENT_LIMITS),
    }
    received = {
        Reason.NO_RULE: _sum(f for f in flows if f.table == INGRESS_REFUSED),
        Reason.LIMITED: _limited(port, dropped, _GIVEN_LIMITS),
    }
    return Counted(
        sent=Way(offered=Count(traffic.received, traffic.bytes_received), refused=sent),
        received=Way(passed=Count(traffic.sent, traffic.bytes_sent), refused=received),
    )


def _sum(flows: Iterable[Flow]) -> Count:
    return sum((Count(f.packets, f.octets) for f in flows), Count())


def _limited(port: SwitchPort, dropped: Mapping[int, Dropped], kinds: Collection[Kind]) -> Count:
    numbers = (m.id for k, m in shaping.meters(port.ofport, port.limited).items() if k in kinds)
    return sum((Count(*dropped[n]) for n in numbers if n in dropped), Count())
