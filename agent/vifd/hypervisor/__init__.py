"""What runs on this host: guests, and the devices they hold.

The daemon works without it: where no hypervisor is known, nobody is known to hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from vifd.errors import HypervisorError


@dataclass(frozen=True)
class GuestInterface:
    """One network interface of a guest.

    :param device: the host's end: a tap's name, or the path of a vhost-user socket
    :param guest: the guest's UUID, which is the instance's
    :param name: the guest's name
    :param mac: in lower case
    :param alias: the hypervisor's own name of the interface, e.g. ``net0``
    :param running: whether the guest runs with it; a defined guest that is off holds nothing
    :param port: the port's id, where the guest's definition names it (``interfaceid``)
    :param kind: the hypervisor's type of interface: ``ethernet``, ``bridge``, ``vhostuser``…
    :param bandwidth: what it is limited to, kB/s by ``inbound average`` and its like
    """

    device: str
    guest: str
    name: str = ""
    mac: str = ""
    alias: str = ""
    running: bool = True
    port: str = ""
    kind: str = "ethernet"
    bandwidth: tuple[tuple[str, int], ...] = ()


class Rest(StrEnum):
    """Why a guest that does not run does not."""

    OFF = "off"  #: it was shut down, or somebody ended it
    FAILED = "failed"  #: its start failed
    CRASHED = "crashed"
    UNKNOWN = "unknown"  #: the hypervisor does not remember; so after its own restart


@dataclass(frozen=True)
class Guest:
    """A guest as the hypervisor last described it.

    :param id: its UUID
    :param running: it has a process; it may be paused
    :param autostart: the hypervisor shall start it with the host
    :param rest: why it does not run; meaningless while it does
    :param arrived: it runs, and is not paused, since a migration brought it here
    """

    id: str
    name: str
    running: bool
    autostart: bool = False
    rest: Rest = Rest.UNKNOWN
    interfaces: tuple[GuestInterface, ...] = ()
    arrived: bool = False


class Hypervisor(Protocol):
    """What the rest of vifd may ask; answers come from memory, no call blocks.

    While the hypervisor is down the last answers stand: its guests run on without it.
    """

    def connected(self) -> bool:
        """Whether the hypervisor answers now."""

    def interfaces(self) -> Mapping[str, GuestInterface]:
        """By device, every interface of every defined guest."""

    def guests(self) -> Mapping[str, Guest]:
        """By UUID, every guest, running or defined."""

    def facts(self) -> dict[str, Any]:
        """Versions and what the hypervisor says of its capabilities, for the host's inventory."""

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(device)`` called on a native thread when a guest's use of it changes;
        the empty string stands for all."""

    def on_life(self, callback: Callable[[str, str, float], None]) -> None:
        """Have ``callback(guest, what, at)`` called when something befell a guest in a migration
        (``resumed: migrated``…), on a thread that may neither block nor log."""

    def refresh(self, guest: str) -> Future[None]:
        """Read a guest anew; done when the answers above are as fresh."""


class Control(Hypervisor, Protocol):
    """What is done to guests, by this host's own hand. These calls block; native threads only."""

    def start(self) -> None:
        """Begin to look for the hypervisor."""

    def close(self) -> None:
        """Let go of it."""

    def start_guest(self, guest: str) -> None:
        """Start a guest that is off.

        :raises vifd.errors.HypervisorError: the hypervisor's own words
        """

    def reattach(self, interface: GuestInterface, timeout: float) -> None:
        """Take an interface out of a running guest and put the same one back.

        :raises vifd.errors.GuestRepairFailed: with what was reached
        :raises vifd.errors.HypervisorError: nothing was changed
        """


class NoHypervisor:
    """A host where none is configured, or none can be reached."""

    def __init__(self, reason: str = "disabled") -> None:
        self._reason = reason

    def connected(self) -> bool:
        return False

    def interfaces(self) -> Mapping[str, GuestInterface]:
        return {}

    def guests(self) -> Mapping[str, Guest]:
        return {}

    def facts(self) -> dict[str, Any]:
        return {"connected": False, "problem": self._reason}

    def subscribe(self, callback: Callable[[str], None]) -> None:
        del callback

    def on_life(self, callback: Callable[[str, str, float], None]) -> None:
        del callback

    def refresh(self, guest: str) -> Future[None]:
        del guest
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def start(self) -> None:
        """There is nothing to look for."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def start_guest(self, guest: str) -> None:
        del guest
        raise HypervisorError(facts={"problem": self._reason}, stage="libvirt")

    def reattach(self, interface: GuestInterface, timeout: float) -> None:
        del interface, timeout
        raise HypervisorError(facts={"problem": self._reason}, stage="libvirt")
