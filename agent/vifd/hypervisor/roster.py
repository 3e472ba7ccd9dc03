"""The guests of this host as they were last read, and who is told when that changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from vifd.hypervisor import Guest, GuestInterface

#: More changed devices than this at once are announced as "all".
_MANY = 32
_ALL = ""


class Roster:
    """Replaced as a whole by one thread, and read by any.

    :ivar guests: by UUID
    :ivar interfaces: by device; where two guests claim one, the one that runs has it
    :ivar changed: notified when something is different
    """

    def __init__(self) -> None:
        self.guests: Mapping[str, Guest] = {}
        self.interfaces: Mapping[str, GuestInterface] = {}
        self.changed = threading.Condition()
        self._callbacks: list[Callable[[str], None]] = []

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(device)`` called on the writer's thread."""
        self._callbacks.append(callback)

    def merge(self, found: Mapping[str, Guest | None]) -> None:
        """Take what was read of some guests; ``None`` stands for one that is gone."""
        guests = {k: v for k, v in self.guests.items() if k not in found}
        self.replace(guests | {k: v for k, v in found.items() if v is not None})

    def replace(self, guests: Mapping[str, Guest]) -> None:
        """Take what was read of all guests."""
        old, self.guests = self.guests, guests
        different = [k for k in old.keys() | guests.keys() if old.get(k) != guests.get(k)]
        if not different:
            return
        found = sorted((i for g in guests.values() for i in g.interfaces), key=lambda i: i.running)
        self.interfaces = {interface.device: interface for interface in found}
        with self.changed:
            self.changed.notify_all()
        both = [g for k in different for g in (old.get(k), guests.get(k)) if g is not None]
        self.tell({i.device for guest in both for i in guest.interfaces})

    def tell(self, devices: set[str]) -> None:
        """Tell everybody that something about these devices changed."""
        for device in {_ALL} if len(devices) > _MANY else devices:
            for callback in self._callbacks:
                callback(device)

    def tell_all(self) -> None:
        """Tell everybody that anything may have changed."""
        self.tell({_ALL})

    def without(self, interface: GuestInterface) -> bool:
        """Whether the guest is known and has no interface of this MAC in use."""
        guest = self.guests.get(interface.guest)
        have = guest.interfaces if guest is not None else ()
        return not any(i.running and i.mac == interface.mac for i in have)

    def facts(self) -> dict[str, int]:
        """Counts of guests."""
        guests = self.guests.values()
        running = sum(guest.running for guest in guests)
        return {"guests_running": running, "guests_defined": len(guests)}
