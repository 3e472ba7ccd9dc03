"""libvirt's Python binding as far as vifd uses it, with domains that a test switches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vifd.testing.wait import PATIENCE


class libvirtError(Exception):
    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code

    def get_error_code(self) -> int:
        return self.code


@dataclass
class Domain:
    """A domain, and the handle of it at the same time."""

    binding: Binding
    id: str
    devices: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    running: bool = False
    auto: int = 0
    rest: tuple[int, int] = (5, 0)
    lets_go: bool = True
    attach_fails: int = 0

    def UUIDString(self) -> str:
        return self.id

    def name(self) -> str:
        return f"name-{self.id[-1]}"

    def isActive(self) -> int:
        return int(self.running)

    def isPersistent(self) -> int:
        return 1

    def autostart(self) -> int:
        return self.auto

    def state(self) -> list[int]:
        return [1, 1] if self.running else list(self.rest)

    def XMLDesc(self, flags: int) -> str:
        self.binding.called("XMLDesc")
        present = self.devices if self.running and not flags else {**self.devices, **self.later}
        inner = "".join(
            f"<interface type='ethernet'><mac address='{mac}'/><target dev='{device}'/>"
            f"<model type='virtio'/></interface>"
            for device, mac in present.items()
        )
        head = f"<uuid>{self.id}</uuid><name>{self.name()}</name>"
        return f"<domain>{head}<devices>{inner}</devices></domain>"

    def create(self) -> None:
        self.binding.called(f"create {self.id}")
        self.running = True
        self.binding.announce(self)

    def detachDeviceFlags(self, xml: str, flags: int) -> None:
        assert flags == self.binding.VIR_DOMAIN_AFFECT_LIVE
        self.binding.called("detach")
        self.asked = xml
        if self.lets_go:
            self.let_go()

    def let_go(self) -> None:
        """The guest gives the device back."""
        gone = next(device for device in self.devices if device in self.asked)
        self.later[gone] = self.devices.pop(gone)
        self.binding.announce(self)

    def attachDeviceFlags(self, xml: str, flags: int) -> None:
        assert flags == self.binding.VIR_DOMAIN_AFFECT_LIVE
        self.binding.called("attach")
        if self.attach_fails:
            self.attach_fails -= 1
            raise libvirtError("no free PCI slot")
        assert xml == self.asked
        device = next(device for device in self.later if device in xml)
        self.devices[device] = self.later.pop(device)
        self.binding.announce(self)


class Connection:
    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.callbacks: list[Callable[..., None]] = []
        self.on_close: Callable[..., None] | None = None

    def setKeepAlive(self, interval: int, count: int) -> int:
        assert min(interval, count) > 0
        return 0

    def isAlive(self) -> int:
        return int(self.binding.up and self in self.binding.connections)

    def registerCloseCallback(self, call: Callable[..., None], _: Any) -> None:
        self.on_close = call

    def unregisterCloseCallback(self) -> None:
        self.on_close = None

    def domainEventRegisterAny(self, _d: Any, _k: int, call: Any, _o: Any) -> int:
        self.callbacks.append(call)
        return len(self.callbacks)

    def domainEventDeregisterAny(self, _number: int) -> None:
        self.callbacks.clear()

    def close(self) -> int:
        if self in self.binding.connections:
            self.binding.connections.remove(self)
        return 0

    def listAllDomains(self) -> list[Domain]:
        self.binding.called("listAllDomains")
        return list(self.binding.domains.values())

    def lookupByUUIDString(self, guest: str) -> Domain:
        self.binding.called("lookup")
        if guest not in self.binding.domains:
            raise libvirtError("no domain", self.binding.VIR_ERR_NO_DOMAIN)
        return self.binding.domains[guest]

    def getVersion(self) -> int:
        return 7_002_022

    def getLibVersion(self) -> int:
        return 9_000_000

    def getType(self) -> str:
        return "QEMU"

    def getCapabilities(self) -> str:
        return self.binding.capabilities

    def getDomainCapabilities(self, *_: Any) -> str:
        raise libvirtError("unsupported")


class Binding:
    """The module."""

    libvirtError = libvirtError
    VIR_ERR_NO_DOMAIN = 42
    VIR_ERR_AUTH_UNAVAILABLE = 79
    VIR_DOMAIN_XML_INACTIVE = 2
    VIR_DOMAIN_AFFECT_LIVE = 1
    VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_CRASHED = 5, 6
    VIR_DOMAIN_SHUTOFF_UNKNOWN, VIR_DOMAIN_SHUTOFF_CRASHED = 0, 3
    VIR_DOMAIN_SHUTOFF_FAILED, VIR_DOMAIN_SHUTOFF_DAEMON = 6, 8
    VIR_DOMAIN_EVENT_ID_LIFECYCLE = 0
    VIR_DOMAIN_EVENT_ID_DEVICE_ADDED = 19
    VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED = 15

    def __init__(self) -> None:
        self.up = True
        #: how it refuses a connection that may act on guests
        self.denied: libvirtError | None = None
        self.domains: dict[str, Domain] = {}
        self.connections: list[Connection] = []
        self.calls: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.capabilities = (
            "<capabilities><host><cpu><arch>x86_64</arch></cpu></host></capabilities>"
        )

    def open(self, uri: str) -> Connection:
        if not self.up:
            raise libvirtError(f"Failed to connect to {uri}", 38)
        if self.denied is not None:
            raise self.denied
        made = Connection(self)
        self.connections.append(made)
        return made

    def openReadOnly(self, uri: str) -> Connection:
        self.called("read only")
        denied, self.denied = self.denied, None
        try:
            return self.open(uri)
        finally:
            self.denied = denied

    def called(self, what: str) -> None:
        self.calls.append(what)
        self.gate.wait(PATIENCE)
        if not self.up:
            raise libvirtError("End of file while reading data", 38)

    # --- what tests do ---

    def domain(self, number: int, *devices: str, **state: Any) -> Domain:
        guest = f"00000000-0000-4000-8000-{number:012x}"
        macs = {device: f"52:54:00:00:00:{n:02x}" for n, device in enumerate(devices)}
        made = self.domains[guest] = Domain(self, guest, macs, **state)
        self.announce(made)
        return made

    def announce(self, domain: Domain) -> None:
        for connection in list(self.connections):
            for call in connection.callbacks[:1]:
                call(connection, domain, 0, 0, None)

    def die(self) -> None:
        """The daemon ends; connections notice."""
        self.up = False
        for connection in list(self.connections):
            if connection.on_close is not None:
                connection.on_close(connection, 1, None)
