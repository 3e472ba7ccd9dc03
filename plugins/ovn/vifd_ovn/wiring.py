"""The names of a port on an OVN host, as they stand in ``Wiring.details``."""

from __future__ import annotations

from vifd.plugin.tap import TapNames
from vifd_ovs.bridge.wiring import Before


class OvnWiring(TapNames, frozen=True, kw_only=True, omit_defaults=True):
    """What a port occupies. It has no number of its own: the switch chooses the port's.

    :param bridge: OVN's integration bridge
    :param generation: 16 bits, drawn anew for each life of the port: tells its row from a later one
    :param held: while it is closed it names its logical port all the same, because OVN itself holds
        it closed
    :param before: what an adopted port was
    """

    bridge: str
    generation: int = 0
    held: bool = False
    before: Before | None = None
