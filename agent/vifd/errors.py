"""Every "no" that vifd can say, as a class with a stable code.

One class is one cause. A class fixes the code, the HTTP status, whether the same host may succeed
later (``retryable``), whether another host may (``reschedulable``) and who can mend it (``owner``);
an instance adds the facts. The two flags are independent: a fixed IP of another segment, say, will
never work on this host and must not be tried on another either.

Nothing here does I/O. The HTTP body of every error is :meth:`VifError.to_dict`.
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

Owner = Literal["user", "operator", "host", "backend", "transient"]
Scope = Literal["request", "port", "host", "plugin"]

#: Version of the error object itself.
SCHEMA = 1

_registry: dict[str, type[VifError]] = {}


class VifError(Exception):
    """Base of all coded errors.

    ``template`` is formatted with the facts, so that the sentence never disagrees with them.

    :param message: a sentence that replaces the formatted template
    :param stage: the step that failed (``decode``, ``negotiate``, ``tap``, ``ovsdb``, ``verify``…)
    :param port: the port's id
    :param facts: what was wanted and what was there; JSON values only
    :param retry_after: seconds after which a retry makes sense
    :param candidates: the refusals behind an aggregated one
    """

    code: ClassVar[str] = "E_INTERNAL"
    klass: ClassVar[str] = "internal"
    http: ClassVar[int] = 500
    #: the error number that the CNI specification would use for this cause
    cni: ClassVar[int] = 999
    retryable: ClassVar[bool] = False
    reschedulable: ClassVar[bool] = True
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "port"
    template: ClassVar[str] = "internal error"
    remediation: ClassVar[str] = "see the log of vifd on this host under the request id"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        other = _registry.setdefault(cls.code, cls)
        if other is not cls and "code" in cls.__dict__:
            raise TypeError(f"{cls.__name__} reuses the code {cls.code} of {other.__name__}")

    def __init__(
        self,
        message: str | None = None,
        *,
        stage: str = "",
        port: str = "",
        facts: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        candidates: Sequence[VifError] = (),
        hint: str | None = None,
    ) -> None:
        self.facts = dict(facts or {})
        self.message = message if message is not None else self._sentence()
        self.stage = stage
        self.port = port
        self.retry_after = retry_after
        self.candidates = list(candidates)
        self.hint = hint if hint is not None else self.remediation
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def _sentence(self) -> str:
        try:
            return self.template.format_map(self.facts)
        except (KeyError, IndexError, AttributeError):
            return self.template

    def at(self, stage: str = "", port: str = "") -> VifError:
        """Fill in stage and port where they are still unknown, and return self."""
        self.stage = self.stage or stage
        self.port = self.port or port
        return self

    def copy(self) -> Self:
        """The same error as an object of its own: one cause can meet every port of a batch."""
        twin = copy.copy(self)
        twin.facts = dict(self.facts)
        twin.candidates = list(self.candidates)
        twin.__cause__ = self.__cause__
        return twin

    def to_dict(self) -> dict[str, Any]:
        """The error object of the API, journal and events.

        Where it stands for several refusals, the flags are those of the most hopeful one.
        """
        return {
            "schema": SCHEMA,
            "code": self.code,
            "class": self.klass,
            "stage": self.stage,
            "port": self.port or None,
            "host": socket.gethostname(),
            "message": self.message,
            "facts": self.facts,
            "remediation": self.hint,
            "retryable": self.retryable or any(c.retryable for c in self.candidates),
            "retry_after": self.retry_after,
            "reschedulable": self.reschedulable or any(c.reschedulable for c in self.candidates),
            "scope": self.scope,
            "owner": self.owner,
            "candidates": [c.to_dict() for c in self.candidates],
            "cause": causes(self),
        }


def causes(error: BaseException) -> list[str]:
    """The chain of ``__cause__`` below an error, outermost first, one line each."""
    chain: list[str] = []
    below = error.__cause__
    while below is not None and len(chain) < 8:
        chain.append(f"{type(below).__name__}: {below}")
        below = below.__cause__
    return chain


def all_codes() -> dict[str, type[VifError]]:
    """Every code there is, with its class."""
    return dict(_registry)


def wrap(error: BaseException, *, stage: str = "", port: str = "") -> VifError:
    """The one place where an unknown exception becomes ``E_INTERNAL``.

    A coded error is copied: who raised it may raise the same object again, for another port.
    """
    if isinstance(error, VifError):
        return error.copy().at(stage, port)
    wrapped = InternalError(f"unexpected {type(error).__name__}: {error}", stage=stage, port=port)
    wrapped.__cause__ = error
    return wrapped


class InternalError(VifError):
    """A defect of vifd or of a plugin."""

    code = "E_INTERNAL"


# --- the request ---------------------------------------------------------------------------------


class BadDocument(VifError):
    """A document that cannot be read; ``facts.field`` is the path of the offending field."""

    code = "E_DOC_INVALID"
    klass = "document"
    http = 400
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{field}: {problem}"
    remediation = "correct the named field; GET /v1/openapi.json describes every field"

    @classmethod
    def at_field(cls, field: str, problem: str, *, port: str = "") -> BadDocument:
        """The usual form: which field, and what is wrong with it."""
        return cls(facts={"field": field, "problem": problem}, stage="decode", port=port)


class UnsupportedVersion(BadDocument):
    """A document in a version that this daemon does not speak."""

    code = "E_DOC_VERSION"
    http = 406
    cni = 1
    template = "{field}: version {wanted} is not spoken here (have {have})"
    remediation = "send the document in one of the versions under facts.have"


class UnknownRequired(BadDocument):
    """A field under ``required`` that this daemon does not understand, so it may not ignore it."""

    code = "E_DOC_REQUIRED_UNKNOWN"
    cni = 2
    reschedulable = True
    template = "{field}: this daemon does not know this requirement"
    remediation = "upgrade vifd on this host, or leave the field out of 'required'"


class Forbidden(VifError):
    """The peer's uid and gid give no right to this call."""

    code = "E_AUTH_FORBIDDEN"
    klass = "auth"
    http = 403
    cni = 4
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "request"
    template = "uid {uid} may not {action}"
    remediation = "add the uid or gid to [api] admin_uids/admin_gids or reader_uids/reader_gids"


