"""Shared sets: security groups, address groups, forwarding."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class SetNotFound(VifError):
    """No such set on this host."""

    code = "E_SET_NOT_FOUND"
    reached = "GET, PATCH or DELETE of a set that nobody has said here"
    klass = "set"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{set} is not known on this host"
    remediation = "PUT it as a whole first; vifctl sg list shows those that are here"


class SetInUse(VifError):
    """Something refers to the set that is to go."""

    code = "E_SET_IN_USE"
    reached = "DELETE of a set that ports, or rules of other sets, refer to"
    klass = "set"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{set} is in use: {by}"
    remediation = (
        "take it out of these first, or delete it with later=true (vifctl: --later): it stays in "
        "force, and goes by itself once nothing refers to it"
    )


class SetStale(VifError):
    """What is said of a set is older than what its owner said before; nothing was changed."""

    code = "E_SET_STALE"
    reached = "a change of a set with a lower revision than the last one of the same owner"
    klass = "set"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    scope: ClassVar[Scope] = "request"
    template = "revision {wanted} of {set} is older than {have}, which is known here"
    remediation = "nothing is to be done: what is newer stays"


class SetChanged(VifError):
    """The set is not, or no longer, in the revision that the caller has read."""

    code = "E_SET_CHANGED"
    reached = "a change of a set with an If-Match that is not its revision"
    klass = "set"
    http = 412
    cni = 7
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{set} has revision {have}, and the change is for {wanted}"
    remediation = "GET the set, make the change to what it is now, and send it again"


class SetLimit(VifError):
    """This host keeps as many sets, or pieces of them, as it may."""

    code = "E_SET_LIMIT"
    reached = "one more set, rule, member, address or entry than a host keeps"
    klass = "set"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "request"
    template = "a host keeps {limit} {what}; with {set} it would be {wanted}"
    remediation = "take away sets that no port of this host needs"


class SetMissing(VifError):
    """The port is made, and stays closed until a set that it refers to is there."""

    code = "E_SET_MISSING"
    reached = "a port in a security group that nobody has said on this host"
    klass = "set"
    http = 504
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "backend"
    template = "the port {missing}"
    remediation = (
        "the network service says it, or `vifctl sg set` does; the port opens by itself then"
    )
