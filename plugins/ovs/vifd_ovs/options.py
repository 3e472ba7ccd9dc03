"""The option group ``[ovs]`` of agent.conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg, types

from vifd.ovs.bridges import parse_mappings

OPTIONS = (
    cfg.StrOpt(
        "integration_bridge",
        default="br-int",
        max_length=15,
        help="The bridge that guests are plugged into.",
    ),
    cfg.BoolOpt(
        "create_bridge",
        default=True,
        help="Make the integration bridge if it does not exist. An existing one is never "
        "rewritten.",
    ),
    cfg.StrOpt(
        "datapath_type",
        default="system",
        choices=("system", "netdev"),
        help="Datapath of the integration bridge if vifd makes it.",
    ),
    cfg.ListOpt(
        "bridge_mappings",
        default=[],
        help="physical_network:bridge pairs. Each bridge must exist; flat and VLAN networks leave "
        "the host through it.",
    ),
    cfg.Opt(
        "ofport_range",
        type=types.Range(min=1, max=65279),
        default="4096-65000",
        help="First and last OpenFlow port number that vifd gives to its ports. Open vSwitch by "
        "itself counts up from 1.",
    ),
    cfg.IntOpt(
        "tap_owner",
        min=0,
        help="Uid that may open the tap devices, usually that of QEMU; without it only processes "
        "with CAP_NET_ADMIN may.",
    ),
    cfg.IntOpt(
        "max_queues",
        default=8,
        min=1,
        max=256,
        help="The most queues that a guest's device gets, whatever its number of vCPUs.",
    ),
    cfg.FloatOpt(
        "port_timeout",
        default=10.0,
        min=0.1,
        help="Seconds for Open vSwitch to take a port after it was put into the database.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The options, read once."""

    bridge: str
    create_bridge: bool
    datapath_type: str
    mappings: dict[str, str]
    ofports: tuple[int, int]
    tap_owner: int | None
    max_queues: int
    port_timeout: float


def settings(conf: Any) -> Settings:
    """Read the option group.

    :raises ValueError: ``bridge_mappings`` makes no sense
    """
    ofports = conf.ofport_range
    return Settings(
        bridge=conf.integration_bridge,
        create_bridge=conf.create_bridge,
        datapath_type=conf.datapath_type,
        mappings=parse_mappings(conf.bridge_mappings),
        ofports=(ofports[0], ofports[-1]),
        tap_owner=conf.tap_owner,
        max_queues=conf.max_queues,
        port_timeout=conf.port_timeout,
    )
