"""What the API asks of the daemon. The daemon's :class:`vifd.agent.Agent` is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from vifd.inspection import Inspection
from vifd.model import Document, PortRecord, Role
from vifd.ticket import Event, Ticket


class Backend(Protocol):
    """The daemon behind the API. No call blocks; what takes time comes back as a future."""

    def status(self) -> dict[str, Any]:
        """``live``, ``ready``, ``version``, ``plugins`` and counts of ports by phase."""

    def plugins(self) -> list[dict[str, Any]]:
        """Every plugin found, admitted or refused: name, distribution, version, state, reasons."""

    def verify_plugin(self, name: str) -> Future[Inspection]:
        """Hold a plugin against its contract, without touching a port.

        :raises vifd.errors.PluginRefused: it was not admitted
        :raises vifd.errors.PluginMissing: there is none of that name
        :raises vifd.errors.PluginUnhealthy: it hangs
        """

    def host(self) -> dict[str, Any]:
        """What is known of the host: kernel, switch, bridges, mappings, per-plugin probes."""

    def ports(self) -> list[PortRecord]:
        """A snapshot of all ports, by id."""

    def port(self, port_id: str) -> PortRecord:
        """:raises vifd.errors.PortNotFound:"""

    def plug(self, docs: Sequence[Document], request_id: str) -> list[Ticket]:
        """Want these ports; one ticket each, in order."""

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        """Want these ports gone; an unknown port is done at once."""

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        """Change the role of a port (activate, deactivate)."""

    def check(self, port_id: str, request_id: str) -> Future[PortRecord]:
        """Read the port back now; the record then holds fresh evidence."""

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        """Events with a larger id, oldest first."""

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have ``callback`` called on a native thread for every new event; returns the way to stop
        it."""

    def metrics(self) -> bytes:
        """The Prometheus text exposition."""
