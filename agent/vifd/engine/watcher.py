"""Turns events of the host into ports to look at, and keeps the engine's clock.

Events only mark; the engine looks. A port is looked at when an event about it is newer than its
last report and has settled for a moment, so that the echo of our own work costs nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence, Set

from vifd.drivers import Drivers
from vifd.drivers.nft.objects import ANSWERED, TABLE
from vifd.engine import Engine
from vifd.engine.returning import Returning
from vifd.engine.unwell import Unwell
from vifd.model import Phase, PortRecord
from vifd.openflow.mark import ours
from vifd.openflow.monitor import Update
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: How long an event must be old before its port is looked at, in seconds.
SETTLE = 0.3
#: The clock jumped when it moved by so many seconds more or less than time went by.
JUMP = 1.0
#: After so many seconds a port is looked at although its events do not end.
PATIENCE = 3.0
#: Seconds after which a turn will not end any more.
STUCK = 120.0

#: So many seconds the device of a port that went may still make events.
LEFT_BEHIND = 30.0
#: Seconds at least between two looks at every port because of flows of others.
STRANGERS = 10.0
#: Phases of ports that are about to be proven anyhow.
_IN_WORK = frozenset({Phase.BOUND, Phase.PLUGGING, Phase.ISOLATED})
#: Stands for the packet filter beside the bridges.
_RULES = ""
#: Suspects every device.
_ALL = ""


class Watcher:
    """A native thread: engine's ticks, driver events, the periodic check.

    :param interval: seconds between two checks of every port, read anew each time; 0 for never
    :param reassert: called every ``reassert_interval()`` seconds
    :param clock: for intervals
    :param wall: what the times of reports are compared with
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        interval: Callable[[], float],
        reassert: Callable[[], None],
        reassert_interval: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._interval = interval
        self._reassert = reassert
        self._reassert_interval = reassert_interval
        self._clock = clock
        self._wall = wall
        self._checked = self._asserted = clock()
        self._offset = wall() - clock()
        self._spread = random.random() / 4
        #: device: when its first and its last event came that were not looked at yet
        self._suspects: dict[str, tuple[float, float]] = {}
        #: of the ports that were there at the last look, and of those that went since, and when
        self._devices: Set[str] = frozenset()
        self._gone: dict[str, float] = {}
        self._bridge_of: Callable[[str], str | None] = lambda name: None
        self._bridge_there: Callable[[str], bool] = lambda name: True
        self._returning = Returning()
        self._unwell = Unwell()
        #: bridges whose flow connection was lost; known to the thread that tells of them alone
        self._cut_off: set[str] = set()
        #: whether flows of others on our path changed since they were minded, and when that was
        self._strangers, self._met = False, clock() - STRANGERS
        #: how many of our flows others changed, by bridge, since that was told
        self._changes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = Steady(self._run, "watcher", patience=STUCK)

    def subscribe(self, drivers: Drivers) -> None:
        """Hear of the host from now on; before the engine starts, so that nothing is missed."""
        self._bridge_of = lambda name: getattr(drivers.ovsdb.port(name), "bridge", None)
        self._bridge_there = lambda name: drivers.ovsdb.bridge(name) is not None
        drivers.links.subscribe(self._link)
        drivers.ovsdb.subscribe(self._ovsdb)
        drivers.openflow.subscribe(self._openflow)
        drivers.openflow.watch(self._flows)
        drivers.openflow.watch_ports(self._switch_port)
        if drivers.nft is not None:
            drivers.nft.subscribe(self._rules)

    def wake(self) -> None:
        """The engine has something to do earlier than it said."""
        self._wake.set()

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- events, on the drivers' threads ---

    def _link(self, name: str, exists: bool) -> None:
        self._device_changed(name)
        if not name or self._leads_out(name):
            self._engine.lanes.probe_all()
            self._returning.note(name, there=exists)

    def _ovsdb(self, kind: str, name: str) -> None:
        self._poke_verifiers()
        if kind == "port":
            self._suspect(name)
            if self._leads_out(name, self._bridge_of(name)):
                self._engine.lanes.probe_all()
        elif kind in ("connected", "disconnected"):
            LOG.info("the switch database is %s", kind)
            self._engine.lanes.probe_all()
            self._suspect_all()
        else:
            self._suspect(name)
            self._returning.note(name, there=self._bridge_there(name))
            self._engine.lanes.probe_all()

    def _openflow(self, bridge: str, connected: bool) -> None:
        if not connected:
            self._cut_off.add(bridge)
            self._engine.lanes.probe_all()
        elif bridge in self._cut_off:
            self._cut_off.discard(bridge)
            self._engine.lanes.reconnected(bridge)
        self._poke_verifiers()
        self._suspect_all()

    def _flows(self, bridge: str, updates: Sequence[Update]) -> None:
        """Somebody else changed flows of a bridge."""
        number = sum(ours(update.cookie) for update in updates)
        if number:
            with self._lock:
                self._changes[bridge] = self._changes.get(bridge, 0) + number
            self._poke_verifiers()
            self._suspect_all()
        elif self._is_way_out(bridge) or any(self._concerns(update) for update in updates):
            self._strangers = True
            self._wake.set()

    def _is_way_out(self, bridge: str) -> bool:
        """Whether networks leave the host by a bridge: any of its flows may cut them."""
        probes = list(self._engine.probes.values())
        return any(u.device == bridge for p in probes for u in p.physical_networks.values())

    def _concerns(self, update: Update) -> bool:
        """Whether a flow of others may stand in the way of ports, as their plugins see it."""
        try:
            return any(plugin.concerned_by(update) for plugin in self._engine.plugins.values())
        except Exception:
            LOG.exception("a plugin could not judge a flow of others; it counts as in the way")
            return True

    def _switch_port(self, bridge: str, name: str) -> None:
        """Settings or state of a port changed: by OpenFlow, or by a spanning tree."""
        self._suspect(name)
        self._leads_out(name, bridge)

    def pulse_changed(self) -> None:
        """What plugins work through fell silent, or answers again."""
        self._engine.lanes.probe_all()
        self._poke_verifiers()
        self._suspect_all()

    def _rules(self, table: str) -> None:
        """Somebody else changed a table of the packet filter."""
        if table in ("", TABLE, ANSWERED):
            with self._lock:
                self._changes[_RULES] = self._changes.get(_RULES, 0) + 1
            self._poke_verifiers()
            # until it is mended frames pass that shall not: no waiting for more of it
            self._suspect(_ALL, settled=True)
        else:
            # a filter of other software may be in the way, or no longer
            self._strangers = True
            self._wake.set()

    def _leads_out(self, name: str, bridge: str | None = None) -> bool:
        """Whether networks leave the host by this device or switch port, as the plugins say. What
        they lean on is marked then as well: a port that is gone is on no bridge any more.

        :param bridge: that the switch port is on
        """
        probes = list(self._engine.probes.values())
        ways = [u for p in probes for u in (*p.physical_networks.values(), *p.tunnels.values())]
        mine = {u.device for u in ways if name in (u.device, *u.devices) or bridge == u.device}
        for device in mine:
            self._suspect(device)
        return bool(mine)

    def _device_changed(self, name: str) -> None:
        self._poke_verifiers()
        self._suspect(name or _ALL)

    def _poke_verifiers(self) -> None:
        for lane in self._engine.lanes.values():
            lane.changed.set()

    def _suspect(self, device: str, *, settled: bool = False) -> None:
        now = self._wall()
        with self._lock:
            first = not self._suspects
            since, _ = self._suspects.get(device, (now, now))
            self._suspects[device] = (now - PATIENCE if settled else since, now)
        if first or settled:
            self._wake.set()

    def _suspect_all(self) -> None:
        self._suspect(_ALL)

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping:
            pause = 1.0
            try:
                with self._thread.turn():
                    pause = self.turn()
            except Exception:
                LOG.exception("the watcher failed; it goes on")
            self._wake.wait(pause)
            self._wake.clear()

    def turn(self) -> float:
        """Do what is due; returns the seconds until there may be something again."""
        due = self._engine.tick()
        self._mind_the_clock()
        self._journal.try_again()
        self._periodic(self._clock())
        for plugin in self._unwell.due(dict(self._engine.probes), self._clock()):
            self._engine.lanes.probe(plugin)
        self._strange(self._clock())
        self._look()
        with self._lock:
            waiting = bool(self._suspects)
        busy = any(lane.busy is not None for lane in self._engine.lanes.values())
        ill = self._unwell.pause(self._clock())
        return min(due, ill, SETTLE if waiting else 1.0 if busy else 5.0) + 0.001

    def _mind_the_clock(self) -> None:
        """After the clock was set, or the host slept, events and reports cannot be compared by
        their times: every port is looked at once, and has a report of the new time then."""
        offset = self._wall() - self._clock()
        jump, self._offset = offset - self._offset, offset
        if abs(jump) < JUMP:
            return
        LOG.warning("the clock jumped by %+.1f s; every port is looked at", jump)
        with self._lock:
            self._suspects.clear()
        records = self._journal.records()
        self._engine.again(i for i, r in records.items() if not r.removing)

    def _periodic(self, now: float) -> None:
        interval, again = self._interval() * (1 + self._spread), self._reassert_interval()
        if interval and now - self._checked >= interval:
            self._checked, self._spread = now, random.random() / 4
            self._engine.lanes.probe_all()
            self._engine.again(self._journal.records())
        if again and now - self._asserted >= again:
            self._asserted = now
            try:
                self._reassert()
            except Exception:
                LOG.exception("statuses cannot be told again now")

    def _strange(self, now: float) -> None:
        """Flows of others on our path may be in our way, or no longer; where they come and go all
        the time, that must not cost a look at every port each time."""
        if self._strangers and now - self._met >= STRANGERS:
            self._strangers, self._met = False, now
            self._suspect_all()

    def _look(self) -> None:
        """Mark the ports whose events have settled."""
        ripe = self._ripe()
        if not ripe:
            return
        self._tell_changes()
        everybody, returned = ripe.get(_ALL, 0.0), self._returning.take(ripe)
        records = self._journal.records()
        devices: dict[str, list[PortRecord]] = {}
        for record in records.values():
            devices.setdefault(_device(record), []).append(record)
        elsewhere = ripe.keys() - {_ALL} - devices.keys() - self._left_behind(devices.keys())
        several = [record for name in ripe for record in devices.get(name, ())]
        marked = []
        for record in records.values() if elsewhere or everybody else several:
            port_id = record.id
            device, below = _device(record), self._below(record) if elsewhere else ()
            at = max(everybody, *(ripe.get(name, 0.0) for name in (device, *below) if name), 0.0)
            if record.phase in _IN_WORK:
                # Its proof is under way; whether that was newer than the event will be seen.
                self._keep(device, at)
            elif record.error is not None:
                # Its own attempts make events as well, and they have their pauses.
                if _older(record, everybody) or not returned.isdisjoint(below):
                    marked.append(port_id)
            elif _older(record, at) and not record.removing:
                marked.append(port_id)
        self._engine.again(marked)

    def _left_behind(self, devices: Set[str]) -> Set[str]:
        """Devices of ports that went lately: nothing that others stand on, and no reason to ask all
        of them.

        :param devices: of the ports that are there
        """
        now = self._clock()
        self._gone.update(dict.fromkeys(self._devices - devices, now))
        self._gone = {
            n: at for n, at in self._gone.items() if now - at < LEFT_BEHIND and n not in devices
        }
        self._devices = frozenset(devices)
        return self._gone.keys()

    def _below(self, record: PortRecord) -> Sequence[str]:
        """What a port stands on besides its own device."""
        plugin, made = self._engine.plugins.get(record.plugin), record.wiring or record.names
        if plugin is None or made is None:
            return ()
        try:
            return list(plugin.leans_on(made))
        except Exception:
            LOG.exception("plugin %s: leans_on", record.plugin)
            return ()

    def _tell_changes(self) -> None:
        """A change comes in many messages; one line is enough."""
        with self._lock:
            changes, self._changes = self._changes, {}
        if changes.pop(_RULES, 0):
            LOG.warning("the rules of vifd were changed by somebody else")
        for bridge, number in changes.items():
            LOG.warning("bridge %s: %d changes of vifd's flows by somebody else", bridge, number)

    def _ripe(self) -> dict[str, float]:
        """Take the events that have settled: device and time of the last one."""
        now = self._wall()
        with self._lock:
            ripe = {
                device: last
                for device, (first, last) in self._suspects.items()
                if last <= now - SETTLE or first <= now - PATIENCE
            }
            for device in ripe:
                del self._suspects[device]
        return ripe

    def _keep(self, device: str, at: float) -> None:
        if device and at:
            with self._lock:
                self._suspects.setdefault(device, (at, at))


def _device(record: PortRecord) -> str:
    made = record.wiring or record.names
    return made.device if made else ""


def _older(record: PortRecord, event_at: float) -> bool:
    """Whether the port's last report was made before the event."""
    return event_at > 0 and (record.report is None or record.report.at < event_at)
