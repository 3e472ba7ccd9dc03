"""What plugins have yet to be told of shared sets, and who waits for that.

Changes of one set that come while a lane is busy become one. What a plugin could not take up is
told again after a pause, with what came since; the ports that depend on it are looked at meanwhile,
and plugged again where they are not as wanted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vifd import errors
from vifd.engine import plan
from vifd.engine.metrics import Metrics
from vifd.engine.setrequest import SetTicket
from vifd.model import PortRecord
from vifd.model.members import groups_of, members_of
from vifd.model.setrecord import SetRecord, SetUpdate, name_of
from vifd.model.sets import SetBody, SetKey, SetKind, SetPart
from vifd.plugin import SetChange, VifPlugin
from vifd.plugin.guarded import does
from vifd.store import Journal, Records

LOG = logging.getLogger(__name__)

#: Seconds before the second attempt of a refresh that failed, and the longest pause.
FIRST, LONGEST = 1.0, 60.0


@dataclass
class _Owed:
    """What a plugin has yet to be told of one set.

    :param before: as the plugin was last told of it
    :param pieces: by name, as the plugin knows it, and as it is
    """

    before: SetBody | None
    pieces: dict[str, tuple[SetPart | None, SetPart | None]] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)

    def put(self, removed: Iterable[SetPart], added: Iterable[SetPart]) -> None:
        """More became of it."""
        for old in removed:
            name = name_of(old)
            self.pieces[name] = (self.pieces.get(name, (old, None))[0], None)
        for new in added:
            name = name_of(new)
            self.pieces[name] = (self.pieces.get(name, (None, None))[0], new)

    def change(self, key: SetKey, after: SetBody | None) -> SetChange:
        """As the plugin is told of it."""
        differing = [(old, new) for old, new in self.pieces.values() if old != new]
        return SetChange(
            key, self.before, after,
            added=tuple(new for _, new in differing if new is not None),
            removed=tuple(old for old, _ in differing if old is not None),
            local=frozenset(self.local),
        )  # fmt: skip


@dataclass
class _Lane:
    """One plugin's debts."""

    owed: dict[SetKey, _Owed] = field(default_factory=dict)
    #: those that are being told now
    telling: dict[SetKey, _Owed] = field(default_factory=dict)
    tickets: list[tuple[SetKey, SetTicket]] = field(default_factory=list)
    attempts: int = 0
    due: float = 0.0


