"""Whether a plugin can work on this host now, and where its networks leave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """Whether a plugin can work on this host now."""

    READY = "ready"
    DEGRADED = "degraded"  #: works, but something an operator should know of is lacking
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Uplink:
    """How this host reaches a physical network, or the underlay of a tunnel type.

    :param device: the bridge or interface it is mapped to
    :param up: whether its link is up; ``None`` where that cannot be read
    :param mtu: the largest MTU of a network that it carries, bytes; ``None`` where unknown
    :param local_ip: the tunnel endpoint's address, for a tunnel type
    :param devices: the interfaces whose links decide; a change of one of them is an event upon
        which the plugin is probed again
    :param problem: in words why it is not up, or cannot be used; empty where nothing is known
    """

    device: str
    up: bool | None = None
    mtu: int | None = None
    local_ip: str = ""
    devices: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Probe:
    """The answer of ``probe``: the state, and a reason for everything that lacks.

    :param physical_networks: by name, those that are mapped to something on this host, usable or
        not: see :attr:`Uplink.up`
    :param tunnels: by network type (``vxlan``…), those for which there is an endpoint
    :param applies: whether this is a host of the plugin's kind at all. Where it is not, nobody
        waits for the plugin to get well, and its refusal says the least about why a port has none
    :param unenforced: features of the advert that this host cannot enforce, each with the reason
    :param taken: whether it is unavailable because another daemon is at work there. That one keeps
        it over a restart: it is not asked for in between as if the plugin were only unwell
    """

    health: Health
    reasons: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    physical_networks: Mapping[str, Uplink] = field(default_factory=dict)
    tunnels: Mapping[str, Uplink] = field(default_factory=dict)
    applies: bool = True
    unenforced: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False


#: The health of a plugin before its first probe.
UNPROBED = Probe(Health.UNAVAILABLE, ["it was not probed yet"])
