"""What a port and its guest need of a host. Values only; they come from :mod:`.rules`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from msgspec import Struct

from vifd.errors import VifError


class Kind(StrEnum):
    """What a need is about; it decides the error."""

    VNIC = "vnic"
    SWITCHDEV = "switchdev"
    TRUST = "trust"
    MODEL = "vif_model"
    MULTIQUEUE = "multiqueue"
    PACKED = "packed_ring"
    VIOMMU = "viommu"
    MACHINE = "machine_type"
    ENCRYPTION = "mem_encryption"
    PAGES = "hugepages"
    TRAIT = "trait"


class Need(Struct, frozen=True):
    """A capability that the host must have.

    :param anyof: names of capabilities, one of which is enough
    :param wanted: what was asked for, in the words of who asked
    :param source: who asks for it
    :param advice: what lacks is said, and no reason to refuse
    :param forbidden: it must *not* be there; said, and no reason to refuse either: what the
        scheduler chose by may have changed since, and nothing of the port depends on it
    :param strict: a name that no source of the host tells of is as good as absent
    """

    kind: Kind
    anyof: tuple[str, ...]
    wanted: Any
    source: str
    advice: bool = False
    forbidden: bool = False
    strict: bool = False


class Parameter(Struct, frozen=True):
    """A property that the port or the guest's device gets."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True)
class Needs:
    """What one attachment needs.

    :param needs: in the order of the rules
    :param parameters: by name
    :param conflicts: why what is asked for cannot be, on any host
    :param ignored: what is asked for and has no effect, in words
    """

    port: str
    vnic_type: str = "normal"
    needs: tuple[Need, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    conflicts: tuple[VifError, ...] = ()
    ignored: tuple[str, ...] = ()

    def value(self, name: str, default: Any = None) -> Any:
        """A parameter's value."""
        found = self.parameters.get(name)
        return default if found is None else found.value

    @property
    def traits(self) -> list[str]:
        """The traits without which nothing goes, each name once: for a scheduler."""
        must = (n for n in self.needs if not (n.advice or n.forbidden) and len(n.anyof) == 1)
        return sorted({need.anyof[0] for need in must})

    @property
    def queues(self) -> int:
        """Queue pairs that the guest's device shall have."""
        return int(self.value("queues", 1))

    @property
    def model(self) -> str:
        """The device model; empty where hardware is passed through."""
        return str(self.value("model", ""))

    @property
    def page_size(self) -> str:
        """``large``, ``any``, ``small``, a size, or empty."""
        return str(self.value("page_size", ""))

    @property
    def shared_memory(self) -> bool:
        """Whether the flavor has the guest's memory shared with others on the host."""
        return bool(self.value("shared_memory", False))

    @property
    def encrypted(self) -> bool:
        return bool(self.value("encrypted", False))

    @property
    def locked_memory(self) -> bool:
        return bool(self.value("locked_memory", False))

    @property
    def packed_ring(self) -> bool:
        return bool(self.value("packed_ring", False))

    @property
    def viommu(self) -> str:
        """The model of the virtual IOMMU, or empty."""
        return str(self.value("viommu", ""))

    @property
    def machine_type(self) -> str:
        return str(self.value("machine_type", ""))

    @property
    def numa_policy(self) -> str:
        """``required``, ``preferred``, ``socket`` or ``legacy``, which is nova's default."""
        return str(self.value("numa_policy", "legacy"))

    @property
    def trusted(self) -> bool:
        return bool(self.value("trusted", False))
