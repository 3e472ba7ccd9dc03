"""Giving the ports of this host to a guest's definition; vifctl says these, the daemon does not."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class GuestUnfit(VifError):
    """The guest's definition cannot be changed as it was asked."""

    code = "E_GUEST_UNFIT"
    reached = (
        "vifctl guest wire names a transient domain, a saved one, or one without shared memory"
    )
    klass = "guest"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "domain {guest} cannot be wired: {problem}"
    remediation = "nothing was changed; mend what is named and wire it again"


class GuestUnknown(GuestUnfit):
    """libvirt knows no guest of this name."""

    code = "E_GUEST_UNKNOWN"
    reached = "vifctl guest wire names a domain that libvirt does not have"
    http = 404
    cni = 3
    template = "libvirt has no domain {guest}"
    remediation = "see virsh list --all; another libvirt is named with --connect"


class GuestRunning(GuestUnfit):
    """The guest runs with the interfaces that would be changed."""

    code = "E_GUEST_RUNNING"
    reached = "vifctl guest wire or unwire names a domain that runs"
    retryable = True
    template = "domain {guest} runs, and would keep the network cards that it has"
    remediation = "shut it down first (virsh shutdown {guest}), then wire it and start it again"


class GuestNetworkUnknown(GuestUnfit):
    """The file has no network of this name, or several and none was named."""

    code = "E_GUEST_NETWORK"
    reached = "vifctl guest wire names a network that its file does not have"
    http = 404
    cni = 7
    template = "{problem}"
    remediation = "a network is named with --network, or under guests in the file"


class GuestNotWired(GuestUnfit):
    """There is nothing to undo."""

    code = "E_GUEST_NOT_WIRED"
    reached = "vifctl guest unwire names a domain that was never wired, or not any more"
    http = 404
    cni = 3
    template = "domain {guest} was not wired by vifctl guest wire"
    remediation = "its ports, where it has some, are removed with vifctl port unplug"
