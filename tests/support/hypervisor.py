"""A hypervisor without a process: guests are switched on and off by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from vifd import errors
from vifd.hypervisor import Guest, GuestInterface, Rest


class FakeHypervisor:
    """A :class:`vifd.hypervisor.Control` that keeps state.

    :ivar up: whether it answers
    :ivar effects: what was done to guests, in order: ``start <id>``, ``reattach <device>``
    :ivar on_start: called before a guest starts; what it raises is the start's failure
    :ivar on_reattach: called once an interface was taken out and put back
    """

    def __init__(self) -> None:
        self.up = True
        self.effects: list[str] = []
        self.on_start: Callable[[Guest], None] = lambda _guest: None
        self.on_reattach: Callable[[GuestInterface], None] = lambda _interface: None
        self._guests: dict[str, Guest] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._lives: list[Callable[[str, str, float], None]] = []

    # --- what tests set up ------------------------------------------------------------------------

    def define(
        self, guest: str, devices: Iterable[str] = (), *, name: str = "", running: bool = False,
        autostart: bool = False, rest: Rest = Rest.UNKNOWN, port: str = "",
    ) -> Guest:  # fmt: skip
        """Have a guest with these devices; one of that id is replaced."""
        name = name or f"guest-{guest[-2:]}"
        interfaces = tuple(
            GuestInterface(
                device, guest, name, f"52:54:00:00:00:{n:02x}", f"net{n}", running, port,
                "vhostuser" if device.startswith("/") else "ethernet",
            )
            for n, device in enumerate(devices)
        )  # fmt: skip
        self._guests[guest] = made = Guest(guest, name, running, autostart, rest, interfaces)
        self._tell(made)
        return made

    def run(self, guest: str, running: bool = True) -> None:
        """Switch a guest on or off."""
        old = self._guests[guest]
        interfaces = tuple(replace(i, running=running) for i in old.interfaces)
        self._guests[guest] = replace(old, running=running, interfaces=interfaces, rest=Rest.OFF)
        self._tell(old)

    def happen(self, guest: str, what: str, at: float = 1.0) -> None:
        """Something befell a guest."""
        for callback in self._lives:
            callback(guest, what, at)

    def on_life(self, callback: Callable[[str, str, float], None]) -> None:
        self._lives.append(callback)

    def undefine(self, guest: str) -> None:
        """Forget a guest."""
        self._tell(self._guests.pop(guest))

    def _tell(self, guest: Guest) -> None:
        for interface in guest.interfaces:
            for callback in self._callbacks:
                callback(interface.device)

    # --- the hypervisor ---------------------------------------------------------------------------

    def connected(self) -> bool:
        return self.up

    def interfaces(self) -> Mapping[str, GuestInterface]:
        found = sorted(
            (i for guest in self._guests.values() for i in guest.interfaces),
            key=lambda i: i.running,
        )
        return {i.device: i for i in found}

    def guests(self) -> Mapping[str, Guest]:
        return dict(self._guests)

    def facts(self) -> dict[str, Any]:
        return {"connected": self.up, "uri": "fake:///", "libvirt_version": "9.0.0"}

    def subscribe(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    def refresh(self, guest: str) -> Future[None]:
        del guest
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def start(self) -> None:
        self.up = True

    def close(self) -> None:
        self.up = False

    def start_guest(self, guest: str) -> None:
        self._reachable()
        self.effects.append(f"start {guest}")
        self.on_start(self._guests[guest])
        self.run(guest)

    def reattach(self, interface: GuestInterface, timeout: float) -> None:
        del timeout
        self._reachable()
        self.effects.append(f"reattach {interface.device}")
        self.on_reattach(interface)
        self._tell(self._guests[interface.guest])

    def _reachable(self) -> None:
        if not self.up:
            raise errors.HypervisorError(facts={"problem": "it is down"})
