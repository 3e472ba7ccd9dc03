"""What a QoS policy holds a port to, as data that each back end translates. Pure.

Directions are the guest's: egress is what it sends. Where a policy has several limits of one kind
and direction, the lowest counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vifd.model import Attachment, QosPolicy, QosRule

#: Of the rate, what may come at once where the rule says nothing: what TCP needs to reach the rate,
#: and what the Networking API's documentation advises (``config-qos.rst``).
_BURST = 0.8
#: Bytes of a frame beside the packet: head, and two VLAN tags.
_HEAD = 14 + 8
#: Ports of the network service itself: the policy of a network does not hold for them.
_SERVICE = "network:"


class Limit(NamedTuple):
    """So much, and no more.

    :param rate: kbit (1,000 bits) or packets per second, from 1
    :param burst: kbit or packets that may come at once
    """

    rate: int
    burst: int


class Traffic(NamedTuple):
    """What one direction is held to; ``None`` is not limited."""

    bandwidth: Limit | None = None
    packets: Limit | None = None


class Shape(NamedTuple):
    """What a port is held to.

    :param dscp: the mark (RFC 2474) that every IP packet of the guest gets
    """

    egress: Traffic = Traffic()
    ingress: Traffic = Traffic()
    dscp: int | None = None


def policy_of(attachment: Attachment) -> QosPolicy | None:
    """The policy in force: the port's own, else its network's."""
    if attachment.port.qos_policy is not None:
        return attachment.port.qos_policy
    if attachment.port.device_owner.startswith(_SERVICE):
        return None
    return attachment.network.qos_policy


def shape_of(attachment: Attachment) -> Shape | None:
    """What a port is held to; ``None`` where nothing that is enforced here is asked for. A rate of
    0 is no limit."""
    policy = policy_of(attachment)
    if policy is None:
        return None
    frame = attachment.network.mtu + _HEAD
    shape = Shape(
        _traffic(policy.rules, "egress", frame), _traffic(policy.rules, "ingress", frame),
        next(
            (r.dscp_mark for r in policy.rules
             if r.type == "dscp_marking" and r.direction == "egress"), None,
        ),
    )  # fmt: skip
    return shape if shape != Shape() else None


def _traffic(rules: Iterable[QosRule], direction: str, frame: int) -> Traffic:
    mine = [rule for rule in rules if rule.direction == direction]
    least = -(-frame * 8 // 1000)  # a burst of less than a frame would let none pass
    bandwidth = [
        _limit(rule.max_kbps, rule.max_burst_kbps, least)
        for rule in mine
        if rule.type == "bandwidth_limit" and rule.max_kbps
    ]
    packets = [
        _limit(rule.max_kpps * 1000, (rule.max_burst_kpps or 0) * 1000, 1)
        for rule in mine
        if rule.type == "packet_rate_limit" and rule.max_kpps
    ]
    return Traffic(min(bandwidth, default=None), min(packets, default=None))


def _limit(rate: int, burst: int | None, least: int) -> Limit:
    return Limit(rate, max(burst or round(rate * _BURST), least))
