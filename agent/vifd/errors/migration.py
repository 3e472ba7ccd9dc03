"""What does not fit a migration."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class BindingUnbound(VifError):
    """The binding is to be in force, and nobody has said what it is: the network service forgot its
    details when another host's binding became active, and this host has no document of the port."""

    code = "E_ACT_BINDING_UNBOUND"
    reached = "activate of a port of which compute alone said its part"
    klass = "state"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "port {port} cannot be activated: nobody has said what its binding on this host is"
    remediation = "have the network service bind the port to this host again, or PUT its document"


class MigrationUnknown(VifError):
    """No migration of this number is remembered."""

    code = "E_MIG_UNKNOWN"
    reached = "GET of a migration that never was, or was long ago"
    klass = "state"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "migration {migration} is not known on this host"
    remediation = "vifctl migration list shows those that are remembered"


class MigrationUnfit(VifError):
    """The port here is not what the guest needs that runs on another host with the same port."""

    code = "E_MIG_UNFIT"
    reached = "a precheck with the port of a host that differs in something that the guest keeps"
    klass = "state"
    http = 409
    cni = 7
    retryable = False
    owner: ClassVar[Owner] = "operator"
    template = "{aspect} of the port is {here} here, and {there} on the host where its guest runs"
    remediation = "have both hosts plug the same document, or take another host"
