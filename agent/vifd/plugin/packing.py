"""Attachment documents packed, so that they may lie beside the port on the host: a port is taken
back from there where the journal was lost."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import msgspec

from vifd.model import Attachment

#: The key of a packed document where an object has room for named texts.
DOCUMENT = "vifd-document"
#: The version that a packed document bears whose port was made ahead of compute: a vifd of before
#: there were such ports would open it, and leaves alone what has a version that it does not know.
_AHEAD = "1.0, ahead of compute"


def pack(attachment: Attachment) -> bytes:
    """A document as few bytes; equal documents give equal bytes.

    The role is left out: it changes without a change of what the document lies in.
    """
    document = msgspec.to_builtins(attachment)
    document.pop("role", None)
    if attachment.prewired:
        document["version"] = _AHEAD
    return pack_value(document)


def pack_value(value: dict[str, Any]) -> bytes:
    """Any JSON object, as :func:`pack` does it."""
    return zlib.compress(msgspec.json.encode(value, order="deterministic"), 6)


def unpack(packed: bytes) -> dict[str, Any] | None:
    """What was packed, or ``None`` where it cannot be read."""
    try:
        value: dict[str, Any] = msgspec.json.decode(zlib.decompress(packed), type=dict[str, Any])
    except (ValueError, zlib.error, msgspec.DecodeError):
        return None
    return {**value, "version": "1.0"} if value.get("version") == _AHEAD else value


def as_text(packed: bytes) -> str:
    """Packed bytes as text without spaces."""
    return base64.b64encode(packed).decode()


def from_text(text: str) -> dict[str, Any] | None:
    """What :func:`as_text` made of packed bytes, unpacked; ``None`` where it cannot be read."""
    try:
        return unpack(base64.b64decode(text, validate=True))
    except ValueError:
        return None