class Refreshes:
    """Filled by whoever commits, emptied by the lanes.

    :param run: has :meth:`tell` called on a plugin's lane, before its next batch
    :param again: has ports served
    :param held: whether plugins are told nothing now: an upgrade is being judged
    :param wake: called when :meth:`due` has something to do earlier than it said
    """

    def __init__(
        self, plugins: Mapping[str, VifPlugin], journal: Journal, metrics: Metrics, *,
        run: Callable[[str], None], again: Callable[[Iterable[str]], None],
        held: Callable[[], bool], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._plugins, self._journal, self._metrics = plugins, journal, metrics
        self._run, self._again, self._held, self._wake = run, again, held, wake
        self._lanes = {name: _Lane() for name in plugins}
        self._lock = threading.Lock()

    # --- what changed ---

    def sets(self, updates: Sequence[SetUpdate]) -> None:
        """These changes are on disk."""
        woken: set[str] = set()
        with self._lock:
            for update in updates:
                for name in self._concerned(update.key):
                    owed = self._owed(name, update.key, _body(update.before))
                    owed.put(update.removed, update.added)
                    woken.add(name)
        self._start(woken)

    def ports(self, old: Records, new: Records) -> None:
        """Ports of this host joined groups that rules name, left them, or have other addresses."""
        moved: dict[SetKey, set[str]] = {}
        for port_id, record in new.items():
            if _same(old.get(port_id), record):
                continue
            had, has = _membership(old.get(port_id)), _membership(record)
            if had != has:
                for key in had.keys() | has.keys():
                    moved.setdefault(key, set()).add(port_id)
        woken: set[str] = set()
        with self._lock:
            for key, ports in moved.items():
                if not self._named(key):
                    continue
                for name in self._concerned(key):
                    self._owed(name, key, self._after(key)).local |= ports
                    woken.add(name)
        self._start(woken)

    def _named(self, key: SetKey) -> bool:
        """Whether rules name the group, its own among them."""
        record = self._journal.sets.get(key)
        return bool(self._journal.sets.references.sets(key)) or (
            record is not None and record.names_itself
        )

    def _concerned(self, key: SetKey) -> set[str]:
        """The plugins that serve a port that depends on the set."""
        if key.kind is SetKind.LOG:
            # also those whose ports it was about before
            return {*self._lanes}
        ports = self._journal.sets.references.dependents(key)
        records = (self._journal.get(port_id) for port_id in ports)
        return {r.plugin for r in records if r is not None and r.plugin in self._lanes}

    def _owed(self, plugin: str, key: SetKey, before: SetBody | None) -> _Owed:
        return self._lanes[plugin].owed.setdefault(key, _Owed(before))

    def _start(self, plugins: Iterable[str]) -> None:
        for name in plugins:
            if not self._held():
                self._run(name)

    def follow(self, ticket: SetTicket) -> None:
        """Have a ticket wait for the plugins that have yet to take up what is known of its set; one
        that makes a pause is told at once, because somebody waits."""
        with self._lock:
            waits = {name: lane for name, lane in self._lanes.items()
                     if ticket.key in lane.owed or ticket.key in lane.telling}  # fmt: skip
            for lane in waits.values():
                lane.tickets.append((ticket.key, ticket))
            paused = [name for name, lane in waits.items() if lane.due]
            for name in paused:
                waits[name].due = 0.0
        self._start(paused)
        if not waits:
            ticket.finish(self._journal.sets.get(ticket.key))

    # --- the lanes ---

    def tell(self, plugin: str) -> None:
        """Have a plugin take up what it is owed; on its lane."""
        lane = self._lanes[plugin]
        with self._lock:
            if self._held() or not lane.owed:
                return
            lane.telling, lane.owed = lane.owed, {}
        changes = [owed.change(key, self._after(key)) for key, owed in lane.telling.items()]
        try:
            with self._metrics.timed(plugin, "refresh"):
                concerned = self._refreshed(plugin, changes)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._failed(plugin, lane, errors.wrap(error, stage="refresh"))
            return
        self._done(plugin, lane, changes, concerned)

    def _after(self, key: SetKey) -> SetBody | None:
        return _body(self._journal.sets.get(key))

    def _refreshed(self, plugin: str, changes: Sequence[SetChange]) -> set[str]:
        """The ports to be looked at; all that depend on a change where the plugin takes up nothing
        by itself."""
        found = self._plugins[plugin]
        if does(found, "refresh"):
            return set(found.refresh(changes))
        return self._dependents(plugin, (change.key for change in changes))

    def _dependents(self, plugin: str, keys: Iterable[SetKey]) -> set[str]:
        refs = self._journal.sets.references
        every = {port_id for key in keys for port_id in refs.dependents(key)}
        records = ((i, self._journal.get(i)) for i in every)
        return {i for i, r in records if r is not None and r.plugin == plugin}

    def _done(
        self, plugin: str, lane: _Lane, changes: Sequence[SetChange], concerned: set[str]
    ) -> None:
        self._metrics.refreshes.labels(plugin, "ok").inc()
        came = [c.key for c in changes if c.before is None or c.after is None]
        with self._lock:
            told, lane.telling, lane.attempts, lane.due = lane.telling, {}, 0, 0.0
            ended = [t for key, t in lane.tickets if key in told and key not in lane.owed]
            lane.tickets = [(k, t) for k, t in lane.tickets if t not in ended]
            waiting = {id(t) for other in self._lanes.values() for _, t in other.tickets}
        # a port that waited for a set is proven once it is there
        self._again(concerned | self._dependents(plugin, came))
        for ticket in ended:
            if id(ticket) not in waiting:
                ticket.finish(self._journal.sets.get(ticket.key))

    def _failed(self, plugin: str, lane: _Lane, error: errors.VifError) -> None:
        self._metrics.refreshes.labels(plugin, "failed").inc()
        with self._lock:
            told, lane.telling = lane.telling, {}
            for key, newer in lane.owed.items():
                older = told.setdefault(key, _Owed(newer.before))
                older.put(*_pieces(newer))
                older.local |= newer.local
            lane.owed = told
            lane.attempts += 1
            pause = plan.delay(lane.attempts, first=FIRST, longest=LONGEST)
            lane.due = time.monotonic() + pause
            ended = [ticket for _, ticket in lane.tickets]
            lane.tickets = []
        LOG.warning(
            "plugin %s: %d changed sets could not be brought to this host: %s. Next: again in "
            "%.0f s; ports that depend on them are looked at. sets=%s", plugin, len(told), error,
            pause, ", ".join(map(str, list(told)[:4])),
        )  # fmt: skip
        for ticket in ended:
            ticket.fail(error.copy())
        self._again(self._dependents(plugin, told))
        self._wake()

    # --- time ---

    def due(self, now: float) -> float:
        """Have plugins told again whose pause is over; returns when the next one is."""
        with self._lock:
            ripe = [n for n, lane in self._lanes.items() if lane.owed and 0 < lane.due <= now]
            for name in ripe:
                self._lanes[name].due = 0.0
            later = [lane.due for lane in self._lanes.values() if lane.due]
        self._start(ripe)
        return min(later, default=now + LONGEST)

    def go_on(self) -> None:
        """Plugins are told again, or one of them came back."""
        with self._lock:
            names = [name for name, lane in self._lanes.items() if lane.owed]
            for name in names:
                self._lanes[name].due = 0.0
        self._start(names)

    def waiting(self, key: SetKey) -> list[str]:
        """The plugins that have yet to take up what is known of a set."""
        with self._lock:
            return [n for n, lane in self._lanes.items() if key in lane.owed or key in lane.telling]

    def close(self, error: errors.VifError) -> None:
        """End every ticket."""
        with self._lock:
            tickets = [t for lane in self._lanes.values() for _, t in lane.tickets]
            for lane in self._lanes.values():
                lane.tickets = []
        for ticket in tickets:
            ticket.fail(error.copy())


def _body(record: SetRecord | None) -> SetBody | None:
    return record.body if record is not None else None


def _pieces(owed: _Owed) -> tuple[list[SetPart], list[SetPart]]:
    old = [old for old, _ in owed.pieces.values() if old is not None]
    return old, [new for _, new in owed.pieces.values() if new is not None]


def _same(old: PortRecord | None, new: PortRecord | None) -> bool:
    """Whether two records of a port are the same to its groups, at a glance."""
    if old is None or new is None:
        return old is new
    return old.doc is new.doc and _named(old) == _named(new)


def _named(record: PortRecord) -> bool:
    """Whether plugins see the port."""
    return record.names is not None or record.wiring is not None


def _membership(record: PortRecord | None) -> dict[SetKey, object]:
    """What a port is in its groups, as plugins may see it."""
    if record is None or not _named(record):
        return {}
    attachment = record.doc.attachment
    if not (groups := groups_of(attachment)):
        return {}
    members = members_of(attachment)
    return {SetKey(SetKind.SECURITY_GROUP, group): members for group in groups}
