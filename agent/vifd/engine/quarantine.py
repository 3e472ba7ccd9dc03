"""Lanes whose plugin exceeds its deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from vifd import errors
from vifd.engine import outcome
from vifd.engine.lane import Busy, Lane
from vifd.engine.tickets import Tickets
from vifd.engine.worker.sink import ResultSink
from vifd.plugin import Health, Probe

LOG = logging.getLogger(__name__)


#: So many times the seconds of a step may a whole batch take, and once more for each of its ports.
LONGEST = 10


def hanging(lane: Lane) -> Probe:
    """The health of a plugin whose lane is quarantined."""
    reason = f"it hangs in {lane.busy.what}" if lane.busy else ""
    return Probe(Health.UNAVAILABLE, [reason])


@dataclass(frozen=True)
class Quarantine:
    """Keeps callers from waiting for a plugin that hangs.

    :param probe: has a plugin's health read once it answers again
    """

    sink: ResultSink
    tickets: Tickets
    probe: Callable[[str], None]

    def watch(self, lane: Lane, now: float, hang: float) -> None:
        """Quarantine a lane that hangs; nobody has to wait for it, the work itself does.

        What is long gets further, step by step, also on a machine that is slow; what hangs does
        not. Yet a call may not go on for ever by steps that lead nowhere.

        :param hang: seconds that one step may take
        """
        busy = lane.busy
        if busy is None:
            return
        quiet, whole = lane.quiet(now), now - busy.since
        if quiet < hang and whole < hang * (LONGEST + len(busy.ports)):
            return
        seconds = round(quiet if quiet >= hang else whole, 1)
        error = errors.PluginTimeout(
            facts={"plugin": lane.name, "verb": busy.what, "seconds": seconds}
        )
        if not lane.quarantined:
            lane.quarantined = True
            self._begin(lane, busy, error)
        self.tickets.fail({p: error.copy().at(port=p) for p in lane.pending()})

    def _begin(self, lane: Lane, busy: Busy, error: errors.PluginTimeout) -> None:
        LOG.error(
            "%s: %s; %d ports wait. Next: %s", error.code, error.message,
            len(busy.ports) + lane.waiting, error.hint,
        )  # fmt: skip
        self.sink.probed(lane.name, Probe(Health.UNAVAILABLE, [error.message]))
        failures = {p: error.copy().at(port=p) for p in busy.ports}
        self.sink.record({p: outcome.failed(e) for p, e in failures.items()}, failures)
        self.tickets.fail(failures)
        self.probe(lane.name)