class NoSuchRoute(VifError):
    """There is no such resource or method in the API."""

    code = "E_API_NO_ROUTE"
    klass = "api"
    http = 404
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{method} {path} is not part of this API"
    remediation = "GET /v1/openapi.json lists every call"


class MethodNotAllowed(NoSuchRoute):
    """The resource exists, the method on it does not."""

    code = "E_API_METHOD"
    http = 405


class BadHttp(NoSuchRoute):
    """The request is not proper HTTP, or its head is too large."""

    code = "E_API_HTTP"
    http = 400
    template = "{problem}"
    remediation = "use an HTTP/1.1 client library or vifctl"


class BodyTooLarge(NoSuchRoute):
    """The body is larger than the API accepts."""

    code = "E_API_BODY_SIZE"
    http = 413
    template = "the body has more than {limit} bytes"
    remediation = "send fewer documents in one call"


class MediaTypeUnsupported(NoSuchRoute):
    """The body is not declared as JSON."""

    code = "E_API_MEDIA_TYPE"
    http = 415
    template = "content type {have!r} is not accepted (wanted: {wanted})"
    remediation = "send the header Content-Type: application/json"


class Busy(VifError):
    """As many callers as the daemon serves are there already."""

    code = "E_API_BUSY"
    klass = "api"
    http = 503
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    scope: ClassVar[Scope] = "request"
    template = "{limit} readers follow the event stream already"
    remediation = "close a stream, or read with ?follow=false"


class Stopping(VifError):
    """The daemon is on its way down."""

    code = "E_AGENT_STOPPING"
    klass = "agent"
    http = 503
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "transient"
    scope: ClassVar[Scope] = "host"
    template = "vifd on this host is stopping"
    remediation = "repeat the call once the daemon is back"


# --- state ---------------------------------------------------------------------------------------


class PortNotFound(VifError):
    """No port with this id on this host."""

    code = "E_STATE_NOT_FOUND"
    klass = "state"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "port {port} is not known on this host"
    remediation = "vifctl port list shows the ports of this host"


