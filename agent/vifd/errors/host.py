"""What the host does not let vifd have."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class ResourcesExhausted(VifError):
    """A limit of the process or the host: descriptors, memory, threads."""

    code = "E_HOST_RESOURCES"
    reached = "vifd may open too few descriptors, or have too little memory or too few threads"
    klass = "host"
    http = 503
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "{problem}"
    remediation = "raise the limit in the unit (systemctl edit vifd), and restart vifd"
