"""Our marks, and the attachment document in notes of the port's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vifd.drivers import MARK
from vifd.drivers.nft.expr import Code, Verdict
from vifd.drivers.nft.objects import Rule
from vifd.model import Attachment, Role
from vifd.plugin.packing import pack, unpack

#: Bytes of the document in one rule.
NOTE_BYTES = 254
#: A packed document of more bytes is not kept.
DOCUMENT_LIMIT = 16_384
#: What a rule says that is there for its note only: that the chain is at its end.
CARRIER = (Verdict(Code.RETURN),)
_NETWORK = f"{MARK}net:"


def port_alias(port_id: str) -> str:
    """The alias of a port's tap, and the comment of its chain."""
    return f"{MARK}{port_id}"


def port_of(text: str) -> str | None:
    """The port's id in an alias or comment."""
    if not text.startswith(MARK) or text.startswith(_NETWORK):
        return None
    return text.removeprefix(MARK)


def network_alias(name: str) -> str:
    """The alias of what belongs to a whole network, or to a whole physical network."""
    return f"{_NETWORK}{name}"


def is_network(alias: str) -> bool:
    """Whether a device of ours belongs to a network."""
    return alias.startswith(_NETWORK)


def annotate(rules: Sequence[Rule], attachment: Attachment) -> tuple[Rule, ...]:
    """The rules with the document in their notes; where they are too few, rules follow the last one
    that change nothing."""
    packed = pack(attachment)
    if len(packed) > DOCUMENT_LIMIT:
        return tuple(rules)
    pieces = [packed[i : i + NOTE_BYTES] for i in range(0, len(packed), NOTE_BYTES)]
    carriers = [*rules, *[Rule(CARRIER)] * (len(pieces) - len(rules))]
    noted = [replace(rule, note=note) for rule, note in zip(carriers, pieces, strict=False)]
    return (*noted, *carriers[len(noted) :])


def document(rules: Sequence[Rule], role: Role) -> dict[str, Any] | None:
    """The document in the notes of rules, or ``None`` where there is none to be read."""
    found = unpack(b"".join(rule.note for rule in rules))
    return None if found is None else {**found, "role": role.value}


def network_of(alias: str) -> str:
    """What :func:`network_alias` was given."""
    return alias.removeprefix(_NETWORK)
