"""The guests of this host and their hypervisor."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class HypervisorError(VifError):
    """The hypervisor is not there, or refused what was asked of it."""

    code = "E_GUEST_HYPERVISOR"
    reached = "a repair is asked for while libvirt is down, or libvirt refuses it"
    klass = "guest"
    http = 503
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "host"
    template = "the hypervisor cannot do it: {problem}"
    remediation = "see that libvirt runs and vifd may use it: vifctl host show, docs/boot.md"


class GuestNotRunning(VifError):
    """No running guest uses the port, so there is nothing to take out and put back."""

    code = "E_GUEST_NOT_RUNNING"
    reached = "a repair of a port whose guest is off, or that no guest has"
    klass = "guest"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "no running guest uses {device}: {problem}"
    remediation = "a guest that is off needs no repair: start it, and it takes the port's device"


class GuestRepairFailed(VifError):
    """An interface could not be taken out of a running guest, or not be put back."""

    code = "E_GUEST_REPAIR"
    reached = "the guest does not let go of its device, or libvirt cannot put it back"
    klass = "guest"
    http = 502
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "{device} of guest {guest}: {problem}"
    remediation = (
        "facts.interface is the XML to put back (virsh attach-device GUEST FILE --live); a guest "
        "that does not let go of its device gets the port's anew when it is stopped and started"
    )
