"""What runs on this host: guests, and the devices they hold.

The daemon works without it: where no hypervisor is known, nobody is known to hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class GuestInterface:
    """One network interface of a guest.

    :param device: the host's end: a tap's name, or the path of a vhost-user socket
    :param guest: the guest's UUID, which is the instance's
    :param name: the guest's name
    :param mac: in lower case
    :param alias: the hypervisor's own name of the interface, e.g. ``net0``
    :param running: whether the guest runs; a defined guest that is off holds nothing
    """

    device: str
    guest: str
    name: str = ""
    mac: str = ""
    alias: str = ""
    running: bool = True


class Hypervisor(Protocol):
    """What the rest of vifd may ask; answers come from memory, no call blocks."""

    def connected(self) -> bool:
        """Whether the hypervisor answers now."""

    def interfaces(self) -> Mapping[str, GuestInterface]:
        """By device, every interface of every defined guest."""

    def facts(self) -> dict[str, Any]:
        """Versions and what the hypervisor says of its capabilities, for the host's inventory."""

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(device)`` called on a native thread when a guest's use of it changes;
        the empty string stands for all."""


class NoHypervisor:
    """A host where none is configured, or none can be reached."""

    def connected(self) -> bool:
        return False

    def interfaces(self) -> Mapping[str, GuestInterface]:
        return {}

    def facts(self) -> dict[str, Any]:
        return {}

    def subscribe(self, callback: Callable[[str], None]) -> None:
        del callback
