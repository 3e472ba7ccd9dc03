"""Finds guests that run on a device they lost, on a native thread of its own.

What it finds is kept in memory, where a check of the port reads it: a lane never waits for libvirt.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout

from vifd import errors
from vifd.drivers import Link, Links
from vifd.engine import Engine
from vifd.guests import finding
from vifd.guests.matching import interface_of, ports_of
from vifd.hypervisor import GuestInterface, Hypervisor
from vifd.model import Evidence, PortRecord, limited
from vifd.model.event import Event
from vifd.safety import holders
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds for which a device must be without its guest: one that starts or ends is so for a moment.
CONFIRM = 1.0
#: Seconds to wait for the hypervisor's latest word on a guest.
PATIENCE = 3.0
#: Seconds between two looks at the least.
SHORTEST = 0.2
#: Seconds between two looks at everything.
ROUND = 30.0

_ALL = ""


class GuestWatch:
    """The thread, and what it found.

    :param clock: for intervals
    :param held: whether a process has a tap open that has no carrier
    """

    def __init__(
        self, engine: Engine, journal: Journal, hypervisor: Hypervisor,
        links: Links | None = None, *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[str], bool] = holders.held,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._journal = journal
        self._hypervisor = hypervisor
        self._links = links
        self._clock = clock
        self._held = held
        self._lost: dict[str, GuestInterface] = {}
        #: port: since when its device is seen without its guest
        self._since: dict[str, float] = {}
        self._devices: set[str] = set()
        self._ports: set[str] = set()
        #: devices of which the hypervisor told something new
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._rounded = clock()
        self._stopping = False
        self._thread = Steady(self._run, "guest-watch")

    def start(self) -> None:
        self._hypervisor.subscribe(self._guest_changed)
        if self._links is not None:
            self._links.subscribe(lambda name, _exists: self._device(name))
        self._engine.bus.listen(self._event)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- what others ask ---

    @property
    def lost(self) -> int:
        """How many ports are without their running guest."""
        return len(self._lost)

    def evidence(self, record: PortRecord) -> list[Evidence]:
        """What is known of the port's guest; from memory."""
        interface = interface_of(record, self._hypervisor.interfaces())
        if interface is None:
            return []
        asked = [limited.asked_in(dict(interface.bandwidth))] if interface.bandwidth else []
        if record.id in self._lost and interface.running:
            return [finding.lost(interface, matters=record.open), *asked]
        return [finding.held(interface), *asked]

    def without_guest(self, record: PortRecord) -> GuestInterface | None:
        """The running guest's interface, where the guest does not have the device open now."""
        interface = interface_of(record, self._hypervisor.interfaces())
        if interface is None or not finding.suspicious(record, interface, self._link(interface)):
            return None
        return None if self._held(interface.device) else interface

    def look_again(self, port_id: str) -> None:
        """Have a port looked at: somebody changed something about it."""
        with self._lock:
            self._ports.add(port_id)
        self._wake.set()

    # --- events, on others' threads ---

    def _device(self, name: str) -> None:
        if name == _ALL or name in self._hypervisor.interfaces():
            with self._lock:
                self._devices.add(name)
            self._wake.set()

    def _guest_changed(self, name: str) -> None:
        """A guest was started, stopped or changed: its port's evidence says so, too."""
        with self._lock:
            self._told.add(name)
        self._device(name)

    def _event(self, event: Event) -> None:
        if event.port and event.event != "unplugged":
            record = self._journal.get(event.port)
            if record and interface_of(record, self._hypervisor.interfaces()):
                self.look_again(event.port)

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping:
            pause = ROUND
            try:
                pause = self.turn()
            except Exception:
                LOG.exception("looking at the guests' devices failed; it goes on")
            self._wake.wait(pause)
            self._wake.clear()

    def turn(self) -> float:
        """Look at what is due; returns the seconds until there may be something again."""
        now = self._clock()
        with self._lock:
            devices, self._devices = self._devices, set()
            ports, self._ports = self._ports, set()
            told, self._told = self._told, set()
        records = self._journal.records()
        if _ALL in devices or now - self._rounded >= ROUND:
            self._rounded = now
            devices = set(self._hypervisor.interfaces())
        used = [i for d, i in self._hypervisor.interfaces().items() if d in devices]
        ports |= {record.id for record in ports_of(used, records).values()}
        ports |= self._lost.keys() | self._since.keys()
        changed = {p for p in ports if self._judge(p, records.get(p), now)}
        news = [i for d, i in self._hypervisor.interfaces().items() if d in told]
        changed |= {record.id for record in ports_of(news, records).values()}
        if changed:
            self._engine.again(changed)
        waits = [at + CONFIRM - now for at in self._since.values()]
        return max(SHORTEST, min([*waits, self._rounded + ROUND - now]))

    def _judge(self, port_id: str, record: PortRecord | None, now: float) -> bool:
        """Look at one port; whether what is known of it changed."""
        interface = self.without_guest(record) if record is not None else None
        if record is None or interface is None:
            self._since.pop(port_id, None)
            return self._lost.pop(port_id, None) is not None
        if port_id in self._lost:
            return not finding.told(record)
        since = self._since.setdefault(port_id, now)
        if now - since < CONFIRM:
            return False
        if finding.outdated(record, interface, now - since, time.time()):
            return True
        if not self._still_runs(interface):
            return False
        self._since.pop(port_id)
        self._lost[port_id] = interface
        LOG.warning(
            "guest %s runs, but lost its device %s: it holds one that is no more; vifctl port "
            "repair %s brings it back", interface.name, interface.device, port_id,
        )  # fmt: skip
        return True

    def _still_runs(self, interface: GuestInterface) -> bool:
        """Ask the hypervisor once more: its news of an ended guest may be on their way."""
        try:
            self._hypervisor.refresh(interface.guest).result(PATIENCE)
        except (errors.HypervisorError, FutureTimeout):
            return False
        fresh = self._hypervisor.interfaces().get(interface.device)
        return fresh is not None and fresh.running

    def _link(self, interface: GuestInterface | None) -> Link | None:
        if interface is None or self._links is None or interface.device.startswith("/"):
            return None
        return self._links.get([interface.device]).get(interface.device)
