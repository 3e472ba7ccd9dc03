"""Decisions and refusals about the database, without I/O; the driver and its fake share them."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers import PortRow
from vifd.errors import BackendUnavailable, NameClash

#: What a switch speaks whose bridge names no protocols. Naming one ends that.
DEFAULT_PROTOCOLS = frozenset({"OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13"})


def decided(row: PortRow) -> bool:
    """Whether the switch has taken the interface, or said why not."""
    return row.ofport is not None or bool(row.error)


def port_clash(name: str, bridge: str) -> NameClash:
    """A port of this name is on another bridge."""
    facts = {"kind": "port", "name": name, "have": f"on bridge {bridge}", "bridge": bridge}
    return NameClash(facts=facts, stage="ovsdb")


def unavailable(problem: str) -> BackendUnavailable:
    """The database cannot be reached."""
    return BackendUnavailable(facts={"backend": "ovsdb-server", "problem": problem}, stage="ovsdb")


def undecided(names: Sequence[str], seconds: float) -> BackendUnavailable:
    """The database took the ports, and nobody acted on it."""
    problem = f"no answer within {seconds:g} s for {', '.join(sorted(names)[:5])}"
    facts = {"backend": "ovs-vswitchd", "problem": problem, "ports": sorted(names)}
    return BackendUnavailable(facts=facts, stage="ovsdb")
