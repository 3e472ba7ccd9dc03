"""What is found on the host, and is not as the journal wants it."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class Drift(VifError):
    """A port in service was found other than it was made."""

    code = "E_REC_DRIFT"
    reached = 'another program changed a port in service: the error of its event "degraded"'
    klass = "reconcile"
    http = 409
    cni = 51
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "host"
    template = "{fact} is {have!r}, wanted {wanted!r}; {next}"
    remediation = "vifctl port show lists every finding; what vifd can repair it repairs by itself"


class ApprovalNeeded(VifError):
    """After an upgrade more would change on the host than may without asking."""

    code = "E_REC_APPROVAL"
    reached = "starting an upgraded vifd that would change more than [upgrade] allows"
    klass = "reconcile"
    http = 409
    cni = 51
    retryable = True
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "{ports} of {total} ports that pass traffic would be changed: {upgraded}"
    remediation = "vifctl reconcile shows the difference; vifctl reconcile --approve lets it begin"
