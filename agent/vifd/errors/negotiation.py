"""No plugin and VIF type for a port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class NoCommonVif(VifError):
    """No candidate can serve the port, each for a reason of its own: those are its candidates."""

    code = "E_NEG_NO_COMMON_VIF"
    reached = "POST /v1/offers or PUT of a port that nothing can serve, for more than one reason"
    klass = "negotiation"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "VIF type {wanted!r} is not offered by plugin {plugin!r} (have {have})"
    remediation = "leave vif_type out to let the daemon choose, or install a plugin that offers it"


class VnicUnsupported(VifError):
    """The plugin does not serve this vnic_type."""

    code = "E_VNIC_UNSUPPORTED"
    reached = "port.vnic_type is one that the plugin does not serve"
    klass = "vnic"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    template = "vnic_type {wanted!r} is not served by plugin {plugin!r} (have {have})"
    remediation = "use a served vnic_type, or install a plugin that serves this one"


class SwitchdevMissing(VifError):
    """A direct port with the switchdev capability, and no NIC of this host is in that mode."""

    code = "E_VNIC_NO_SWITCHDEV"
    reached = "vnic_type direct with the switchdev capability in binding_profile"
    klass = "vnic"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "the port needs a NIC in switchdev mode, this host has {have}"
    remediation = "bring a NIC of the physical network into switchdev mode, or use another host"


class ContractVersion(VifError):
    """The offer is asked for in a version of the contract that this daemon does not speak."""

    code = "E_NEG_CONTRACT_VERSION"
    reached = "POST /v1/offers with a contract_version that is not spoken here"
    klass = "negotiation"
    http = 406
    cni = 1
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "contract version {wanted} is not spoken here; the highest is {have}"
    remediation = "repeat the call once in the version under facts.have"


class NoCommonVersion(VifError):
    """Both sides know the VIF class or port profile, in versions that do not meet."""

    code = "E_NEG_NO_COMMON_VERSION"
    reached = "the acceptable list of an offer names versions that no plugin has"
    klass = "negotiation"
    http = 409
    cni = 1
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "{what}: the network service accepts {wanted}, plugin {plugin!r} has {have}"
    remediation = "upgrade the side with the older range"


class TokenStale(VifError):
    """The host has changed since the offer that the token belongs to."""

    code = "E_NEG_TOKEN_STALE"
    reached = "PUT of a port with the token of an offer, after the host has changed"
    klass = "negotiation"
    http = 409
    cni = 11
    retryable = True
    aggregates = False  # a new offer may choose another candidate
    owner: ClassVar[Owner] = "transient"
    template = "the token of the offer is stale: {changed}"
    remediation = "ask for a new offer (POST /v1/offers) and use its token"
