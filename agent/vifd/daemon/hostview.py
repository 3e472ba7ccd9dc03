"""What is known of the host, in one answer: the daemon's surroundings, capabilities, plugins."""

from __future__ import annotations

import concurrent.futures
import logging
import platform
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from vifd import __version__
from vifd.capabilities import survey
from vifd.capabilities.host import PATIENCE, HostCapabilities
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.view import view
from vifd.drivers import Drivers
from vifd.engine import Engine
from vifd.hypervisor import Hypervisor
from vifd.negotiation.secondlook import SecondLook
from vifd.plugin import Probe, Uplink

LOG = logging.getLogger(__name__)

#: The source that repeats what the plugins say.
PLUGINS = "plugins"


class HostView:
    """Answers from memory; only a refresh reads the host, and the caller gets a future for it.

    :param capabilities: ``None`` where nobody reads the host
    :param facts: what else is known, by name
    :param patience: seconds that plugins may take to be probed
    """

    def __init__(
        self,
        engine: Engine,
        capabilities: HostCapabilities | None = None,
        facts: Callable[[], dict[str, Any]] = dict,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._engine = engine
        self._patience = patience
        self._capabilities = capabilities or HostCapabilities([])
        self._facts = facts

    @classmethod
    def of(
        cls, engine: Engine, drivers: Drivers, hypervisor: Hypervisor, emulator: str,
        facts: Callable[[], dict[str, Any]],
    ) -> HostView:  # fmt: skip
        """The view of a real host, whose offers go by what it finds.

        :param emulator: the QEMU binary; found if empty
        """
        found = survey.sources(
            drivers, hypervisor, engine.probes.answered, lambda: engine.adverts, emulator=emulator
        )
        capabilities = HostCapabilities(found)
        survey.subscribe(capabilities, drivers, hypervisor)
        return cls(engine, capabilities, facts)

    def health_changed(self) -> None:
        """A plugin's probe answers something else."""
        self._capabilities.suspect(PLUGINS)

    def second_look(self) -> SecondLook:
        """Has the host read once more before a port is refused."""
        return SecondLook(self.refresh)

    def start(self) -> None:
        """Begin to read the host."""
        self._capabilities.start()

    def stop(self, timeout: float) -> None:
        """End."""
        self._capabilities.stop(timeout)

    @property
    def inventory(self) -> Inventory:
        """The last snapshot of the host's capabilities."""
        return self._capabilities.inventory()

    def show(self) -> dict[str, Any]:
        """The whole answer."""
        system = platform.uname()
        known = self._capabilities
        return {
            "host": socket.gethostname(),
            "kernel": system.release,
            "machine": system.machine,
            "python": platform.python_version(),
            "vifd": __version__,
            **self._facts(),
            "inventory": view(known.inventory(), known.sources(), time.time()),
            "plugins": {name: _plugin(p) for name, p in list(self._engine.probes.items())},
        }

    def refresh(self) -> Future[dict[str, Any]]:
        """Read everything now, the plugins' probes as well; what hangs is left behind, marked."""
        future: Future[dict[str, Any]] = Future()
        threading.Thread(
            target=self._refresh, args=(future,), name="host-refresh", daemon=True
        ).start()
        return future

    def _refresh(self, future: Future[dict[str, Any]]) -> None:
        try:
            others = self._capabilities.refresh(
                source["name"] for source in self._capabilities.sources()
                if source["name"] != PLUGINS
            )  # fmt: skip
            concurrent.futures.wait(self._engine.lanes.probe_now(), self._patience)
            others.result()
            self._capabilities.refresh([PLUGINS]).result()
            answer = self.show()
        except Exception as error:
            LOG.exception("the host cannot be read again")
            future.set_exception(error)
        else:
            future.set_result(answer)


def _plugin(probe: Probe) -> dict[str, Any]:
    return {
        "state": probe.health.value,
        "reasons": probe.reasons,
        "physical_networks": _ways(probe.physical_networks),
        "tunnels": _ways(probe.tunnels),
        "facts": probe.facts,
    }


def _ways(uplinks: Mapping[str, Uplink]) -> dict[str, Any]:
    return {name: asdict(uplink) for name, uplink in uplinks.items()}
