"""No plugin and VIF type for a port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class NoCommonVif(VifError):
    """The plugin does not offer the VIF type that was asked for."""

    code = "E_NEG_NO_COMMON_VIF"
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
    klass = "vnic"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    template = "vnic_type {wanted!r} is not served by plugin {plugin!r} (have {have})"
    remediation = "use a served vnic_type, or install a plugin that serves this one"
