"""The health of the plugins, as they last told it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from vifd.model.event import Event
from vifd.plugin import UNPROBED, Health, Probe

LOG = logging.getLogger(__name__)


class Probes(dict[str, Probe]):
    """The last answers of the plugins' probes, by plugin."""

    def __init__(self, plugins: Iterable[str]) -> None:
        super().__init__({n: Probe(Health.UNAVAILABLE, list(UNPROBED.reasons)) for n in plugins})

    def answered(self) -> dict[str, Probe]:
        """Those of the plugins that have answered."""
        known = dict(self)
        return {name: probe for name, probe in known.items() if probe.reasons != UNPROBED.reasons}

    @property
    def complete(self) -> bool:
        """Whether every plugin has answered."""
        return len(self.answered()) == len(self)


def told(plugin: str, probe: Probe) -> Event:
    """Log another health of a plugin; returns its event."""
    level = logging.INFO if probe.health is Health.READY else logging.WARNING
    reasons = "; ".join(probe.reasons) or "nothing lacks"
    LOG.log(level, "plugin %s is %s: %s", plugin, probe.health.value, reasons)
    return Event(0, "plugin-status-changed", time.time(), plugin=plugin, status=probe.health.value)
