"""What does not fit the state of a port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class PortNotFound(VifError):
    """No port with this id on this host."""

    code = "E_STATE_NOT_FOUND"
    reached = "GET or DELETE of an id that has no port here"
    klass = "state"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "port {port} is not known on this host"
    remediation = "vifctl port list shows the ports of this host"


class PortUnrecorded(VifError):
    """The host bears the marks of a port that is in no journal: a record was lost, or the journal
    is an older one."""

    code = "E_STATE_UNRECORDED"
    reached = "explaining an id that only marks on the host know"
    klass = "state"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "port {port} is in no journal, but its marks are on this host: {objects}; {holder}"
    remediation = (
        "plug it with its document: it is taken over as it stands. If nobody wants it, `vifctl gc` "
        "removes it once nobody holds it; until then it stays as it is"
    )


class StateConflict(VifError):
    """The port is plugged with a different document and the difference needs an unplug."""

    code = "E_STATE_CONFLICT"
    reached = "PUT of a plugged port with a change that cannot be made in place"
    klass = "state"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "the port is plugged with a different document; these fields cannot change: {fields}"
    remediation = "unplug the port first, or send the document it was plugged with"


class IllegalMove(VifError):
    """Something was said of a port that cannot happen in its phase; see ``model/lifecycle.py``."""

    code = "E_STATE_MOVE"
    reached = "a defect of vifd: a result for a port that is being removed already"
    klass = "state"
    http = 409
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "host"
    template = "{move} cannot happen to a port that is {phase}; what can: {legal}"
    remediation = "look at the port with `vifctl port show`; report it with the log around it"


class QueuesFixed(VifError):
    """The port's device would have to be made anew for its queues, and a guest has it open."""

    code = "E_STATE_QUEUES"
    reached = "PUT of a plugged port from one queue to several, or back, while its guest runs"
    klass = "state"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = (
        "device {device} was made for {have}; for {wanted} it must be made anew, and a guest has "
        "it open"
    )
    remediation = (
        "shut the guest down and send the document again: the device is made anew at once; or "
        "leave instance.vcpus and hw:vif_multiqueue_enabled as they were"
    )


class NotPlugged(VifError):
    """The port has no VIF to tell of: it was not plugged yet, or could not be."""

    code = "E_STATE_NOT_PLUGGED"
    reached = "GET of the vif of a port that was accepted and is not plugged"
    klass = "state"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "port {port} is not plugged (phase {phase})"
    remediation = "GET the port: it tells what it waits for, or why it failed"


class WaitTimeout(VifError):
    """The caller's time was over while the work goes on."""

    code = "E_STATE_WAIT"
    reached = "?wait= with a timeout that ends before the port is there"
    klass = "state"
    http = 504
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "not {wanted} after {seconds} s (phase {phase}); the work goes on"
    remediation = "GET the port, or repeat the call with a longer timeout; it changes nothing"


class Superseded(VifError):
    """A later request for the same port replaced this one before it was done."""

    code = "E_STATE_SUPERSEDED"
    reached = "DELETE while a PUT of the same port waits, or the other way round"
    klass = "state"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "a later {by} of this port replaced this request"
    remediation = "GET the port: the later request decides its state"


class PartsMissing(VifError):
    """The port cannot be made yet: another side has not said its part."""

    code = "E_STATE_WAITS"
    reached = "PUT of one part with ?wait=active, and the other part does not come in time"
    klass = "state"
    http = 504
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "backend"
    template = "after {seconds} s the port still {missing}"
    remediation = "see whether the port is bound to this host; what was said is kept meanwhile"


class PartStale(VifError):
    """A part is older than what its owner said before; nothing was changed."""

    code = "E_STATE_STALE"
    reached = "PUT or DELETE of a part with a lower revision than the last one"
    klass = "state"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "revision {wanted} of the {side} part is older than {have}, which is known here"
    remediation = "nothing is to be done: what is newer stays"


class PartsDisagree(VifError):
    """The network's part and compute's are of different ports."""

    code = "E_STATE_PARTS_DIFFER"
    reached = "PUT of compute's part with another MAC address or VIF type than the network's"
    klass = "state"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "backend"
    template = "compute expects {what} {wanted} of the port, it is {have}"
    remediation = "have compute read the port anew from the network service, then repeat the call"
