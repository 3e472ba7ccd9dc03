"""Every "no" that vifd can say, as a class with a stable code.

One class is one cause. A class fixes the code, the HTTP status, whether the same host may succeed
later (``retryable``), whether another host may (``reschedulable``) and who can mend it (``owner``);
an instance adds the facts. The two flags are independent: a fixed IP of another segment, say, will
never work on this host and must not be tried on another either.

Nothing here does I/O. The HTTP body of every error is :meth:`VifError.to_dict`.
"""

from __future__ import annotations

from vifd.errors.addresses import (
    AddressesUnresolved,
    DuplicateAddress,
    L2Required,
    WrongSegment,
)
from vifd.errors.adoption import (
    AdoptionAbsent,
    AdoptionUnfit,
    ReleaseUnfit,
    ReleaseUnsupported,
)
from vifd.errors.answers import OddAnswer
from vifd.errors.base import SCHEMA, InternalError, Owner, Scope, VifError, all_codes, causes, wrap
from vifd.errors.capability import (
    CapabilityError,
    FlavorImageConflict,
    MachineTypeUnsupported,
    MemoryEncrypted,
    MultiqueueUnsupported,
    NumaMismatch,
    PackedRingUnsupported,
    SharedMemoryMissing,
    TraitMissing,
    VifModelUnsupported,
    ViommuUnsupported,
)
from vifd.errors.domains import (
    GuestNetworkUnknown,
    GuestNotWired,
    GuestRunning,
    GuestUnfit,
    GuestUnknown,
)
from vifd.errors.feature import FeatureUnenforced
from vifd.errors.garbage import (
    GarbageChanged,
    GarbageIncomplete,
    GarbageLimit,
    GarbageUnknown,
    NotRestorable,
)
from vifd.errors.guests import GuestNotRunning, GuestRepairFailed, HypervisorError
from vifd.errors.host import ResourcesExhausted
from vifd.errors.journal import JournalDamaged, JournalError, JournalTooNew
from vifd.errors.migration import BindingUnbound, MigrationUnfit, MigrationUnknown
from vifd.errors.moving import BackendReturned, BackendUnfit
from vifd.errors.negotiation import (
    ContractVersion,
    NoCommonVersion,
    NoCommonVif,
    SwitchdevMissing,
    TokenStale,
    VnicUnsupported,
)
from vifd.errors.plug import (
    BackendError,
    BackendUnavailable,
    BridgeMissing,
    BridgeTaken,
    DeviceError,
    NameClash,
    PrivilegeMissing,
    SocketError,
)
from vifd.errors.plugins import (
    PluginMissing,
    PluginNotAsked,
    PluginRefused,
    PluginTimeout,
    PluginUnhealthy,
)
from vifd.errors.reconcile import ApprovalNeeded, Drift
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
    UnreadTooLarge,
    UnsupportedVersion,
)
from vifd.errors.segment import (
    MtuTooLarge,
    NoLocalVlan,
    PhysnetDown,
    PhysnetUnmapped,
    SegmentTypeUnsupported,
)
from vifd.errors.sets import (
    SetChanged,
    SetInUse,
    SetLimit,
    SetMissing,
    SetNotFound,
    SetStale,
)
from vifd.errors.state import (
    IllegalMove,
    NotPlugged,
    PartsDisagree,
    PartsMissing,
    PartStale,
    PortNotFound,
    PortUnrecorded,
    QueuesFixed,
    StateConflict,
    Superseded,
    WaitTimeout,
)
from vifd.errors.trunks import SubPortWaits, TrunkConflict
from vifd.errors.wire import UnplugPartial, WireTimeout

__all__ = [
    "SCHEMA",
    "AddressesUnresolved",
    "AdoptionAbsent",
    "AdoptionUnfit",
    "ApprovalNeeded",
    "BackendError",
    "BackendReturned",
    "BackendUnavailable",
    "BackendUnfit",
    "BadDocument",
    "BadHttp",
    "BindingUnbound",
    "BodyTooLarge",
    "BridgeMissing",
    "BridgeTaken",
    "Busy",
    "CapabilityError",
    "ContractVersion",
    "DeviceError",
    "Drift",
    "DuplicateAddress",
    "FeatureUnenforced",
    "FlavorImageConflict",
    "Forbidden",
    "GarbageChanged",
    "GarbageIncomplete",
    "GarbageLimit",
    "GarbageUnknown",
    "GuestNetworkUnknown",
    "GuestNotRunning",
    "GuestNotWired",
    "GuestRepairFailed",
    "GuestRunning",
    "GuestUnfit",
    "GuestUnknown",
    "HypervisorError",
    "IllegalMove",
    "InternalError",
    "JournalDamaged",
    "JournalError",
    "JournalTooNew",
    "L2Required",
    "MachineTypeUnsupported",
    "MediaTypeUnsupported",
    "MemoryEncrypted",
    "MethodNotAllowed",
    "MigrationUnfit",
    "MigrationUnknown",
    "MtuTooLarge",
    "MultiqueueUnsupported",
    "NameClash",
    "NoCommonVersion",
    "NoCommonVif",
    "NoLocalVlan",
    "NoSuchRoute",
    "NotPlugged",
    "NotRestorable",
    "NumaMismatch",
    "OddAnswer",
    "Owner",
    "PackedRingUnsupported",
    "PartStale",
    "PartsDisagree",
    "PartsMissing",
    "PhysnetDown",
    "PhysnetUnmapped",
    "PluginMissing",
    "PluginNotAsked",
    "PluginRefused",
    "PluginTimeout",
    "PluginUnhealthy",
    "PortNotFound",
    "PortUnrecorded",
    "PrivilegeMissing",
    "QueuesFixed",
    "ReleaseUnfit",
    "ReleaseUnsupported",
    "ResourcesExhausted",
    "Scope",
    "SegmentTypeUnsupported",
    "SetChanged",
    "SetInUse",
    "SetLimit",
    "SetMissing",
    "SetNotFound",
    "SetStale",
    "SharedMemoryMissing",
    "SocketError",
    "StateConflict",
    "Stopping",
    "SubPortWaits",
    "Superseded",
    "SwitchdevMissing",
    "TokenStale",
    "TraitMissing",
    "TrunkConflict",
    "UnknownRequired",
    "UnplugPartial",
    "UnreadTooLarge",
    "UnsupportedVersion",
    "VifError",
    "VifModelUnsupported",
    "ViommuUnsupported",
    "VnicUnsupported",
    "WaitTimeout",
    "WireTimeout",
    "WrongSegment",
    "all_codes",
    "causes",
    "wrap",
]  # fmt: skip
