"""What two agents say to each other: one JSON object to a line. Pure.

Whoever is called says first a challenge that is new with each connection; every word of the caller
repeats it, with a number that grows. So a word that was recorded is of no use in any connection,
its own included.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from vifd.model import UUID

VERSION = 1
#: The longest line, in bytes.
LONGEST = 1024

_Port = Annotated[str, Meta(pattern=f"^{UUID}$")]
#: The guest stopped here and is to go on elsewhere; or it goes on here after all.
Kind = Literal["suspended", "resumed"]


class Hello(Struct, frozen=True, forbid_unknown_fields=False):
    """Said by who is called, once."""

    challenge: Annotated[str, Meta(min_length=32, max_length=64)]
    version: int = VERSION


class Word(Struct, frozen=True):
    """What happened to the guest of a port on the caller's host.

    :param sequence: grows with each word of a connection
    :param nonce: the challenge of the connection
    :param revision: of the port's record on that host: a word that was overtaken is refused
    :param quiet: seconds since the guest last sent there, where it is known
    :param within: by so much that may be too short
    """

    kind: Kind
    port: _Port
    sequence: Annotated[int, Meta(ge=1, lt=1 << 53)]
    nonce: Annotated[str, Meta(max_length=64)]
    revision: Annotated[int, Meta(ge=0)] = 0
    quiet: Annotated[float, Meta(ge=0, le=3600)] | None = None
    within: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    version: int = VERSION


class Answer(Struct, frozen=True):
    """What became of a word; ``reason`` says why it was refused."""

    sequence: int
    taken: bool
    reason: Annotated[str, Meta(max_length=200)] = ""


class Refused(Exception):
    """A line that is not acted on; the text says why, for the other side and for the log."""


_encode = msgspec.json.Encoder().encode


def line(message: Struct) -> bytes:
    """As it goes over the wire."""
    return _encode(message) + b"\n"


def decoded(raw: bytes, kind: Any) -> Any:
    """A line that came.

    :raises Refused: it is no such message, or of another version
    """
    try:
        message = msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise Refused(f"not a message: {error}"[:200]) from error
    if getattr(message, "version", VERSION) != VERSION:
        raise Refused(f"version {message.version}, and this is {VERSION}")
    return message


@dataclass
class Guard:
    """Refuses what was said before, in this connection or any other."""

    challenge: str = field(default_factory=lambda: secrets.token_hex(16))
    _last: int = 0
    #: by port, the newest revision of which the peer told
    _revisions: dict[str, int] = field(default_factory=dict)

    def check(self, word: Word) -> None:
        """:raises Refused: the word is a repetition, or was overtaken"""
        if not hmac.compare_digest(word.nonce.encode(), self.challenge.encode()):
            raise Refused("replayed: the nonce is of another connection")
        if word.sequence <= self._last:
            raise Refused("replayed: the number was used")
        self._last = word.sequence
        if word.revision < self._revisions.get(word.port, 0):
            raise Refused("overtaken: a newer revision of the port was told")
        self._revisions[word.port] = word.revision
