"""The names and numbers of a port on Open vSwitch, as they stand in ``Wiring.details``."""

from __future__ import annotations

import msgspec

from vifd.model import Segment, Wiring
from vifd.plugin.tap import Former, TapNames

#: A VLAN id that no port has: keeps flows of others away from a port of ours.
NOWHERE = 4095


class Hybrid(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge of the kernel between a tap and the switch, as nova's plugin for hybrid plugging
    makes it, for a filter that stands there.

    :param bridge: the bridge
    :param inner: the end of a pair that is its port
    :param outer: the other end, which is the port of the switch
    :param mtu: of the pair
    """

    bridge: str
    inner: str
    outer: str
    mtu: int


class Before(Former, frozen=True, kw_only=True, omit_defaults=True):
    """What a port was in another program, kept from the adoption on, so that it can be given back.

    :param tag: of its row
    :param ofport_request: the port number that the other hand asked for, if it did
    :param mtu_request: the same of the MTU
    :param external_ids: of its interface
    :param hybrid: what stood between the tap and the switch, whose row was that of another device
    """

    tag: int | None = None
    ofport_request: int | None = None
    mtu_request: int | None = None
    external_ids: dict[str, str] = msgspec.field(default_factory=dict)
    hybrid: Hybrid | None = None


class OvsWiring(TapNames, frozen=True, kw_only=True, omit_defaults=True):
    """What a port occupies on its bridge.

    :param ofport: the OpenFlow port number, chosen by us
    :param tag: the local VLAN id of the network on this bridge
    :param generation: 16 bits, not 0, drawn anew for each life of the port; part of its cookie
    :param patch: the port of the bridge that leads to the segment's physical bridge, or empty
    :param interface_type: the type of the switch port where that is no kernel device
    :param socket: path of the socket of a vhost-user port
    :param port_tag: the tag of the row, where ports of others are on the same VLAN of the bridge
        and shall go on to reach the port; 0 for a port without a tag; ``None`` where it has the
        local VLAN id of its network, which is nobody else's
    :param before: what an adopted port was; ``None`` for one that vifd made, and for one that was
        adopted by a version that did not keep it
    :param hosted: device and row are another program's and stay as they are
    :param sub_port: it has neither: its frames pass over the device of its trunk's parent
    """

    bridge: str
    ofport: int
    tag: int
    generation: int
    network_id: str = ""
    network_type: str = "local"
    physical_network: str | None = None
    segmentation_id: int | None = None
    patch: str = ""
    interface_type: str = ""
    socket: str = ""
    port_tag: int | None = None
    before: Before | None = None
    hosted: bool = False
    sub_port: bool = False

    def row_tag(self, *, opened: bool) -> int | None:
        """The tag that the port's row shall have. A port that shares its VLAN with
        ports of others is taken out of it to be closed: their flows know nothing of our gate."""
        if self.port_tag is None:
            return self.tag
        return (self.port_tag or None) if opened else NOWHERE

    @property
    def hybrid(self) -> Hybrid | None:
        """What stood between its tap and the switch in another program's hand."""
        return None if self.before is None else self.before.hybrid

    @property
    def segment(self) -> tuple[str, str | None, int | None]:
        """The network type, physical network and segmentation id."""
        return (self.network_type, self.physical_network, self.segmentation_id)


def segment_of(segment: Segment) -> tuple[str, str | None, int | None]:
    """The part of a segment that decides where its frames go."""
    return (segment.network_type, segment.physical_network, segment.segmentation_id)


def read(wiring: Wiring) -> OvsWiring:
    """The names and numbers in a wiring of ours.

    :raises InternalError: it is none
    """
    return OvsWiring.read(wiring)


def read_if(wiring: Wiring) -> OvsWiring | None:
    """Like :func:`read`, but ``None`` for the wiring of a plugin that is not on Open vSwitch."""
    if "ofport" not in wiring.details or "bridge" not in wiring.details:
        return None
    try:
        return msgspec.convert(wiring.details, OvsWiring)
    except msgspec.ValidationError:
        return None
