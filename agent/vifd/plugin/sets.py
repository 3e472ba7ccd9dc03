"""Shared sets as plugins see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vifd.model.sets import (
    AddressGroup,
    Behind,
    Forwarding,
    GroupLog,
    SecurityGroup,
    SetBody,
    SetKey,
    SetPart,
)

__all__ = ["Behind", "NoSets", "SetChange", "SetPart", "Sets"]


class Sets(Protocol):
    """The sets of the journal, as they are now: on disk. Read from memory, on any thread."""

    def security_group(self, group_id: str) -> SecurityGroup | None:
        """A security group; ``None`` where it is not known on this host."""

    def address_group(self, group_id: str) -> AddressGroup | None:
        """An address group."""

    def forwarding(self, network_id: str) -> Forwarding | None:
        """The forwarding of a network."""

    def logs(self) -> Sequence[GroupLog]:
        """The logs of security groups that are switched on."""


class NoSets:
    """There are none."""

    def security_group(self, group_id: str) -> SecurityGroup | None:
        del group_id
        return None

    def address_group(self, group_id: str) -> AddressGroup | None:
        del group_id
        return None

    def forwarding(self, network_id: str) -> Forwarding | None:
        del network_id
        return None

    def logs(self) -> Sequence[GroupLog]:
        return ()


@dataclass(frozen=True)
class SetChange:
    """What became of one set since the plugin was last told.

    :param before: as the plugin was last told of it; ``None``: it was not there
    :param after: as it is now; ``None``: it is gone
    :param added: the pieces that came, and the new form of those that changed
    :param removed: the pieces that went, and the old form of those that changed
    :param local: of a security group, the ports of this host that joined it, left it, or have other
        addresses now: its effective members may have changed although its owner changed nothing
    """

    key: SetKey
    before: SetBody | None = None
    after: SetBody | None = None
    added: tuple[SetPart, ...] = ()
    removed: tuple[SetPart, ...] = ()
    local: frozenset[str] = frozenset()
