"""Decisions and refusals about the database, without I/O; the driver and its fake share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vifd.drivers import PortRow
from vifd.errors import BackendUnavailable, NameClash

#: What a switch speaks whose bridge names no protocols. Naming one ends that.
DEFAULT_PROTOCOLS = frozenset({"OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13"})


def decided(row: PortRow) -> bool:
    """Whether the switch has taken the interface, or said why not."""
    return row.ofport is not None or bool(row.error)


#: What the external ids of vifd's own rows begin with, and the one that names their port.
_MARK, _PORT = "vifd-", "vifd-port"


def holder(external_ids: Mapping[str, str]) -> str:
    """Whose row it is by its external ids, in words; empty where it bears no mark of ours."""
    if port := external_ids.get(_PORT):
        return f"port {port[:36]} of vifd"
    return "vifd itself" if any(name.startswith(_MARK) for name in external_ids) else ""


def port_clash(name: str, bridge: str, external_ids: Mapping[str, str]) -> NameClash:
    """A port of this name is on another bridge."""
    facts = {"kind": "port", "name": name, "have": f"on bridge {bridge}", "bridge": bridge}
    ours = holder(external_ids)
    return NameClash(facts={**facts, **({"ours": ours} if ours else {})}, stage="ovsdb")


def member_clash(name: str, port: PortRow) -> NameClash:
    """The interface that a port shall have stands in another port: a bond for instance."""
    take = f"ovs-vsctl --id=@i get Interface {name} -- remove Port {port.name} interfaces @i"
    alone = port.interfaces == (name,)
    return NameClash(
        f"interface {name} belongs to port {port.name} on bridge {port.bridge}, and an interface "
        "stands in one port alone", stage="ovsdb",
        facts={"kind": "interface", "name": name, "have": f"in port {port.name}",
               "bridge": port.bridge, "members": list(port.interfaces)},
        hint=f"take it out of that port: `{f'ovs-vsctl del-port {port.name}' if alone else take}`; "
        "vifd makes its own port by itself then",
    )  # fmt: skip


def unavailable(problem: str) -> BackendUnavailable:
    """The database cannot be reached."""
    return BackendUnavailable(facts={"backend": "ovsdb-server", "problem": problem}, stage="ovsdb")


def undecided(names: Sequence[str], seconds: float) -> BackendUnavailable:
    """The database took the ports, and nobody acted on it."""
    problem = f"no answer within {seconds:g} s for {', '.join(sorted(names)[:5])}"
    facts = {"backend": "ovs-vswitchd", "problem": problem, "ports": sorted(names)}
    return BackendUnavailable(facts=facts, stage="ovsdb")
