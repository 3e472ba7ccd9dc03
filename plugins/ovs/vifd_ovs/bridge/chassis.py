"""What ovn-controller was told of this host, in the Open_vSwitch row. Pure.

The keys are those of ovn-controller(8). One may end in ``-`` and the chassis' name, for hosts with
several ovn-controllers on one database; such a key comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The bridge that ovn-controller takes where none is named.
BRIDGE = "br-int"


@dataclass(frozen=True)
class Chassis:
    """One ovn-controller's settings.

    :param name: of the chassis: ``system-id``
    :param remote: where its southbound database is
    :param bridge: the integration bridge, which is OVN's own
    :param encap_types: the tunnel types, the preferred one first; empty where none is set
    :param encap_ip: the address of the tunnel endpoint, empty where none is set
    :param mappings: physical network to bridge
    :param doubled: of a physical network that is mapped more than once, all its bridges
    :param hostname: OVN's users may name a chassis by it as well
    """

    name: str
    remote: str
    bridge: str = BRIDGE
    encap_types: tuple[str, ...] = ()
    encap_ip: str = ""
    mappings: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    doubled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """What ``requested-chassis`` may call it."""
        return frozenset(filter(None, (self.name, self.hostname)))


def chassis_of(facts: Mapping[str, Any]) -> Chassis | None:
    """The chassis that a switch's database describes; ``None`` where OVN was not set up.

    :param facts: :meth:`vifd.drivers.Ovsdb.facts`
    """
    ids: Mapping[str, str] = facts.get("external_ids") or {}
    name = str(ids.get("system-id") or facts.get("system_id") or "")

    def told(key: str) -> str:
        return str(ids.get(f"{key}-{name}") or ids.get(key) or "").strip()

    remote = told("ovn-remote")
    if not remote:
        return None
    pairs = _pairs(told("ovn-bridge-mappings"))
    return Chassis(
        name=name,
        remote=remote,
        bridge=told("ovn-bridge") or BRIDGE,
        encap_types=_words(told("ovn-encap-type")),
        encap_ip=told("ovn-encap-ip"),
        mappings=dict(pairs),
        hostname=told("hostname"),
        doubled=_doubled(pairs),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = (word.partition(":") for word in _words(text))
    return [(physnet.strip(), bridge.strip()) for physnet, _, bridge in pairs if physnet and bridge]


def _doubled(pairs: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for physnet, bridge in pairs:
        found.setdefault(physnet, {})[bridge] = None
    return {physnet: tuple(bridges) for physnet, bridges in found.items() if len(bridges) > 1}


def taken_by_ovn(facts: Mapping[str, Any], bridge: str) -> str:
    """Why a plugin with flows of its own must keep off a bridge, in words; empty where it need not.

    ovn-controller owns every flow of its integration bridge and removes what it does not know.
    """
    chassis = chassis_of(facts)
    if chassis is None or chassis.bridge != bridge:
        return ""
    return (
        f"bridge {bridge} belongs to ovn-controller (external_ids:ovn-remote is {chassis.remote}): "
        "the plugin ovn plugs ports there; or set integration_bridge to a bridge of vifd's own"
    )
