"""The parts of a port's document, which have different owners and arrive in any order.

The network's part says what the port is, compute's that a guest uses it. Each is kept with who said
it and with that one's own count of changes. What they come to: ``assembling.py``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from vifd import errors
from vifd.model.document import Document
from vifd.model.values import Role

#: The owner of a network's part that is made of what compute says.
DERIVED = "compute, as OVN wires this host"
#: Numbers of an owner's own count of changes.
Revision = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Side(StrEnum):
    """Whose part of a port it is."""

    NETWORK = "network"
    COMPUTE = "compute"
    #: another program, which put the port on the switch; found there, not said by anybody
    HOSTED = "hosted"


class Part(Struct, frozen=True, omit_defaults=True):
    """What one side says of a port.

    :param owner: who said it, for people
    :param body: as it was sent
    :param revision: the owner's own count of changes, where it has one
    :param at: when it came, seconds since the epoch
    """

    owner: str
    body: dict[str, Any]
    revision: Revision | None = None
    at: float = 0.0


class Parts(Struct, frozen=True, omit_defaults=True):
    """What is known of one port by its parts.

    :param alone: the port is wanted without compute's part, as by a document that is whole
    :param ahead: the network side wants it made ahead of compute, and closed until then
    :param used: somebody has used the port since the network side said its part, or it was made
        ahead for long enough: it is not made ahead again
    :param gone: the count of changes with which a side took its part away, by side
    :param error: why the port that the parts make was refused, as an error object
    :param taking: whether a port that another program plugged is to be taken over
    """

    network: Part | None = None
    compute: Part | None = None
    hosted: Part | None = None
    alone: bool = False
    ahead: bool = False
    used: bool = False
    gone: dict[str, int] = {}
    error: dict[str, Any] | None = None
    taking: bool = False
    request_id: str = ""

    def of(self, side: Side) -> Part | None:
        """The part of one side."""
        part: Part | None = getattr(self, side.value)
        return part

    @property
    def bare(self) -> bool:
        """Whether nothing is left that is worth keeping."""
        nobody = self.network is None and self.compute is None and self.hosted is None
        return nobody and not self.gone

    @property
    def prewired(self) -> bool:
        """Whether the port is made although nobody uses it yet."""
        wanted = self.ahead and not self.used and self.network is not None
        return wanted and self.compute is None and self.hosted is None and not self.alone


def parts_of(doc: Document, owner: str = "api", at: float = 0.0) -> Parts:
    """The parts of a document that says everything at once."""
    network = {k: v for k, v in doc.raw.items() if k not in ("instance", "prewired")}
    if doc.attachment.prewired:
        # taken back from its marks: the journal that had its parts was lost
        return Parts(Part(owner, network, at=at), ahead=True)
    compute = None
    if doc.attachment.instance is not None:
        body = {"version": doc.raw["version"], "instance": doc.raw["instance"]}
        compute = Part(owner, body, at=at)
    return Parts(Part(owner, network, at=at), compute, alone=True)


def put(
    parts: Parts | None, side: Side, part: Part, *, alone: bool | None = None,
    ahead: bool | None = None,
) -> Parts:  # fmt: skip
    """The parts with what one side says now.

    :param alone: whether the port is wanted without compute's part; ``None`` leaves that as it is
    :param ahead: whether it is made ahead of compute's part; ``None`` leaves that as it is
    :raises errors.PartStale: it said something newer before
    """
    before = parts or Parts()
    _newer(before, side, part.revision)
    gone = {k: v for k, v in before.gone.items() if k != side}
    part = _going_on(before.of(side), part, side)
    return replace(
        before, gone=gone, error=None, taking=False, used=before.used or side is not Side.NETWORK,
        alone=before.alone if alone is None else alone,
        ahead=before.ahead if ahead is None else ahead, **{side.value: part},
    )  # fmt: skip


def _going_on(held: Part | None, part: Part, side: Side) -> Part:
    """What is said now; of the same instance, what is not said again stays. The same again is what
    is held."""
    if held is None:
        return part
    if side is Side.COMPUTE:
        had, has = held.body["instance"], part.body["instance"]
        if had["id"] == has["id"]:
            part = replace(part, body={**part.body, "instance": {**had, **has}})
    return held if replace(part, at=held.at) == held else part


def taken_away(parts: Parts, side: Side, revision: int | None) -> Parts:
    """The parts without what one side said.

    :raises errors.PartStale: it said something newer since
    """
    _newer(parts, side, revision)
    held = parts.of(side)
    last = revision if revision is not None else held.revision if held else None
    gone = dict(parts.gone) if last is None else {**parts.gone, side.value: last}
    bound = parts.network is not None and side is not Side.NETWORK
    return replace(
        parts, gone=gone, error=None, taking=False, alone=parts.alone and side is Side.NETWORK,
        ahead=parts.ahead and bound, used=bound, **{side.value: None},
    )  # fmt: skip


def unused(parts: Parts) -> Parts:
    """The parts of a port that was made ahead in vain, or that cannot be as it was made: it is not
    made ahead again before it is bound anew."""
    return replace(parts, used=True, error=None)


def forgotten(parts: Parts, side: Side) -> Parts:
    """The parts without a side's count of changes."""
    return replace(parts, gone={k: v for k, v in parts.gone.items() if k != side})


def _newer(parts: Parts, side: Side, revision: int | None) -> None:
    """A late part never undoes a newer one; one without a count is as new as its arrival."""
    held = parts.of(side)
    have = held.revision if held is not None else parts.gone.get(side)
    if revision is not None and have is not None and revision < have:
        raise errors.PartStale(facts={"side": side.value, "wanted": revision, "have": have})


def sufficient(parts: Parts, port_id: str, plugin: str) -> Parts:
    """The parts on a host where what compute says is all that is needed: the network's part is made
    of it until the network service says its own, and goes with it.

    :param plugin: the plugin whose ports somebody else wires; empty where there is none
    """
    net = parts.network
    if net is not None and net.owner != DERIVED:
        return parts
    bare = replace(parts, network=None)
    said = parts.compute.body if parts.compute else {}
    if parts.compute is None or not plugin or not {"mac_address", "network_id"} <= set(said):
        return bare
    mtu = {"mtu": said["mtu"]} if "mtu" in said else {}
    body = {
        "version": said["version"], "role": Role.ACTIVE.value, "plugin": plugin,
        "port": {"id": port_id, "mac_address": said["mac_address"]},
        "network": {"id": said["network_id"], **mtu, "segment": {"network_type": "local"}},
    }  # fmt: skip
    return replace(bare, network=Part(DERIVED, body, at=parts.compute.at))


def in_role(parts: Parts, role: Role) -> Parts:
    """The parts after the network side said whether this host's binding is active."""
    if parts.network is None:
        return parts
    body = {**parts.network.body, "role": role.value}
    return replace(parts, network=replace(parts.network, body=body))


def hosted_part(plugin: str, device: str, at: float = 0.0) -> Part:
    """What is found of a port that another program put on the switch.

    :param plugin: which plugin serves it
    :param device: the name of the switch port
    """
    return Part(plugin, {"plugin": plugin, "device": device}, at=at)
