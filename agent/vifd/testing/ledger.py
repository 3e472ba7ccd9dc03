"""A journal in memory that calls a plugin in the order in which the engine does.

It serves tests of plugins: they need neither the daemon nor its threads. What it keeps survives the
plugin object, so a restart of the daemon is a second :class:`Ledger` on the same records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from vifd import errors
from vifd.drivers import Drivers, OpenFlow
from vifd.engine import verify
from vifd.errors import VifError
from vifd.model import Attachment, Report, Wiring
from vifd.plugin import Entry, Host, Item, Outcomes, VifPlugin
from vifd.plugin.logged import LogDesk
from vifd.plugin.sets import NoSets, Sets


@dataclass
class Record:
    """One port: what is wanted, what it is called, what was made."""

    attachment: Attachment
    names: Wiring
    wiring: Wiring | None = None
    open: bool = False
    report: Report | None = None
    error: VifError | None = None

    def item(self, *, deep: bool = True, thorough: bool = False) -> Item:
        """The port as the verbs see it."""
        return Item(
            self.attachment, self.names, self.wiring, open=self.open, deep=deep, thorough=thorough
        )


class _Anew:
    """The same driver as another object: what is remembered per driver is forgotten."""

    def __init__(self, driver: object) -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


@dataclass
class Ledger:
    """The ports of a host and the plugin that serves them.

    :param factory: makes the plugin from a host
    :param records: by port id; hand over those of an earlier ledger to play a restart
    :param patience: seconds that a port may take to be proven
    :param sets: the shared sets that plugins see
    :param logs: who writes down what logs are about
    """

    drivers: Drivers
    factory: Callable[[Host], VifPlugin]
    records: dict[str, Record] = field(default_factory=dict)
    patience: float = 10.0
    sets: Sets = field(default_factory=NoSets)
    logs: LogDesk | None = None

    def __post_init__(self) -> None:
        self.host = Host(self.drivers, self.entries, sets=self.sets, logs=self.logs)
        self.plugin = self.factory(self.host)

    def entries(self) -> dict[str, Entry]:
        """What plugins may see."""
        return {
            port_id: Entry(r.attachment, r.wiring or r.names, r.open)
            for port_id, r in self.records.items()
        }

    def restart(self) -> Ledger:
        """The daemon ends and comes back: a new plugin on the same records, with no memory."""
        openflow = cast(OpenFlow, _Anew(self.drivers.openflow))
        return Ledger(
            replace(self.drivers, openflow=openflow), self.factory, self.records, self.patience,
            self.sets, self.logs,
        )  # fmt: skip

    # --- the engine's steps ---

    def plug(self, *attachments: Attachment, opened: bool = True) -> dict[str, VifError]:
        """Name, make, prove, open, prove; what fails is undone.

        :param opened: whether the ports shall pass traffic
        :returns: the errors, by port
        """
        failed: dict[str, VifError] = {}
        for attachment in attachments:
            record = self.records.get(attachment.id)
            if record is not None:
                record.attachment, record.error = attachment, None
                continue
            try:
                names = self.plugin.name(attachment, self.entries())
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                failed[attachment.id] = errors.wrap(error, stage="name", port=attachment.id)
                continue
            self.records[attachment.id] = Record(attachment, names)
        ids = [a.id for a in attachments if a.id not in failed]
        failed |= self.carry_out(ids, opened=opened)
        return failed

    def carry_out(self, ids: Sequence[str], *, opened: bool = True) -> dict[str, VifError]:
        """Bring ports that have names to their documents."""
        items = {i: self.records[i].item() for i in ids}
        failed = self._do(items, self.plugin.plug)
        for item in items.values():
            item.interim = opened and not item.open
        failed |= self._prove(items, failed)
        to_open = {i: it for i, it in items.items() if i not in failed and opened and not it.open}
        failed |= self._open(to_open)
        for port_id, item in items.items():
            record = self.records[port_id]
            if port_id not in failed:
                item.undo.keep()
                record.wiring, record.open = item.wiring, item.open
                continue
            record.error = failed[port_id]
            left = item.undo.run()
            if left:
                record.error.facts["not_undone"] = left
        return failed

    def _open(self, items: Mapping[str, Item]) -> dict[str, VifError]:
        failed = self._do(items, self.plugin.activate)
        for port_id, item in items.items():
            if port_id not in failed:
                item.open, item.interim = True, False
                item.undo.push("open", lambda i=item: self.plugin.deactivate([i]))  # type: ignore[misc]
        return failed | self._prove(items, failed)

    def _do(
        self, items: Mapping[str, Item], verb: Callable[[Sequence[Item]], Outcomes]
    ) -> dict[str, VifError]:
        if not items:
            return {}
        try:
            outcomes = verb(list(items.values()))
        except Exception as error:  # noqa: BLE001 - a verb that raises has failed for all
            return {i: errors.wrap(error, stage=verb.__name__, port=i) for i in items}
        failed = {}
        for port_id, item in items.items():
            outcome = outcomes[port_id]
            if isinstance(outcome, VifError):
                failed[port_id] = outcome
            else:
                item.wiring = outcome
        return failed

    def _prove(
        self, items: Mapping[str, Item], failed: Mapping[str, VifError]
    ) -> dict[str, VifError]:
        """Check until clean or the deadline."""
        waiting = {i: item for i, item in items.items() if i not in failed}
        deadline = time.monotonic() + self.patience
        while waiting:
            try:
                reports = self.plugin.check(list(waiting.values()))
            except Exception as error:  # noqa: BLE001 - a verb that raises has failed for all
                return {i: errors.wrap(error, stage="check", port=i) for i in waiting}
            for port_id, report in reports.items():
                self.records[port_id].report = report
            waiting = {i: item for i, item in waiting.items() if not reports[i].clean}
            if time.monotonic() > deadline:
                return {
                    i: verify.unproven(self.records[i].report, self.patience, i) for i in waiting
                }
            time.sleep(0.002 if waiting else 0)
        return {}

    def check(self, *ids: str, deep: bool = True, thorough: bool = False) -> dict[str, Report]:
        """Read ports back; all by default."""
        items = [self.records[i].item(deep=deep, thorough=thorough) for i in ids or self.records]
        return self.plugin.check(items) if items else {}

    def findings(self, *ids: str) -> dict[str, Any]:
        """What is not as wanted, of one or of all ports: fact to what was read."""
        return {e.fact: e.have for report in self.check(*ids).values() for e in report.findings}

    def activate(self, *ids: str) -> dict[str, VifError]:
        """Open ports."""
        items = {i: self.records[i].item() for i in ids}
        failed = self._do(items, self.plugin.activate)
        for port_id in items.keys() - failed.keys():
            self.records[port_id].open = True
            self.records[port_id].wiring = items[port_id].wiring
        return failed

    def deactivate(self, *ids: str) -> dict[str, VifError]:
        """Close ports."""
        items = {i: self.records[i].item() for i in ids}
        failed = self._do(items, self.plugin.deactivate)
        for port_id in items.keys() - failed.keys():
            self.records[port_id].open = False
            self.records[port_id].wiring = items[port_id].wiring
        return failed

    def unplug(self, *ids: str) -> dict[str, VifError]:
        """Remove ports, all by default, and forget those of which nothing is left."""
        chosen = ids or tuple(self.records)
        for port_id in chosen:
            self.records[port_id].open = False
        items = {i: self.records[i].item() for i in chosen}
        failed = self._do(items, self.plugin.unplug)
        for port_id in items.keys() - failed.keys():
            del self.records[port_id]
        return failed
