"""A port as the flow tables see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from vifd.model import Attachment, Role
from vifd.model.members import groups_of
from vifd.policy.addresses import Allowed, allowed
from vifd.policy.qos import Shape, shape_of
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.wiring import OvsWiring


class Gate(IntEnum):
    """How much of a port's flows is there."""

    LEAVING = 0  #: its frames are left to others, those for it still come; on its way to them
    GUARDED = 1  #: everything from it is dropped, nothing else is there; the way in and out
    CLOSED = 2  #: all filters are there, but nothing passes
    OPEN = 3  #: traffic passes


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """Everything that the flows of a port and of its network are made from.

    :param port_tag: the VLAN of the bridge that it shares with ports of others, if any
    :param secured: whether the anti-spoofing rules apply
    :param allowed: the addresses it may use, its own MAC first
    :param network: the id of its network
    :param groups: the security groups that are enforced; ``None``: none are
    :param shape: what its QoS policy holds it to, if anything
    :param awaited: it is closed for its role alone: its guest is elsewhere, or on its way
    """

    id: str
    ofport: int
    tag: int
    generation: int
    segment: tuple[str, str | None, int | None]
    patch: str
    mac: str
    secured: bool
    allowed: tuple[Allowed, ...]
    gate: Gate
    port_tag: int | None = None
    network: str = ""
    groups: tuple[str, ...] | None = None
    shape: Shape | None = None
    awaited: bool = False
    #: Of its own flows.
    cookie: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cookie", cookies.port(self.generation, self.ofport))

    @property
    def is_open(self) -> bool:
        return self.gate is Gate.OPEN

    @property
    def judged(self) -> bool:
        """Whether the rules of its security groups are there."""
        return self.groups is not None and self.gate is not Gate.GUARDED

    @property
    def limited(self) -> Shape | None:
        """What it is held to, where its limits are there."""
        return None if self.gate is Gate.GUARDED else self.shape

    @property
    def receives(self) -> bool:
        """Whether frames of its network are sent to it."""
        return self.gate in (Gate.OPEN, Gate.LEAVING)


def switch_port(attachment: Attachment, wiring: OvsWiring, *, opened: bool) -> SwitchPort:
    """The port as it shall be: a port whose ``admin_state_up`` is false is never open."""
    passes = opened and attachment.port.admin_state_up
    return SwitchPort(
        id=attachment.id,
        ofport=wiring.ofport,
        tag=wiring.tag,
        generation=wiring.generation,
        segment=wiring.segment,
        patch=wiring.patch,
        mac=attachment.mac,
        secured=attachment.port.port_security_enabled,
        allowed=allowed(attachment),
        gate=Gate.OPEN if passes else Gate.CLOSED,
        port_tag=wiring.port_tag,
        network=wiring.network_id,
        groups=groups_of(attachment),
        shape=shape_of(attachment),
        awaited=attachment.role is Role.INACTIVE and not opened and attachment.port.admin_state_up,
    )
