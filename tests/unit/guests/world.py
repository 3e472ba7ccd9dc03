"""A machine of fakes with guests on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.hypervisor import FakeHypervisor
from unit.docs import document, port_id
from unit.machine import Machine
from vifd.drivers import Link
from vifd.engine import Settings
from vifd.guests.watch import GuestWatch
from vifd.testing.plugin import FakeBackend
from vifd.testing.wait import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Taps:
    """The carriers of taps, as the kernel shows them."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.callbacks: list[Callable[[str, bool], None]] = []

    def make(self, name: str, *, carrier: bool, up: bool = True, queues: int = 0) -> None:
        self.links[name] = Link(name, 7, "", 1500, up, carrier, kind="tun", queues=queues)
        for call in self.callbacks:
            call(name, True)

    def get(self, names):
        return {name: self.links[name] for name in names if name in self.links}

    def subscribe(self, callback):
        self.callbacks.append(callback)


class World:
    """An engine with a fake plugin; its ports' devices are what the plugin names."""

    def __init__(self, path: Path) -> None:
        self.machine = Machine(path, FakeBackend(), Settings(verify=1.0, retry_first=0.01))
        self.machine.boot()
        self.hypervisor = FakeHypervisor()
        self.taps = Taps()
        self.clock = Clock()
        #: taps that a process has open, whatever their carrier says
        self.held: set[str] = set()
        links: Any = self.taps
        self.watch = GuestWatch(
            self.machine.engine, self.machine.journal, self.hypervisor, links, clock=self.clock,
            held=lambda device: device in self.held,
        )  # fmt: skip
        self.machine.engine.hooks.extra_evidence = self.watch.evidence

    def guest(self, number: int = 1, **state) -> str:
        """Plug a port and have a guest on it; the name of the device."""
        wiring = self.machine.plug(document(number)).wiring
        assert wiring is not None
        device = wiring.device
        state = {"running": True, **state}
        self.hypervisor.define(f"{number:08x}-aaaa", [device], name=f"vm{number}", **state)
        self.taps.make(device, carrier=state["running"])
        return device

    def record(self, number: int = 1):
        return self.machine.record(number)

    def checked(self, number: int = 1):
        self.machine.agent.check(port_id(number), "req-c").result(PATIENCE)
        return self.record(number)

    def halt(self) -> None:
        self.machine.halt()
