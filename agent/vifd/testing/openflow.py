"""Flow tables without a switch: a fake that keeps state."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from vifd.drivers.openflow_errors import refused, unavailable
from vifd.errors import VifError
from vifd.openflow import match, metered
from vifd.openflow.counts import Dropped, Traffic
from vifd.openflow.flow import Flow, by_key
from vifd.openflow.fragments import MODES
from vifd.openflow.message import EXACT, fits
from vifd.openflow.meters import Meter
from vifd.openflow.monitor import Event, Update
from vifd.openflow.packetin import PacketIn
from vifd.openflow.reading import Reading
from vifd.testing.pipeline import Journey, Packet, Pipeline, Place
from vifd.testing.tally import Tally
from vifd.testing.tracking import Connections

Key = tuple[int, int, bytes]

#: What :meth:`FakeOpenFlow.max_meters` answers.
MAX_METERS = 65536
_STEPS = (
    "apply", "commit", "dump", "flush", "packet_out", "meters", "set_meters", "traffic",
)  # fmt: skip
#: OFPM_MAX.
_HIGHEST = 0xFFFF_0000


class FakeOpenFlow:
    """:class:`vifd.drivers.OpenFlow` in memory, with the switch's own rules.

    :param bridges: which bridges exist now; any does if this is left out. A bridge that is gone
        loses its flows.
    """

    def __init__(self, bridges: Callable[[], Collection[str]] | None = None) -> None:
        self._bridges = bridges
        self._mutex = threading.RLock()
        self._news: list[tuple[str, bool]] = []
        self._flows: dict[str, dict[Key, Flow]] = {}
        self._generations: dict[str, int] = {}
        self._connected: set[str] = set()
        self._callbacks: list[Callable[[str, bool], None]] = []
        self._observers: list[Callable[[str, Sequence[Update]], None]] = []
        self._of_ports: list[Callable[[str, str], None]] = []
        self._of_frames: list[Callable[[str, PacketIn], None]] = []
        #: what stops frames at a port, by bridge and name
        self.stopped: dict[tuple[str, str], frozenset[str]] = {}
        self._fragments: dict[str, str] = {}
        self._meters: dict[str, dict[int, Meter]] = {}
        #: how many meters a bridge may have
        self.most_meters = MAX_METERS
        self._faults: dict[str, list[VifError | None]] = {}
        #: what the datapath knows of connections
        self.connections = Connections()
        #: the fields that the datapath of a bridge cannot set
        self.unsettable: Callable[[str], Collection[str]] = lambda bridge: ()
        #: what was counted
        self.tally = Tally()
        #: whether the switch runs
        self.running = True
        #: patch ports, each with its peer
        self.patches: dict[Place, Place] = {}
        #: frames that were sent: bridge, frame, in_port, actions
        self.sent: list[tuple[str, bytes, int, bytes]] = []

    # --- the driver -------------------------------------------------------------------------------

    def apply(
        self,
        bridge: str,
        *,
        add: Sequence[Flow] = (),
        delete: Sequence[Flow] = (),
        delete_cookies: Sequence[tuple[int, int]] = (),
        read: Collection[int] = (),
    ) -> Reading:
        """Change flows, all or nothing."""
        if not (add or delete or delete_cookies):
            return Reading({}, "")
        with self._held():
            table = dict(self._table(bridge))
            self._fail(
                "apply", lambda: refused(bridge, str([*add, *delete][:1]), "OFPFMFC_UNKNOWN")
            )
            for flow in [*delete, *add]:
                _accept(bridge, flow)
            for flow in add:
                if any(f"->{name}," in f"{flow}," for name in self.unsettable(bridge)):
                    raise refused(bridge, str(flow)[:200], "OFPBAC_BAD_SET_ARGUMENT")
            for flow in add:
                meter = metered.named(flow.instructions)
                if meter is not None and meter not in self._meters.get(bridge, {}):
                    raise refused(bridge, str(flow), "OFPMMFC_INVALID_METER")
            for cookie, mask in delete_cookies:
                table = {k: f for k, f in table.items() if (f.cookie ^ cookie) & mask}
            for flow in delete:
                if table.get(flow.key, flow).cookie == flow.cookie:
                    table.pop(flow.key, None)
            table |= by_key(add)
            self._flows[bridge] = table
            self.tally.keep(bridge, table.values())
            self._fail("commit", lambda: unavailable(bridge, "lost in the commit", unknown=True))
        return self.read(bridge, list(read)) if read else Reading({}, "")

    def dump(self, bridge: str, cookie: int, mask: int = EXACT) -> list[Flow]:
        """The flows with this cookie under this mask."""
        with self._held():
            table = self._table(bridge)
            self._fail("dump", lambda: unavailable(bridge, "no answer in time"))
            found = (flow for flow in table.values() if (flow.cookie ^ cookie) & mask == 0)
            return [self.tally.flow(bridge, flow) for flow in found]

    def dump_each(self, bridge: str, cookies: Sequence[int]) -> dict[int, list[Flow]]:
        """The flows of each of these cookies."""
        return {cookie: self.dump(bridge, cookie) for cookie in dict.fromkeys(cookies)}

    def read(self, bridge: str, cookies: Sequence[int]) -> Reading:
        """The same, and how the bridge shows fragments."""
        return Reading(self.dump_each(bridge, cookies), self.fragments(bridge))

    def max_meters(self, bridge: str) -> int:
        """How many meters the bridge may have."""
        with self._held():
            self._table(bridge)
            return self.most_meters

    def meters(self, bridge: str, numbers: Collection[int] | None = None) -> dict[int, Meter]:
        """The meters of the bridge."""
        with self._held():
            self._table(bridge)
            self._fail("meters", lambda: unavailable(bridge, "no answer in time"))
            there = self._meters.get(bridge, {})
            return {n: m for n, m in there.items() if numbers is None or n in numbers}

    def set_meters(
        self, bridge: str, wanted: Sequence[Meter] = (), *, delete: Sequence[int] = ()
    ) -> None:
        """Make or set meters, then remove some, with the flows that name one."""
        if not wanted and not delete:
            return
        with self._held():
            table = self._table(bridge)
            there = self._meters.setdefault(bridge, {})
            what = str([*wanted, *delete][0])
            self._fail("set_meters", lambda: refused(bridge, what, "OFPMMFC_OUT_OF_METERS"))
            for meter in wanted:
                if not self.most_meters or not 0 < meter.id <= _HIGHEST:
                    raise refused(bridge, f"meter {meter.id:#x}", "OFPMMFC_INVALID_METER")
                there[meter.id] = meter
            gone = {number for number in delete if there.pop(number, None) is not None}
            lost = [f for f in table.values() if metered.named(f.instructions) in gone]
            self._flows[bridge] = {k: f for k, f in table.items() if f not in lost}

    def traffic(self, bridge: str) -> dict[int, Traffic]:
        """What each port counted: those that flows know, as there are no others here."""
        with self._held():
            table = self._table(bridge)
            self._fail("traffic", lambda: unavailable(bridge, "no answer in time"))
            told = (match.decode(flow.match).get("in_port") for flow in table.values())
            return self.tally.ports(bridge, {n for n in told if isinstance(n, int)})

    def dropped(self, bridge: str, numbers: Collection[int]) -> dict[int, Dropped]:
        """What meters dropped."""
        with self._held():
            there = self._meters.get(bridge, {}) if self._table(bridge) is not None else {}
            known = self.tally.dropped
            return {n: known.get((bridge, n), Dropped(0, 0)) for n in numbers if n in there}

    def fragments(self, bridge: str) -> str:
        """How the bridge shows fragments to its flows."""
        with self._held():
            self._table(bridge)
            return self._fragments.get(bridge, "normal")

    def set_fragments(self, bridge: str, mode: str) -> None:
        """Change that."""
        with self._held():
            self._table(bridge)
            if mode not in MODES:
                raise refused(bridge, f"fragments={mode}", "OFPSCFC_BAD_FLAGS")
            self._fragments[bridge] = mode

    def packet_out(self, bridge: str, frame: bytes, *, in_port: int, actions: bytes) -> None:
        """Remember the frame in :attr:`sent`."""
        with self._held():
            self._table(bridge)
            self._fail("packet_out", lambda: refused(bridge, "packet out", "OFPBRC_BAD_PORT"))
            self.sent.append((bridge, frame, in_port, actions))

    def flush_zones(self, bridge: str, zones: Sequence[int]) -> None:
        """Forget every connection of these zones."""
        if not zones:
            return
        with self._held():
            self._table(bridge)
            self._fail("flush", lambda: unavailable(bridge, "no answer in time"))
            for zone in zones:
                self.connections.flush(zone)

    def generation(self, bridge: str) -> int:
        """How often the connection was lost so far."""
        with self._held():
            return self._generations.get(bridge, 0)

    def subscribe(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(bridge, connected)`` called when a connection comes or goes."""
        self._callbacks.append(callback)

    def watch(self, callback: Callable[[str, Sequence[Update]], None]) -> None:
        """Have ``callback(bridge, updates)`` called when another program changes flows."""
        self._observers.append(callback)

    def watch_ports(self, callback: Callable[[str, str], None]) -> None:
        """Have ``callback(bridge, port)`` called when another program sets something of a port."""
        self._of_ports.append(callback)

    def listen(self, callback: Callable[[str, PacketIn], None]) -> None:
        """Have ``callback(bridge, handed)`` called with each frame of :meth:`hand_over`."""
        self._of_frames.append(callback)

    def port_flags(self, bridge: str) -> dict[str, frozenset[str]]:
        """What :attr:`stopped` says."""
        with self._held():
            self._table(bridge)
            return {port: flags for (name, port), flags in self.stopped.items() if name == bridge}

    def forget(self, bridge: str) -> None:
        """Close the connection."""
        with self._held():
            self._connected.discard(bridge)
            self._generations.pop(bridge, None)

    def close(self) -> None:
        """Close all connections; flows stay."""
        with self._held():
            self._connected.clear()

    # --- the scene --------------------------------------------------------------------------------

    def flows(self, bridge: str) -> list[Flow]:
        """All flows of a bridge, whoever made them."""
        with self._held():
            return list(self._flows.get(bridge, {}).values())

    def problem(self, bridge: str) -> str:
        """Why the bridge cannot be reached; empty if it can."""
        if not self.running:
            return "the switch does not run"
        if self._bridges is not None and bridge not in self._bridges():
            self._flows.pop(bridge, None)
            self._meters.pop(bridge, None)
            self._fragments.pop(bridge, None)
            return f"no socket {bridge}.mgmt"
        return ""

    def carry(
        self, bridge: str, packet: Packet, size: int = 60, frame: bytes = b""
    ) -> Journey:  # fmt: skip
        """Let a packet in by its ``in_port``, follow it to its end, and count it.

        :param frame: what those have who listen
        """
        journey = self.pipeline().send(bridge, packet, self.connections)
        with self._held():
            self.tally.journey(bridge, packet.get("in_port", 0), size, journey)
        for flow, then in journey.handed:
            registers = {n: v for n, v in then.items() if n.startswith("reg")}
            known = match.encode(registers)
            handed = PacketIn(flow.cookie, frame, whole=True, table=flow.table, match=known)
            for callback in self._of_frames:
                callback(bridge, handed)
        return journey

    def pipeline(self) -> Pipeline:
        """The tables as they are now, to send packets through."""
        with self._held():
            return Pipeline(
                {name: list(t.values()) for name, t in self._flows.items()}, self.patches
            )

    def install(self, bridge: str, *flows: Flow) -> None:
        """Put flows there as another program would, without a connection."""
        with self._held():
            self._flows.setdefault(bridge, {}).update(by_key(flows))
        self._observed(bridge, Event.ADDED, flows)

    def wipe(self, bridge: str) -> None:
        """Remove all flows as another program would."""
        with self._held():
            gone = self._flows.pop(bridge, {})
        self._observed(bridge, Event.REMOVED, gone.values())

    def _observed(self, bridge: str, event: Event, flows: Iterable[Flow]) -> None:
        updates = [Update(event, f.table, f.priority, f.cookie) for f in flows]
        if updates and bridge in self._connected:
            for callback in self._observers:
                callback(bridge, updates)

    def hand_over(self, bridge: str, cookie: int, frame: bytes) -> None:
        """A flow hands a frame over."""
        for callback in self._of_frames:
            callback(bridge, PacketIn(cookie, frame, whole=True))

    def patch(self, one: Place, other: Place) -> None:
        """Join two patch ports."""
        self.patches |= {one: other, other: one}

    def drop_connection(self, bridge: str) -> None:
        """The connection breaks and comes back; the flows stay."""
        with self._held():
            self._lose(bridge)
            self._connect(bridge)

    def stop(self) -> None:
        """The switch ends, and takes every flow with it."""
        with self._held():
            self.running = False
            self._flows.clear()
            self._meters.clear()
            self._fragments.clear()
            self.connections.clear()
            self.tally.clear()
            for bridge in sorted(self._connected):
                self._lose(bridge)

    def start(self) -> None:
        """The switch is back, empty; connections come back by themselves."""
        with self._held():
            self.running = True
            for bridge in sorted(self._generations):
                self._connect(bridge)

    def restart(self) -> None:
        """The switch crashes and comes back."""
        self.stop()
        self.start()

    def fail_next(self, step: str, error: VifError | None = None) -> None:
        """Let the next call of a step fail: ``apply`` (refused, nothing changed), ``commit``
        (changed, but the connection breaks), ``dump``, ``flush``, ``packet_out``, ``meters``,
        ``set_meters``, or ``traffic``.

        :param error: what to raise instead of the usual error
        """
        if step not in _STEPS:
            raise ValueError(f"no such step: {step}")
        self._faults.setdefault(step, []).append(error)

    # --- how --------------------------------------------------------------------------------------

    def _fail(self, step: str, usual: Callable[[], VifError]) -> None:
        if self._faults.get(step):
            raise self._faults[step].pop(0) or usual()

    def _table(self, bridge: str) -> dict[Key, Flow]:
        problem = self.problem(bridge)
        if problem:
            raise unavailable(bridge, problem)
        if bridge not in self._connected:
            self._connect(bridge)
        return self._flows.setdefault(bridge, {})

    def _connect(self, bridge: str) -> None:
        self._generations.setdefault(bridge, 0)
        self._connected.add(bridge)
        self._news.append((bridge, True))

    def _lose(self, bridge: str) -> None:
        self._generations[bridge] = self._generations.get(bridge, 0) + 1
        self._connected.discard(bridge)
        self._news.append((bridge, False))

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """The lock; subscribers are told once it is free."""
        try:
            with self._mutex:
                yield
        finally:
            while self._news:
                news = self._news.pop(0)
                for callback in self._callbacks:
                    callback(*news)


def _accept(bridge: str, flow: Flow) -> None:
    """Raise where a switch would refuse the flow."""
    if not fits(flow):
        raise refused(bridge, str(flow)[:200], "OFPBFC_MSG_BAD_LEN")
    if not 0 <= flow.table < 0xFF:
        raise refused(bridge, str(flow), "OFPBRC_BAD_TABLE_ID")
    if flow.goto is not None and not flow.table < flow.goto < 0xFF:
        raise refused(bridge, str(flow), "OFPBIC_BAD_TABLE_ID")
