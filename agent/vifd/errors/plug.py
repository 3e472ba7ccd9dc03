"""Making devices, ports and flows."""

from __future__ import annotations

from typing import Any, ClassVar

from vifd.errors.base import Owner, Scope, VifError


class DeviceError(VifError):
    """The kernel refused to make, change or read the device."""

    code = "E_PLUG_DEVICE"
    reached = "the kernel refuses the tap, bridge or VLAN device, or loses it"
    klass = "plug"
    http = 500
    cni = 5
    retryable = True
    owner: ClassVar[Owner] = "host"
    template = "device {device}: {problem}"
    remediation = "see the kernel log; check /dev/net/tun and the daemon's capabilities"


class SocketError(DeviceError):
    """The socket of a vhost-user port, or its directory, cannot be used."""

    code = "E_PLUG_SOCKET"
    reached = "the socket directory of a vhost-user port is missing or not writable"
    cni = 7
    retryable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "socket {path}: {problem}"
    remediation = "repair the path or the options socket_* of the plugin in agent.conf"


class PrivilegeMissing(DeviceError):
    """The daemon lacks a capability."""

    code = "E_PLUG_PRIV"
    reached = "vifd runs without CAP_NET_ADMIN"
    retryable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "no permission to {action}"
    remediation = "the daemon needs CAP_NET_ADMIN in its network namespace"


class BridgeTaken(VifError):
    """Another vifd of this host, with a journal of its own, is at work on the bridge."""

    code = "E_PLUG_BRIDGE_TAKEN"
    reached = (
        "a second daemon with another state_path and the same integration bridge, or with ports on "
        "bridges of the same kernel"
    )
    klass = "plug"
    http = 409
    cni = 5
    retryable = True
    owner: ClassVar[Owner] = "operator"
    template = "bridge {bridge} is that of {agent}, which is at work on it"
    remediation = (
        "stop one of the two, or give this one another integration_bridge. If the other ran in a "
        "container and is gone for good: ovs-vsctl remove Interface BRIDGE external_ids vifd-agent"
    )


class NameClash(VifError):
    """The name or number is taken, by something that vifd did not make or by a port of its own.

    Which of the two decides what an operator is told: ``facts.ours`` says what of vifd's it is, and
    nothing of vifd's may ever be called foreign. A guest may be using it.
    """

    code = "E_PLUG_NAME_CLASH"
    reached = (
        "a device, bridge or port of the wanted name that does not bear our mark, or another port "
        "of vifd's that has the name already"
    )
    klass = "plug"
    http = 409
    cni = 5
    owner: ClassVar[Owner] = "operator"
    template = "{kind} {name} exists and is not ours: {have}"
    remediation = "remove or rename the foreign object; vifd does not touch what it did not make"
    _OURS = "{kind} {name} belongs to {ours}: {have}"
    _LEAVE = (
        "leave it as it is, it may be in use: give this port another id or name, or unplug the "
        "other one first if it is not wanted any more (vifctl port list)"
    )

    def _sentence(self) -> str:
        if not self.facts.get("ours"):
            return super()._sentence()
        return self._OURS.format_map(_Forgiving(self.facts))

    def _advice(self) -> str:
        return self._LEAVE if self.facts.get("ours") else super()._advice()


class _Forgiving(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


class BackendError(VifError):
    """The switch refused or failed a request."""

    code = "E_PLUG_BACKEND"
    reached = "the switch or the packet filter answers with an error"
    klass = "plug"
    http = 502
    cni = 100
    retryable = True
    owner: ClassVar[Owner] = "backend"
    template = "{backend}: {problem}"
    remediation = "see the log of the switch; vifd retries by itself"


class BackendUnavailable(BackendError):
    """The switch cannot be reached."""

    code = "E_PLUG_BACKEND_DOWN"
    reached = "the switch is stopped, or its socket cannot be reached"
    http = 503
    cni = 50
    scope: ClassVar[Scope] = "host"
    template = "{backend} cannot be reached: {problem}"
    remediation = "start the switch; vifd connects by itself and goes on"


class BridgeMissing(BackendError):
    """The bridge does not exist and the daemon was not told to make it."""

    code = "E_PLUG_BRIDGE_MISSING"
    reached = "a mapped bridge, or the integration bridge without create_bridge, is missing"
    http = 409
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "bridge {bridge} does not exist"
    remediation = "create the bridge, or let the daemon make the integration bridge (create_bridge)"
    _MAPPED = (
        "create bridge {bridge} with the interface to physical network {physnet} on it, or correct "
        "bridge_mappings; nobody makes a bridge that is mapped (vifctl host show: what is there)"
    )

    def _advice(self) -> str:
        if not self.facts.get("physnet"):
            return super()._advice()
        return self._MAPPED.format_map(_Forgiving(self.facts))
