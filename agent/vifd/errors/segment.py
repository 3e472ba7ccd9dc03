"""The network as this host reaches it: segment, physical network, MTU."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class SegmentTypeUnsupported(VifError):
    """The plugin cannot carry this network type."""

    code = "E_SEG_TYPE_UNSUPPORTED"
    reached = "network.segment.network_type is one that the plugin does not serve"
    klass = "segment"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "network type {wanted!r} is not served by plugin {plugin!r} (have {have})"
    remediation = "bind the port to a segment of a served type, or enable the type on this host"

    def _advice(self) -> str:
        """Of a type that the plugin serves nowhere: who does here, and what it serves itself."""
        have, others = self.facts.get("have"), self.facts.get("served_by")
        if others is None or not have:
            return super()._advice()
        bind = f"bind the port to a segment of a type that it serves ({', '.join(have)})"
        if not others:
            wanted = self.facts.get("wanted")
            return f"{bind}, or use a host with a plugin for {wanted}: none of this host's is one"
        named = " or ".join(others)
        return f"ask for plugin {named} in the document, or for none, which serves it, or {bind}"


class PhysnetUnmapped(VifError):
    """The segment's physical network has no bridge or interface on this host."""

    code = "E_SEG_PHYSNET_UNMAPPED"
    reached = "network.segment.physical_network is not in the mappings"
    klass = "segment"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "physical network {wanted!r} is not mapped on this host (have {have})"
    remediation = "add the physical network to bridge_mappings in agent.conf"


class PhysnetDown(VifError):
    """The physical network, or the underlay of a tunnel, is mapped, and cannot be used now."""

    code = "E_SEG_PHYSNET_DOWN"
    reached = "what network.segment.physical_network is mapped to is down or missing"
    klass = "segment"
    http = 503
    cni = 50
    retryable = True
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "{wanted} is mapped to {device}, which cannot be used: {problem}"
    remediation = "bring the named device up; vifd notices by itself"


class NoLocalVlan(VifError):
    """All local VLAN ids of the bridge are in use."""

    code = "E_SEG_NO_LOCAL_VLAN"
    reached = "one network more than the bridge has VLAN ids"
    klass = "segment"
    http = 503
    cni = 50
    retryable = True
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "host"
    template = "bridge {bridge} has no free local VLAN id"
    remediation = "more than 4094 networks have ports on this host; move instances elsewhere"


class MtuTooLarge(VifError):
    """The device or the underlay cannot carry the network's MTU."""

    code = "E_PLUG_MTU"
    reached = "network.mtu is above what the uplink, the bridge or the limit of a plugin carries"
    klass = "plug"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "MTU {wanted} cannot be carried: {bottleneck} allows {have}"
    remediation = "lower the network's MTU or raise that of the named device"
