"""Kinds of values: ids, addresses, roles, phases, statuses."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
MAC = r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"

# The lengths are said as well: "$" alone lets a trailing newline through.
Id = Annotated[
    str, Meta(pattern=UUID, min_length=36, max_length=36, description="a UUID in lower case")
]
MacAddress = Annotated[
    str, Meta(pattern=MAC, min_length=17, max_length=17, description="a MAC address with colons")
]
Text = Annotated[str, Meta(max_length=255)]
#: The kernel takes 68 to 65521 for a tap.
Mtu = Annotated[int, Meta(ge=68, le=65521, description="bytes, without the Ethernet header")]


class Role(StrEnum):
    """What the network service says of this host's binding of the port."""

    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"


class Direction(StrEnum):
    """As seen from the guest."""

    EGRESS = "egress"
    INGRESS = "ingress"


class Phase(StrEnum):
    """What is true on the host; together with the role it gives the status."""

    WAITING = "WAITING"  #: a part of its document is not here yet; such a port has no record
    BOUND = "BOUND"  #: accepted and on disk, nothing made yet
    PLUGGING = "PLUGGING"  #: the plugin is at work
    ISOLATED = "ISOLATED"  #: made, closed, not yet proven
    READY = "READY"  #: proven, closed because the role is INACTIVE
    LIVE = "LIVE"  #: proven and open
    QUIESCED = "QUIESCED"  #: was LIVE, the role moved away; closed, devices kept
    UNPLUGGING = "UNPLUGGING"  #: being removed
    DEGRADED = "DEGRADED"  #: open, but a later check found something that differs
    FAILED = "FAILED"  #: this attempt ended with an error; what was made is undone
    UNKNOWN = "UNKNOWN"  #: after a restart, before the first check


class Status(StrEnum):
    """The port status as the network service knows it."""

    DOWN = "DOWN"
    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    ERROR = "ERROR"
