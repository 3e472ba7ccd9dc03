"""Trunks: parent ports and their sub-ports."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class TrunkConflict(VifError):
    """What the port's document says of its trunk contradicts another port of this host."""

    code = "E_TRUNK_CONFLICT"
    reached = (
        "a parent names a port that has a device of its own here, or is another trunk's; a port "
        "that a parent here names as its sub-port comes without device_owner trunk:subport"
    )
    klass = "trunk"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "{problem}"
    remediation = (
        "take the port {other} out of the other trunk, or off this host, first; what stands here "
        "is as it was"
    )


class SubPortWaits(VifError):
    """The sub-port has no parent on this host yet; it is kept, closed."""

    code = "E_TRUNK_WAITS"
    reached = "a sub-port (device_owner trunk:subport) that no port of this host has as its own"
    klass = "trunk"
    http = 504
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "backend"
    template = "the sub-port {missing}"
    remediation = (
        "the parent's document names it in trunk_details.sub_ports; the port opens by itself once "
        "the parent is on this host"
    )
