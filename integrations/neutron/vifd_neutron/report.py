"""What a host of vifd reports that it can do, as read from its agent's configurations. Pure.

``configurations["vifd"]["candidates"]`` is a list, the host's preferred plugin first. Of a
candidate only ``plugin`` and ``vif_types`` are always there: what a report does not say is not held
against it, because a long report is shortened to what fits Neutron's database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The key of the configurations by which a host of vifd is known.
KEY = "vifd"
TUNNELLED = ("vxlan", "gre", "geneve")
PHYSICAL = ("flat", "vlan")


@dataclass(frozen=True)
class Candidate:
    """A plugin of a host. ``None`` is what was not said.

    :param physnets: the physical networks that it reaches
    :param mtus: by physical network, the largest MTU; the empty name is that of tunnels
    :param features: what it enforces
    """

    plugin: str
    vif_types: tuple[str, ...]
    vnic_types: tuple[str, ...] | None = None
    network_types: tuple[str, ...] | None = None
    physnets: tuple[str, ...] | None = None
    features: frozenset[str] | None = None
    mtus: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A host."""

    host: str
    candidates: tuple[Candidate, ...]
    mappings: Mapping[str, str]
    tunnel_types: tuple[str, ...]
    tunneling_ip: str
    bridge: str
    datapath_type: str
    socket_dir: str


def read(host: str, configurations: Mapping[str, Any]) -> Report | None:
    """The report of a host of vifd; None for any other agent's."""
    said = configurations.get(KEY)
    if not isinstance(said, Mapping):
        return None
    entries = said.get("candidates")
    candidates = [_candidate(e) for e in entries if isinstance(e, Mapping)] if entries else []
    return Report(
        host=host,
        candidates=tuple(c for c in candidates if c.plugin and c.vif_types),
        mappings=_mapping(configurations.get("bridge_mappings")),
        tunnel_types=_texts(configurations.get("tunnel_types")) or (),
        tunneling_ip=str(configurations.get("tunneling_ip") or ""),
        bridge=str(configurations.get("integration_bridge") or ""),
        datapath_type=str(configurations.get("datapath_type") or "system"),
        socket_dir=str(configurations.get("vhostuser_socket_dir") or ""),
    )


def _candidate(entry: Mapping[str, Any]) -> Candidate:
    features = _texts(entry.get("features"))
    mtus = _mapping(entry.get("mtus"))
    return Candidate(
        plugin=str(entry.get("plugin") or ""),
        vif_types=_texts(entry.get("vif_types")) or (),
        vnic_types=_texts(entry.get("vnic_types")),
        network_types=_texts(entry.get("network_types")),
        physnets=_texts(entry.get("physnets")),
        features=None if features is None else frozenset(features),
        mtus={name: int(mtu) for name, mtu in mtus.items() if isinstance(mtu, int)},
    )


def _texts(value: Any) -> tuple[str, ...] | None:
    """A list of words. A report is another program's: what is none is as if it were not said."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    return tuple(word for word in value if isinstance(word, str))


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
