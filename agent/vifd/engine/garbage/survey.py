"""One look at the whole host: every plugin lists what it has, on its own lane."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from typing import TypeVar

from vifd import errors
from vifd.engine import Engine
from vifd.engine.garbage.reconcile import Plan, plan
from vifd.engine.worker import ledger
from vifd.hypervisor import GuestInterface, Hypervisor
from vifd.model import PortRecord
from vifd.model.status import settled
from vifd.plugin.marked import Desired, Key, Marked, Wanted
from vifd.store import Journal

LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What a look found.

    :param answered: the plugins that listed what they have
    :param silent: the others, with the reason
    """

    plan: Plan = field(default_factory=Plan)
    answered: frozenset[str] = frozenset()
    silent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surveyor:
    """Compares this host with the journal.

    :param patience: seconds that the plugins together have to answer
    """

    engine: Engine
    journal: Journal
    hypervisor: Hypervisor
    patience: float = 30.0

    def look(self) -> Survey:
        """Ask every plugin, then compare. Blocks; only for threads of one's own.

        The journal is read before and after: a port that changed meanwhile is not judged, and
        intent is on disk before the first effect, so that nothing is listed without its record.
        """
        before = self.journal.records()
        asked = {name: self._ask(name) for name in self.engine.plugins}
        observed: dict[str, list[Marked]] = {}
        silent: dict[str, str] = {}
        for name, future in asked.items():
            try:
                observed[name] = future.result(self.patience)
            except Late:
                silent[name] = f"no answer within {self.patience:g} s"
            except errors.VifError as error:
                silent[name] = error.message
            except Exception as error:
                LOG.exception("plugin %s cannot list what it has", name)
                silent[name] = f"{type(error).__name__}: {error}"
        after = self.journal.records()
        quiet = {
            i for i, r in after.items()
            if before.get(i) is r and r.plugin in observed and _quiet(r)
        }  # fmt: skip
        found = plan(
            self.desired(), observed, known={*before, *after}, settled=quiet,
            guests=guests(self.hypervisor.interfaces()),
        )  # fmt: skip
        return Survey(found, frozenset(observed), silent)

    def _ask(self, name: str) -> Future[list[Marked]]:
        lane = self.engine.lanes[name]
        if lane.quarantined:
            future: Future[list[Marked]] = Future()
            future.set_exception(errors.PluginUnhealthy(facts={"plugin": name, "reason": "hangs"}))
            return future
        return lane.ask("inventory", self.engine.plugins[name].inventory)

    def desired(self) -> Desired:
        """What the ports of the journal stand for, as all plugins see it."""
        entries = ledger(self.journal)
        found: dict[Key, Wanted] = {}
        for plugin in self.engine.plugins.values():
            found |= plugin.expected(entries)
        return found


def _quiet(record: PortRecord) -> bool:
    """Whether a port is where it shall be, and nobody works on it."""
    made = record.wiring is not None and record.applied
    return made and not record.removing and record.error is None and settled(record)


def guests(interfaces: Mapping[str, GuestInterface]) -> dict[str, str]:
    """By device, who uses it: also guests that are off, for they will want it again."""
    return {
        device: f"guest {i.name or i.guest}{'' if i.running else ', which is off,'} uses it"
        for device, i in interfaces.items()
    }
