"""Moving a port to another back end of the same host, under its running guest."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class BackendUnfit(VifError):
    """The port cannot change its back end as it stands; nothing was touched."""

    code = "E_BACKEND_UNFIT"
    reached = "vifctl port move-backend of a port without a tap, or to a plugin that takes none"
    klass = "adoption"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "the port cannot move from {have} to {wanted} as it stands: {problem}"
    remediation = (
        "mend that; or stop the guest, unplug the port, and plug it with a document that "
        "names the other plugin"
    )


class BackendReturned(VifError):
    """The port was moved and did not prove itself there, so it is where it was."""

    code = "E_BACKEND_RETURNED"
    reached = "vifctl port move-backend to a back end on which the port could not be proven"
    klass = "adoption"
    http = 409
    cni = 7
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "the port is back on {have}: on {wanted} it failed: {reason_code}: {problem}"
    remediation = "the reason is that of the other back end; mend it, then move the port again"
