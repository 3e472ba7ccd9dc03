"""The addresses of a port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class DuplicateAddress(VifError):
    """Another port of the same network on this host has this MAC or IP address."""

    code = "E_IP_DUPLICATE"
    reached = "PUT a port whose MAC or IP address another port of the network has on this host"
    klass = "ip"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    template = "{kind} address {address} is already used by port {other} on this network"
    remediation = "give the port an address of its own"


class WrongSegment(VifError):
    """A fixed IP's subnet belongs to another segment of the network than the one bound here."""

    code = "E_IP_WRONG_SEGMENT"
    reached = "a fixed IP of a subnet with another segment_id than network.segment.id"
    klass = "ip"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    template = (
        "fixed IP {address} is of subnet {subnet} on segment {wanted}, the port is bound to "
        "segment {have}"
    )
    remediation = "bind the port to the segment of its address, or give it an address of this one"


class AddressesUnresolved(VifError):
    """The port's address is chosen when it is bound, and the document has none yet."""

    code = "E_IP_DEFERRED_UNRESOLVED"
    reached = 'ip_allocation is "deferred" and fixed_ips is empty'
    klass = "ip"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "backend"
    template = "the port's ip_allocation is deferred and it has no fixed IP yet"
    remediation = "send the document again once the network service has chosen the address"


class L2Required(VifError):
    """A port that never has an address needs a plugin that connects without one."""

    code = "E_CONN_L2_REQUIRED"
    reached = 'ip_allocation is "none" and the plugin needs addresses'
    klass = "ip"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    template = "a port without addresses needs layer-2 connectivity, plugin {plugin!r} gives {have}"
    remediation = "choose a plugin with layer-2 connectivity, or give the port an address"
