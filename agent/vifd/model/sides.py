"""What a request of one side of a port does to what all sides say. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from vifd.model import Document, Part, Parts, PortRecord, Role, Side
from vifd.model.assembling import assembled, closed_while_moving
from vifd.model.parts import forgotten, parts_of, put, taken_away, unused
from vifd.model.parts import in_role as _in_role


@dataclass(frozen=True)
class Said:
    """What one side says of its part of a port.

    :param part: what it is from now on; ``None``: it takes it away
    :param revision: the owner's own count of changes, where it has one
    :param alone: the port is wanted without compute's part; ``None`` leaves that as it is
    :param ahead: the port is made ahead of compute's part; ``None`` leaves that as it is
    :param final: of a part that is taken away: its count is not kept, because the owner sees to it
        that nothing older comes
    :param unused: nothing is said: a port that was made ahead of compute is taken down again
    :param left: and is left as it stands to the program that has plugged it
    :param held: though it could be made ahead, it is not: that holds until it is bound anew
    """

    port: str
    side: Side
    part: Part | None = None
    revision: int | None = None
    alone: bool | None = None
    final: bool = False
    ahead: bool | None = None
    unused: bool = False
    left: bool = False
    held: bool = False


def known(row: Parts | None, present: PortRecord | None) -> Parts | None:
    """What the sides of a port say, be it by a whole document; one that is to go says nothing."""
    if row is not None or present is None or present.removing:
        return row
    return parts_of(present.doc)


def refused(parts: Mapping[str, Parts], made: Container[str]) -> list[Said]:
    """What was kept although the port was refused, to be said again once the host has changed: its
    owner does not repeat it. Compute was told that its plug failed, and asks again by itself."""
    found = []
    for port_id, row in parts.items():
        if row.error is None or row.compute is not None or port_id in made:
            continue
        side = Side.NETWORK if row.hosted is None else Side.HOSTED
        if (part := row.of(side)) is not None:
            found.append(Said(port_id, side, part, part.revision))
    return found


def after(before: Parts | None, said: Said) -> Parts:
    """The parts with what one side says.

    :raises errors.PartStale: it said something newer before
    """
    if said.unused:
        return unused(before) if before is not None and before.prewired else before or Parts()
    if said.part is not None:
        parts = put(before, said.side, said.part, alone=said.alone, ahead=said.ahead)
        made = before is not None and before.prewired
        return unused(parts) if said.held and not made else parts
    left = taken_away(before or Parts(), said.side, said.revision)
    return forgotten(left, said.side) if said.final else left


def in_role(row: Parts | None, role: Role | None) -> Parts | None:
    """The parts once the network side said the role."""
    return row if row is None or role is None else _in_role(row, role)


def replaced(
    row: Parts | None, doc: Document, here: str, *, opened: bool
) -> tuple[Document, Parts | None]:
    """A whole document in the place of what the sides said; compute's part stays where the document
    says nothing of an instance.

    :returns: the document to bring the port to, and the parts; ``None``: the document is all
    """
    if row is None or row.compute is None or doc.attachment.instance is not None:
        raw = closed_while_moving(doc.raw, opened=opened)
        return (doc if raw is doc.raw else doc.with_role(Role.INACTIVE)), None
    parts = put(row, Side.NETWORK, Part("api", doc.raw), alone=True)
    return assembled(parts, here, opened=opened) or doc, parts
