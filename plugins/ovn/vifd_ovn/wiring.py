"""The names of a port on an OVN host, as they stand in ``Wiring.details``."""

from __future__ import annotations

from vifd.plugin.batch import Names
from vifd_ovs.bridge.wiring import Before


class OvnWiring(Names, frozen=True, kw_only=True, omit_defaults=True):
    """What a port occupies. It has no number of its own: the switch chooses the port's.

    :param bridge: OVN's integration bridge
    :param generation: 16 bits, drawn anew for each life of the port: tells its row from a later one
    :param ifindex: of the device that was plugged
    :param plugged: false for planned names, true once the port was made
    :param adopted: of planned names: device and row are there and are to be taken over as they are
    :param before: what an adopted port was
    """

    bridge: str
    generation: int = 0
    ifindex: int | None = None
    multi_queue: bool = False
    plugged: bool = False
    adopted: bool = False
    before: Before | None = None
