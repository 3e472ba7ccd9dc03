"""What the kernel counted of the frames of ports, by what became of them.

A tap counts what its guest sent and what it took; of what is refused, the rules of the port's own
chains do. Nothing is counted on the way of what passes.

What anti-spoofing refuses, and whatever a closed port sends, is dropped on the tap itself and by
rules that all ports share: of a single port nobody counts that, and so not what passed of what it
sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from vifd.drivers import Links, Nft
from vifd.model.counted import Count, Counted, Reason, Way
from vifd.openflow.counts import Traffic
from vifd_linuxbridge import groupbase, shaping
from vifd_linuxbridge.ruleset import TABLE

UNTOLD = frozenset((Reason.SPOOFED, Reason.CLOSED))
#: Ports of one reading of rules: whoever plugs one waits for no more.
_AT_ONCE = 32
#: Bytes of an Ethernet header, which rules do not count.
_HEAD = 14


def read(links: Links, nft: Nft, devices: Mapping[str, str]) -> dict[str, Counted]:
    """The counters of ports; of one without a device there are none.

    :param devices: by port
    :raises VifError: they cannot be read
    """
    found: dict[str, Counted] = {}
    order = list(devices)
    for start in range(0, len(order), _AT_ONCE):
        some = {port_id: devices[port_id] for port_id in order[start : start + _AT_ONCE]}
        traffic = links.traffic(list(some.values()))
        refused = nft.counted(TABLE, [name for device in some.values() for name in _chains(device)])
        found |= {i: counted(d, traffic[d], refused) for i, d in some.items() if d in traffic}
    return found


def _chains(device: str) -> tuple[str, ...]:
    return (
        groupbase.egress_chain(device), shaping.sent_chain(device),
        groupbase.ingress_chain(device), shaping.given_chain(device),
    )  # fmt: skip


def counted(device: str, traffic: Traffic, refused: Mapping[str, tuple[int, int]]) -> Counted:
    """The counters of a port. Pure.

    :param traffic: what its tap counted
    :param refused: packets and bytes by chain
    """
    out, over, inward, given_over = (_count(refused.get(name)) for name in _chains(device))
    return Counted(
        sent=Way(
            offered=Count(traffic.received, traffic.bytes_received),
            refused={Reason.NO_RULE: out, Reason.LIMITED: over}, untold=UNTOLD,
        ),
        received=Way(
            passed=Count(traffic.sent, traffic.bytes_sent),
            refused={Reason.NO_RULE: inward, Reason.LIMITED: given_over},
        ),
    )  # fmt: skip


def _count(told: tuple[int, int] | None) -> Count:
    packets, octets = told or (0, 0)
    return Count(packets, octets + _HEAD * packets)
