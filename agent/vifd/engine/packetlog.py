"""The packets that logs of security groups are about, one line each.

Plugins hand them over on threads of their own; here they wait for one thread, which asks the rules
and writes. What comes faster than it may is counted, and told: nothing is left out in silence. The
thread begins with the first packet, so that a host without logs has none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from vifd.engine import packetline
from vifd.engine.logpace import Pace
from vifd.engine.metrics import Metrics
from vifd.model import PortRecord
from vifd.model.members import groups_of
from vifd.model.sets import GroupLog, SetKey, SetKind
from vifd.plugin.logged import LogDesk, Seen
from vifd.policy import headers, logged
from vifd.policy.groups import Passes
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Packets that wait at most; more are counted as what the limit kept back.
WAITING = 1000
#: Seconds between two lines that tell of one port what was not written.
EVERY = 10.0


@dataclass(frozen=True)
class Settings:
    """The options, read once.

    :param rate: lines a second of one port
    :param burst: lines of one port at once
    :param total: lines a second of all ports
    """

    rate: int = 100
    burst: int = 25
    total: int = 1000


@dataclass
class PacketLog:
    """Writes lines.

    :param write: takes a line; what it raises is told and counted
    :param unlogged: what the plugins' own limits kept back of ports so far
    """

    journal: Journal
    metrics: Metrics
    settings: Settings
    write: Callable[[str], None]
    unlogged: Callable[[Collection[str]], Mapping[str, int]]
    clock: Callable[[], float] = time.monotonic
    _waiting: list[Seen] = field(default_factory=list)
    #: by port, what was not written since it was told
    _missed: Counter[str] = field(default_factory=Counter)
    #: ports of which something came since it was looked what was not written
    _busy: set[str] = field(default_factory=set)
    #: by port, what the plugins said last
    _known: dict[str, int] = field(default_factory=dict)
    #: ports whose limit may be older than this daemon
    _before: set[str] = field(default_factory=set)
    _failing: bool = False
    _stopping: bool = False
    _thread: Steady | None = None

    def __post_init__(self) -> None:
        self._pace = Pace(self.settings.rate, self.settings.burst, self.settings.total)
        self._wake = threading.Condition()
        self._told_at = self.clock()

    @property
    def desk(self) -> LogDesk:
        """What plugins have of it."""
        return LogDesk(self.settings.rate, self.settings.burst, self.seen)

    def begin(self) -> None:
        """The daemon starts: what was kept back before is not told again."""
        with self._wake:
            self._before = {i for i, r in self.journal.records().items() if self._logs(r)}
            if self._before:
                self._start()

    def seen(self, seen: Seen) -> None:
        """See :class:`vifd.plugin.logged.LogDesk`."""
        with self._wake:
            self._busy.add(seen.port)
            if len(self._waiting) >= WAITING or not self._pace.take(seen.port, self.clock()):
                self._missed[seen.port] += 1
                self.metrics.logged.labels("limited").inc()
            else:
                self._waiting.append(seen)
            self._start()
            self._wake.notify()

    def _start(self) -> None:
        if self._thread is None and not self._stopping:
            self._thread = Steady(self._run, "packet-log")
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """Write what waits, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    # --- the thread ---

    def _run(self) -> None:
        self._kept({*self._before})
        while True:
            with self._wake:
                self._wake.wait_for(self._called, self._patience())
                waiting, self._waiting = self._waiting, []
                stopping = self._stopping
            for seen in waiting:
                self._put(seen)
            if stopping or self.clock() - self._told_at >= EVERY:
                self._tell(ask=not stopping)
            if stopping:
                return

    def _called(self) -> bool:
        return bool(self._waiting) or self._stopping

    def _patience(self) -> float | None:
        """Seconds until something is to be told; ``None`` where nothing can be."""
        if not self._busy:
            return None
        return max(0.0, self._told_at + EVERY - self.clock())

    def _put(self, seen: Seen) -> None:
        record = self.journal.get(seen.port)
        logs = self._logs(record) if record is not None else ()
        try:
            line = self._line(record, seen, logs) if record is not None and logs else ""
        except Exception as error:  # noqa: BLE001 - rules are asked of the plugin that saw it
            self.metrics.logged.labels("failed").inc()
            self._unwritten(error, seen.port)
            return
        if line:
            written = self._written(line, seen.port)
            self.metrics.logged.labels("written" if written else "failed").inc()

    def _logs(self, record: PortRecord) -> tuple[GroupLog, ...]:
        logs = self.journal.sets.logs()
        if not logs:
            return ()
        attachment = record.doc.attachment
        project = attachment.instance.project_id if attachment.instance else ""
        return logged.about(logs, record.id, groups_of(attachment), project)

    def _line(self, record: PortRecord, seen: Seen, logs: tuple[GroupLog, ...]) -> str:
        """The line of a packet; empty where no log has it."""
        found = headers.read(seen.frame)
        packet = found.packet(seen.direction) if seen.accepted else None
        passes: dict[str | None, Passes | None] = {}
        having = []
        for log in logs:
            scope = log.resource_id
            if packet is not None and scope not in passes:
                passes[scope] = seen.judge(packet, None if scope is None else (scope,))
            by = passes.get(scope)
            group = by.group.id if by is not None and by.group is not None else None
            if logged.wants(log, group, accepted=seen.accepted):
                having.append(log)
        if not having:
            return ""
        by = next((p for p in passes.values() if p is not None and p.rule is not None), None)
        return packetline.line(record, seen, found, by, having, self._request)

    def _request(self, log_id: str) -> str:
        record = self.journal.sets.get(SetKey(SetKind.LOG, log_id))
        return record.request_id if record is not None else ""

    # --- what was not written ---

    def _tell(self, *, ask: bool) -> None:
        self._told_at = self.clock()
        with self._wake:
            busy, self._busy = self._busy, set()
            missed, self._missed = self._missed, Counter()
        if ask:
            missed.update(self._kept(busy))
        untold = [p for p in sorted(busy) if missed[p] > 0 and not self._tell_one(p, missed[p])]
        with self._wake:
            # told once lines can be written again
            self._busy.update(untold)
            self._missed.update({port_id: missed[port_id] for port_id in untold})

    def _kept(self, ports: set[str]) -> dict[str, int]:
        """What the plugins' limits kept back of ports since they were asked last; of a limit that
        was there when this daemon began, since the first answer."""
        found = {}
        for port_id, now in (self.unlogged(ports) if ports else {}).items():
            before = self._known.get(port_id, now if port_id in self._before else 0)
            # one that counts less than before was made anew
            found[port_id] = now - before if now >= before else now
            self._known[port_id] = now
        for port_id in [p for p in self._known if self.journal.get(p) is None]:
            del self._known[port_id]
        return found

    def _tell_one(self, port_id: str, count: int) -> bool:
        """Whether it could be written."""
        record = self.journal.get(port_id)
        instance = record.doc.attachment.instance_id if record is not None else ""
        return self._written(
            f"action=LIMITED port={port_id} instance={instance or '-'} count={count} "
            f"rate={self.settings.rate} burst={self.settings.burst}", port_id,
        )  # fmt: skip

    def _written(self, line: str, port_id: str) -> bool:
        """Write a line; whether that could be done, and said once where it could not."""
        try:
            self.write(line)
        except Exception as error:  # noqa: BLE001 - a full disk must not end the thread
            self._unwritten(error, port_id)
            return False
        self._failing = False
        return True

    def _unwritten(self, error: Exception, port_id: str) -> None:
        if not self._failing:
            LOG.error(
                "a packet that a log is about cannot be written: %s. Next: see [packet_log] "
                "file in agent.conf; further ones are counted. port=%s", error, port_id,
            )  # fmt: skip
        self._failing = True
