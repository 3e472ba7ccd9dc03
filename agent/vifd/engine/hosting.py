"""Ports that other programs put on the host's switch: found, and forgotten when they go.

What is found is one side's part of a port, like what the network service says of it: whichever is
there first waits for the other. Nothing of theirs is touched.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping

from vifd.drivers import Drivers
from vifd.engine.decision import Request
from vifd.engine.engine import Engine
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import Parts, PortRecord, Side
from vifd.model.parts import hosted_part
from vifd.model.sides import Said
from vifd.model.status import hosted, untouched
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds after which it is looked again although nobody told of a change.
AGE = 10.0
#: Seconds after which a look will not end any more.
STUCK = 120.0
REQUEST = "hosted"

#: By port: the plugin and the device.
Found = Mapping[str, tuple[str, str]]


class Hosting:
    """A native thread that holds what plugins find against what was found before."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._wake = threading.Event()
        self._stopping = False
        self._thread = Steady(self._run, "hosting", patience=STUCK)
        #: ids of ports whose like was told to be somebody's else
        self._told: set[str] = set()
        #: switch ports that changed since the last look
        self._touched: set[str] = set()
        self._lock = threading.Lock()

    def subscribe(self, drivers: Drivers) -> None:
        """Look whenever the switch's ports change."""
        drivers.ovsdb.subscribe(self._changed)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def _changed(self, kind: str, name: str) -> None:
        if kind == "port":
            with self._lock:
                self._touched.add(name)
        if kind != "disconnected":
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            with self._thread.turn():
                self.look()
            self._wake.wait(AGE)
            self._wake.clear()

    def look(self) -> None:
        """Say what came, changed or went since the last look."""
        with self._lock:
            touched, self._touched = self._touched, set()
        for plugin in self._engine.plugins:
            try:
                found = self._engine.plugins[plugin].ports_of_others()
            except Exception:
                LOG.exception("plugin %s: ports_of_others", plugin)
                continue
            if found is not None:
                self._compare(plugin, {i: (plugin, device) for i, device in found.items()})
                self._again(i for i, device in found.items() if device in touched)

    def _again(self, ports: Iterable[str]) -> None:
        """Try ports that failed at once where their row is another one now: a device that was not
        there came, as after a reboot. No attempt of ours writes such a row, so this ends."""
        records = [r for i in ports if (r := self._journal.get(i)) is not None]
        failed = [r.id for r in records if r.error is not None and not r.removing]
        if failed:
            self._engine.again(failed)

    def _compare(self, plugin: str, found: Found) -> None:
        parts = self._journal.all_parts()
        known = {i: k for i, p in parts.items() if (k := _known(p)) and k[0] == plugin}
        for port_id in known.keys() - found.keys():
            self._say(Kind.UNPLUG, Said(port_id, Side.HOSTED, final=True))
        for port_id, (_, device) in found.items():
            if known.get(port_id) == (plugin, device):
                continue
            if self._is_ours(self._journal.get(port_id), device):
                continue
            if port_id in known:
                # it is another one: the flows of the first go with it
                self._say(Kind.UNPLUG, Said(port_id, Side.HOSTED, final=True))
            part = hosted_part(plugin, device, time.time())
            self._say(Kind.PLUG, Said(port_id, Side.HOSTED, part))

    def _is_ours(self, record: PortRecord | None, device: str) -> bool:
        """Whether the port is there already by our hand: two devices cannot be one port."""
        if record is None or record.removing or untouched(record):
            return False
        if hosted(record):
            return False
        made = record.names or record.wiring
        taken = made is not None and made.device == device  # its mark follows
        if not taken and record.id not in self._told:
            self._told.add(record.id)
            LOG.warning(
                "another program has a port %s with the id of a port that vifd made; it is left "
                "alone. Next: remove one of the two. port=%s", device, record.id,
            )  # fmt: skip
        return True

    def _say(self, kind: Kind, said: Said) -> None:
        self._engine.submit([Request(kind, Ticket(said.port, REQUEST), said=said)])


def _known(parts: Parts) -> tuple[str, str] | None:
    if parts.hosted is None:
        return None
    body = parts.hosted.body
    return str(body.get("plugin", "")), str(body.get("device", ""))
