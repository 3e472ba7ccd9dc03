"""The addresses of a port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class DuplicateAddress(VifError):
    """Another port of the same network on this host has this MAC address."""

    code = "E_IP_DUPLICATE"
    klass = "ip"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    template = "{kind} address {address} is already used by port {other} on this network"
    remediation = "give the port an address of its own"
