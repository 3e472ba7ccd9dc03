"""What a port may ask for beside its addresses: extensions of the Networking API."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from vifd.model.values import Id, MacAddress, Text

_Rate = Annotated[int, Meta(ge=0, le=2**31 - 1)]
#: The marks that the Networking API accepts: the class selectors, assured and expedited forwarding
#: (RFC 2474, 2597, 3246), and voice admit (RFC 5865).
DSCP_MARKS = frozenset(
    (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56)
)
#: By type of a QoS rule, the field that it makes no sense without.
QOS_VALUES = {
    "bandwidth_limit": "max_kbps",
    "packet_rate_limit": "max_kpps",
    "minimum_bandwidth": "min_kbps",
    "minimum_packet_rate": "min_kpps",
    "dscp_marking": "dscp_mark",
}
#: Directions as the guest sees them.
DIRECTIONS = ("egress", "ingress", "any")
#: By type of a QoS rule, those that the Networking API has for it; of other types all of them.
QOS_DIRECTIONS = {
    "bandwidth_limit": ("egress", "ingress"),
    "packet_rate_limit": ("egress", "ingress"),
    "minimum_bandwidth": ("egress", "ingress"),
    "dscp_marking": ("egress",),
}


class NamedGroup(Struct, frozen=True, omit_defaults=True):
    """A security group as a port's document may name it. Its rules are those of the set with this
    id (:mod:`vifd.model.sets`); those that stand here are not read."""

    id: Id
    name: Text = ""
    rules: Annotated[list[dict[str, Any]], Meta(max_length=10000)] = []


class QosRule(Struct, frozen=True, omit_defaults=True):
    """One rule of a QoS policy.

    :param type: ``bandwidth_limit``, ``packet_rate_limit``, ``minimum_bandwidth``,
        ``minimum_packet_rate``, ``dscp_marking``; another one is reported and not enforced
    :param direction: from the guest's point of view
    """

    type: Text
    direction: Text = "egress"
    id: Text = ""
    max_kbps: _Rate | None = None
    max_burst_kbps: _Rate | None = None
    max_kpps: _Rate | None = None
    max_burst_kpps: _Rate | None = None
    min_kbps: _Rate | None = None
    min_kpps: _Rate | None = None
    dscp_mark: int | None = None

    @property
    def value(self) -> int | None:
        """The number that the rule is about; ``None`` for a type that is not known."""
        name = QOS_VALUES.get(self.type)
        return getattr(self, name) if name else None


class QosPolicy(Struct, frozen=True, omit_defaults=True):
    """The QoS policy in force for a port, its own or its network's."""

    id: Text = ""
    name: Text = ""
    rules: Annotated[list[QosRule], Meta(max_length=100)] = []


class SubPort(Struct, frozen=True, omit_defaults=True):
    """A port that is reached through a trunk's parent port by a VLAN tag.

    :param segmentation_id: the VLAN of its frames on the parent's device; of type ``inherit`` it
        may be left out, and is then that of the sub-port's own network
    """

    port_id: Id
    segmentation_id: Annotated[int, Meta(ge=1, le=4094)] | None = None
    segmentation_type: Text = "vlan"
    mac_address: MacAddress | None = None


class Trunk(Struct, frozen=True, omit_defaults=True):
    """The trunk that a port is the parent of."""

    trunk_id: Id
    sub_ports: Annotated[list[SubPort], Meta(max_length=4094)] = []