class StateConflict(VifError):
    """The port is plugged with a different document and the difference needs an unplug."""

    code = "E_STATE_CONFLICT"
    klass = "state"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "the port is plugged with a different document; these fields cannot change: {fields}"
    remediation = "unplug the port first, or send the document it was plugged with"


class IllegalTransition(VifError):
    """The verb makes no sense in the phase that the port is in."""

    code = "E_STATE_ILLEGAL"
    klass = "state"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "cannot {verb} a port in phase {phase}"
    remediation = "wait for the running operation to end (GET the port), then repeat"


class WaitTimeout(VifError):
    """The caller's time was over while the work goes on."""

    code = "E_STATE_WAIT"
    klass = "state"
    http = 504
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "not {wanted} after {seconds} s (phase {phase}); the work goes on"
    remediation = "GET the port, or repeat the call with a longer timeout; it changes nothing"


class Superseded(VifError):
    """A later request for the same port replaced this one before it was done."""

    code = "E_STATE_SUPERSEDED"
    klass = "state"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    template = "a later {by} of this port replaced this request"
    remediation = "GET the port: the later request decides its state"


# --- plugins -------------------------------------------------------------------------------------


class PluginMissing(VifError):
    """No installed plugin serves what is asked for."""

    code = "E_PLUGIN_MISSING"
    klass = "plugin"
    http = 424
    cni = 50
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "no usable plugin {wanted!r} on this host (have {have})"
    remediation = "vifctl plugin list shows what is installed and why a plugin is unavailable"


class PluginRefused(VifError):
    """A plugin that was found but not admitted: import failure, missing verb, wrong version…"""

    code = "E_PLUGIN_LOAD"
    klass = "plugin"
    http = 503
    cni = 50
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} of {distribution} was refused: {reason}"
    remediation = "repair or remove the named distribution, then restart vifd"


class PluginUnhealthy(VifError):
    """The plugin is installed but cannot work on this host now."""

    code = "E_PLUGIN_UNHEALTHY"
    klass = "plugin"
    http = 503
    cni = 50
    retryable = True
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} cannot work on this host now: {reason}"
    remediation = "vifctl plugin list shows the reasons; the daemon retries by itself"


class PluginTimeout(VifError):
    """The plugin did not answer in time; its lane is quarantined until it does."""

    code = "E_PLUGIN_TIMEOUT"
    klass = "plugin"
    http = 504
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "backend"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} did not finish {verb} within {seconds} s"
    remediation = "look at what the plugin waits for (OVS, kernel); it is retried by itself"


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


# --- segment, addresses, capabilities ------------------------------------------------------------


class SegmentTypeUnsupported(VifError):
    """The plugin cannot carry this network type."""

    code = "E_SEG_TYPE_UNSUPPORTED"
    klass = "segment"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "network type {wanted!r} is not served by plugin {plugin!r} (have {have})"
    remediation = "bind the port to a segment of a served type, or enable the type on this host"


class PhysnetUnmapped(VifError):
    """The segment's physical network has no bridge or interface on this host."""

    code = "E_SEG_PHYSNET_UNMAPPED"
    klass = "segment"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "physical network {wanted!r} is not mapped on this host (have {have})"
    remediation = "add the physical network to bridge_mappings in agent.conf"


class NoLocalVlan(VifError):
    """All local VLAN ids of the bridge are in use."""

    code = "E_SEG_NO_LOCAL_VLAN"
    klass = "segment"
    http = 503
    cni = 50
    retryable = True
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "host"
    template = "bridge {bridge} has no free local VLAN id"
    remediation = "more than 4094 networks have ports on this host; move instances elsewhere"


class DuplicateAddress(VifError):
    """Another port of the same network on this host has this MAC address."""

    code = "E_IP_DUPLICATE"
    klass = "ip"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    template = "{kind} address {address} is already used by port {other} on this network"
    remediation = "give the port an address of its own"


class MtuTooLarge(VifError):
    """The device or the underlay cannot carry the network's MTU."""

    code = "E_PLUG_MTU"
    klass = "plug"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "MTU {wanted} cannot be carried: {bottleneck} allows {have}"
    remediation = "lower the network's MTU or raise that of the named device"


