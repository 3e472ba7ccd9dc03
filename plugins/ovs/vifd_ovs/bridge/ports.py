"""A port as the flow tables see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from vifd.model import Attachment, Role
from vifd.model.members import groups_of
from vifd.model.trunks import own_vlan
from vifd.policy import owntags
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


class Via(NamedTuple):
    """Where the frames of a sub-port pass: tagged, over the switch port of its parent.

    :param ofport: the parent's
    """

    parent: str
    ofport: int
    vlan: int


class Trunk(NamedTuple):
    """What the parent of a trunk is to its sub-ports.

    :param sub_ports: id and VLAN of each; ``None`` for one that inherits it
    :param carries: whether this host is the one that the parent is active on; its own
        ``admin_state_up`` is about untagged frames alone
    """

    sub_ports: tuple[tuple[str, int | None], ...]
    carries: bool


class SubPort(NamedTuple):
    """What a sub-port is besides a port.

    :param own_vlan: what it inherits, if it does
    :param via: ``None`` while it has no parent here that carries it; then nothing passes
    """

    own_vlan: int | None
    via: Via | None = None


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """Everything that the flows of a port and of its network are made from.

    :param port_tag: the VLAN of the bridge that it shares with ports of others, if any
    :param secured: whether the anti-spoofing rules apply
    :param allowed: the addresses it may use, its own MAC first
    :param network: the id of its network
    :param groups: the security groups that are enforced; ``None``: none are
    :param project: of its instance
    :param shape: what its QoS policy holds it to, if anything
    :param awaited: it is closed for its role alone: its guest is elsewhere, or on its way
    :param trunk: of a parent
    :param sub: of a sub-port; its ``ofport`` is a number that no port of the switch has
    :param over: the Ethernet type of the tag that its network puts above those that guests set
        themselves; 0: such frames are dropped
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
    project: str = ""
    shape: Shape | None = None
    awaited: bool = False
    trunk: Trunk | None = None
    sub: SubPort | None = None
    over: int = 0
    #: Of its own flows.
    cookie: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cookie", cookies.port(self.generation, self.ofport))

    @property
    def is_open(self) -> bool:
        return self.gate is Gate.OPEN

    @property
    def via(self) -> Via | None:
        """Of a sub-port with a parent: how it is reached."""
        return self.sub.via if self.sub is not None else None

    @property
    def entrance(self) -> str:
        """Where its frames come in, in the words of ovs-ofctl."""
        if (via := self.via) is None:
            return f"in_port={self.ofport}"
        return f"in_port={via.ofport},dl_vlan={via.vlan}"

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


class _Same:
    """A document, the same as itself alone: its fields are many, and it never changes."""

    __slots__ = ("document",)

    def __init__(self, document: Attachment) -> None:
        self.document = document

    def __hash__(self) -> int:
        return id(self.document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.document is self.document


def switch_port(attachment: Attachment, wiring: OvsWiring, *, opened: bool) -> SwitchPort:
    """The port as it shall be: a port whose ``admin_state_up`` is false is never open."""
    # what an adopted port was before makes no flow, and has no hash
    own = wiring if wiring.before is None else replace(wiring, before=None)
    return _switch_port(_Same(attachment), own, opened)


@lru_cache(maxsize=512)
def _switch_port(same: _Same, wiring: OvsWiring, opened: bool) -> SwitchPort:
    attachment = same.document
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
        project=attachment.instance.project_id if attachment.instance else "",
        shape=shape_of(attachment),
        awaited=not opened and not wiring.sub_port and _awaited(attachment),
        trunk=_trunk(attachment, opened=opened),
        sub=SubPort(own_vlan(attachment)) if wiring.sub_port else None,
        over=owntags.over(attachment.network),
    )


def _awaited(attachment: Attachment) -> bool:
    return attachment.role is Role.INACTIVE and attachment.port.admin_state_up


def _trunk(attachment: Attachment, *, opened: bool) -> Trunk | None:
    trunk = attachment.port.trunk_details
    if trunk is None:
        return None
    return Trunk(tuple((s.port_id, s.segmentation_id) for s in trunk.sub_ports), opened)
