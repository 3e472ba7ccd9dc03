"""Proving a port, and removing it."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class WireTimeout(VifError):
    """The port was made but could not be proven before the deadline."""

    code = "E_WIRE_TIMEOUT"
    reached = "a port that does not read back as wanted within verify_timeout"
    klass = "wire"
    http = 504
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "backend"
    template = "the port was not proven within {seconds} s; standing in the way: {finding}"
    remediation = "the finding names what is not as wanted; everything made was undone"


class UnplugPartial(VifError):
    """Something of the port could not be removed; it is tried again."""

    code = "E_UNPLUG_PARTIAL"
    reached = "the kernel or the switch refuses to remove something of the port"
    klass = "unplug"
    http = 500
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "host"
    template = "not everything of the port could be removed: {problem}"
    remediation = "the daemon tries again by itself; vifctl port show lists what is left"