class CapabilityError(VifError):
    """Base of what the guest, by its flavor and image, lacks for a kind of port."""

    code = "E_CAP_GUEST"
    klass = "capability"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "the guest cannot use this port: {problem}"
    remediation = "change the named property of the flavor or image"


class SharedMemoryMissing(CapabilityError):
    """The switch reads the guest's memory, and the flavor does not have it shared."""

    code = "E_CAP_SHARED_MEMORY"
    template = "a vhost-user port needs guest memory that is shared with the switch: {problem}"
    remediation = (
        "set hw:mem_page_size to large in the flavor, or back all guests of the host by files "
        "and say so with file_backed_memory"
    )


class MemoryEncrypted(CapabilityError):
    """The switch reads the guest's memory, which the flavor or image wants encrypted."""

    code = "E_CAP_MEM_ENCRYPTION"
    template = "{property} asks for encrypted guest memory, which the switch could not read"
    remediation = "drop the property, or use a port that is not vhost-user"


class VifModelUnsupported(CapabilityError):
    """The image asks for a device model that this kind of port cannot have."""

    code = "E_CAP_VIF_MODEL"
    template = "hw_vif_model {wanted!r} cannot be used here (have {have})"
    remediation = "set hw_vif_model of the image to a model under facts.have, or leave it out"


class MultiqueueUnsupported(CapabilityError):
    """Several queues are asked for, and this host gives a device one."""

    code = "E_CAP_MULTIQUEUE"
    reschedulable = True
    owner: ClassVar[Owner] = "operator"
    template = "{wanted} queues are asked for, this host gives a device at most {have}"
    remediation = "raise max_queues in agent.conf, or do not ask for several queues"


# --- plugging ------------------------------------------------------------------------------------


class DeviceError(VifError):
    """The kernel refused to make, change or read the device."""

    code = "E_PLUG_DEVICE"
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
    cni = 7
    retryable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "socket {path}: {problem}"
    remediation = "repair the path or the options socket_* of the plugin in agent.conf"


class PrivilegeMissing(DeviceError):
    """The daemon lacks a capability."""

    code = "E_PLUG_PRIV"
    retryable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "no permission to {action}"
    remediation = "the daemon needs CAP_NET_ADMIN in its network namespace"


class NameClash(VifError):
    """The name or number is taken by something that vifd did not make."""

    code = "E_PLUG_NAME_CLASH"
    klass = "plug"
    http = 409
    cni = 5
    owner: ClassVar[Owner] = "operator"
    template = "{kind} {name} exists and is not ours: {have}"
    remediation = "remove or rename the foreign object; vifd does not touch what it did not make"


class BackendError(VifError):
    """The switch refused or failed a request."""

    code = "E_PLUG_BACKEND"
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
    http = 503
    cni = 50
    scope: ClassVar[Scope] = "host"
    template = "{backend} cannot be reached: {problem}"
    remediation = "start the switch; vifd connects by itself and goes on"


class BridgeMissing(BackendError):
    """The bridge does not exist and the daemon was not told to make it."""

    code = "E_PLUG_BRIDGE_MISSING"
    http = 409
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "bridge {bridge} does not exist"
    remediation = "create the bridge, or let the daemon make the integration bridge (create_bridge)"


class WireTimeout(VifError):
    """The port was made but could not be proven before the deadline."""

    code = "E_WIRE_TIMEOUT"
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
    klass = "unplug"
    http = 500
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "host"
    template = "not everything of the port could be removed: {problem}"
    remediation = "the daemon tries again by itself; vifctl port show lists what is left"


class JournalError(VifError):
    """The journal cannot be written, so nothing is done."""

    code = "E_REC_STORE"
    klass = "journal"
    http = 503
    cni = 5
    retryable = True
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "the journal {path} cannot be written: {problem}"
    remediation = "free space or repair the file system; what cannot be written is not done"


class JournalTooNew(JournalError):
    """The journal was written by a newer vifd."""

    code = "E_REC_STORE_VERSION"
    retryable = False
    template = "the journal {path} has schema {have}, this vifd knows up to {wanted}"
    remediation = "install the vifd that wrote it, or move the file away to rebuild from the host"
