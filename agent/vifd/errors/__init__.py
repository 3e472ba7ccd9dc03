"""Every "no" that vifd can say, as a class with a stable code.

One class is one cause. A class fixes the code, the HTTP status, whether the same host may succeed
later (``retryable``), whether another host may (``reschedulable``) and who can mend it (``owner``);
an instance adds the facts. The two flags are independent: a fixed IP of another segment, say, will
never work on this host and must not be tried on another either.

Nothing here does I/O. The HTTP body of every error is :meth:`VifError.to_dict`.
"""

from __future__ import annotations

from vifd.errors.addresses import DuplicateAddress
from vifd.errors.base import SCHEMA, InternalError, Owner, Scope, VifError, all_codes, causes, wrap
from vifd.errors.capability import (
    CapabilityError,
    MemoryEncrypted,
    MultiqueueUnsupported,
    SharedMemoryMissing,
    VifModelUnsupported,
)
from vifd.errors.journal import JournalError, JournalTooNew
from vifd.errors.negotiation import NoCommonVif, VnicUnsupported
from vifd.errors.plug import (
    BackendError,
    BackendUnavailable,
    BridgeMissing,
    DeviceError,
    NameClash,
    PrivilegeMissing,
    SocketError,
)
from vifd.errors.plugins import PluginMissing, PluginRefused, PluginTimeout, PluginUnhealthy
from vifd.errors.request import (
    BadDocument,
    BadHttp,
    BodyTooLarge,
    Busy,
    Forbidden,
    MediaTypeUnsupported,
    MethodNotAllowed,
    NoSuchRoute,
    Stopping,
    UnknownRequired,
    UnsupportedVersion,
)
from vifd.errors.segment import MtuTooLarge, NoLocalVlan, PhysnetUnmapped, SegmentTypeUnsupported
from vifd.errors.state import (
    IllegalTransition,
    PortNotFound,
    StateConflict,
    Superseded,
    WaitTimeout,
)
from vifd.errors.wire import UnplugPartial, WireTimeout

__all__ = [
    "SCHEMA",
    "BackendError",
    "BackendUnavailable",
    "BadDocument",
    "BadHttp",
    "BodyTooLarge",
    "BridgeMissing",
    "Busy",
    "CapabilityError",
    "DeviceError",
    "DuplicateAddress",
    "Forbidden",
    "IllegalTransition",
    "InternalError",
    "JournalError",
    "JournalTooNew",
    "MediaTypeUnsupported",
    "MemoryEncrypted",
    "MethodNotAllowed",
    "MtuTooLarge",
    "MultiqueueUnsupported",
    "NameClash",
    "NoCommonVif",
    "NoLocalVlan",
    "NoSuchRoute",
    "Owner",
    "PhysnetUnmapped",
    "PluginMissing",
    "PluginRefused",
    "PluginTimeout",
    "PluginUnhealthy",
    "PortNotFound",
    "PrivilegeMissing",
    "Scope",
    "SegmentTypeUnsupported",
    "SharedMemoryMissing",
    "SocketError",
    "StateConflict",
    "Stopping",
    "Superseded",
    "UnknownRequired",
    "UnplugPartial",
    "UnsupportedVersion",
    "VifError",
    "VifModelUnsupported",
    "VnicUnsupported",
    "WaitTimeout",
    "WireTimeout",
    "all_codes",
    "causes",
    "wrap",
]  # fmt: skip
