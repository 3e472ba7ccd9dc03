"""Ports on networks that carry their guests' own tags, and frames with tags."""

from __future__ import annotations

import struct
from typing import Any

from msgspec import structs

from vifd.model import Attachment
from vifd.policy.owntags import C_TAG, S_TAG, TRANSPARENT
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import Predicate

__all__ = ["C_TAG", "S_TAG", "carrying", "equal", "hello", "on", "tagged"]


def carrying(made: Attachment, feature: str = TRANSPARENT) -> Attachment:
    """The same port, on a network that carries tags."""
    return structs.replace(made, network=structs.replace(made.network, **{feature: True}))


def on(number: int, feature: str = TRANSPARENT, **changes: Any) -> Attachment:
    """A port on such a network."""
    return carrying(attachment(number, **changes), feature)


def tagged(frame: bytes, *tags: int, kind: int = C_TAG) -> bytes:
    """A frame with tags, the outermost first; the others are a customer's.

    :param kind: the Ethernet type of the outermost
    """
    kinds = [kind if n == 0 else C_TAG for n in range(len(tags))]
    head = b"".join(struct.pack("!HH", *tag) for tag in zip(kinds, tags, strict=True))
    return frame[:12] + head + frame[12:]


def equal(frame: bytes) -> Predicate:
    return lambda found: found == frame


def hello(one: int, two: int, payload: bytes = b"vifd", *, six: bool = False) -> bytes:
    ip = ipv6 if six else ipv4
    return f.udp(mac(one), mac(two), ip(one), ip(two), payload)
