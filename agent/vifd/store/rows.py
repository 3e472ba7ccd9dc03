"""Records and messages as rows of the journal, each with a checksum.

SQLite notices a page whose structure is broken, and no byte of content that has changed: a wrong
address must not be read from a worn-out disk, so every row says what it should add up to.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from vifd.model import (
    Document,
    Origin,
    Phase,
    PortRecord,
    Report,
    Selection,
    Vif,
    Wiring,
    restore,
)

T = TypeVar("T")

#: What a port's row holds, in the order in which it is summed up.
COLUMNS = (
    "id", "plugin", "vif_type", "phase", "open", "removing", "applied", "revision",
    "updated_at", "request_id", "doc", "names", "wiring", "report", "vif", "error",
    "selection",
)  # fmt: skip


#: In the column ``removing``: the port is given back, and not removed.
_RELEASED = 2


class Outgoing(msgspec.Struct, frozen=True):
    """A status on its way to the network service.

    :param gone: the port is no longer vifd's on this host; ACTIVE where it was given back while
        its traffic passed
    """

    port_id: str
    status: str
    revision: int
    gone: bool = False
    error: dict[str, Any] | None = None
    network_id: str = ""
    device: str = ""
    role: str = ""


class Wrong(Exception):
    """A row does not add up: its bytes are not those that were written."""


class Unreadable(Exception):
    """A row is as it was written, and this vifd cannot read it."""


def checksum(values: Sequence[Any]) -> int:
    """What the values of a row add up to."""
    return zlib.crc32(msgspec.msgpack.encode([int(v) if v is True or v is False else v
                                              for v in values]))  # fmt: skip


def port_row(record: PortRecord) -> tuple[Any, ...]:
    """The values of :data:`COLUMNS` and their checksum."""

    def pack(value: Any) -> bytes | None:
        # What a plugin put in that is no JSON value is kept as text: it must not cost the commit.
        return None if value is None else msgspec.json.encode(value, enc_hook=repr)

    values = (
        record.id, record.plugin, record.vif_type, record.phase.value, record.open, _going(record),
        record.applied, record.revision, record.updated_at, record.request_id,
        record.doc.text(), pack(_names(record)), pack(record.wiring), pack(record.report),
        pack(record.vif), pack(record.error), pack(record.selection),
    )  # fmt: skip
    return (*values, checksum(values))


class _Named(Wiring, frozen=True):
    """The column ``names``: with the names goes where a port was moved from. An older vifd does not
    read that, and plugs the port by its names."""

    origin: Origin | None = None


def _names(record: PortRecord) -> Wiring | None:
    names = record.names
    if names is None or record.origin is None:
        return names
    return _Named(names.plugin, names.vif_type, names.device, names.details, record.origin)


def _plain(named: _Named | None) -> Wiring | None:
    return named and Wiring(named.plugin, named.vif_type, named.device, named.details)


def _going(record: PortRecord) -> int:
    """The column ``removing``."""
    return _RELEASED if record.removing and record.released else int(record.removing)


def port_record(row: Sequence[Any]) -> PortRecord:
    """The record of a row with its checksum; ``None`` where the row is of a time without them.

    :raises Wrong: it does not add up
    :raises Unreadable: it does, and makes no sense to this vifd
    """
    *values, total = row
    try:
        right = total is None or checksum(values) == total
    except Exception as error:  # any type of value may stand in a damaged row
        raise Wrong(f"port {values[0]!r:.64}: {error}") from error
    if not right:
        raise Wrong(f"the row of port {values[0]!r:.64} does not add up")
    try:
        return _record(dict(zip(COLUMNS, values, strict=True)))
    except Exception as error:
        raise Unreadable(f"port {values[0]!r:.64}: {type(error).__name__}: {error}") from error


def _record(values: Mapping[str, Any]) -> PortRecord:
    def unpack(column: str, kind: Any) -> Any:
        body = values[column]
        return None if body is None else msgspec.json.decode(body, type=kind)

    named: _Named | None = unpack("names", _Named)
    doc: Document = restore(msgspec.json.decode(values["doc"]), port_id=values["id"])
    return PortRecord(
        doc=doc,
        plugin=values["plugin"],
        vif_type=values["vif_type"],
        phase=Phase(values["phase"]),
        open=bool(values["open"]),
        removing=bool(values["removing"]),
        released=values["removing"] == _RELEASED,
        applied=bool(values["applied"]),
        revision=values["revision"],
        updated_at=values["updated_at"],
        request_id=values["request_id"],
        names=_plain(named),
        wiring=unpack("wiring", Wiring),
        report=unpack("report", Report),
        vif=unpack("vif", Vif),
        error=unpack("error", dict[str, Any]),
        selection=unpack("selection", Selection),
        origin=named.origin if named is not None else None,
    )


def packed(message: object) -> tuple[bytes, int]:
    """An event or a status as bytes, and their checksum."""
    body = msgspec.msgpack.encode(message, enc_hook=repr)
    return body, zlib.crc32(body)


def right(body: object, total: object) -> bool:
    """Whether packed bytes are those that were written."""
    return isinstance(body, bytes) and zlib.crc32(body) == total


def unpacked(body: bytes, total: int, kind: type[T]) -> T:
    """What was packed.

    :raises Wrong: it cannot be read any more
    """
    try:
        if not right(body, total):
            raise Wrong(f"one {kind.__name__} does not add up")
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
        raise Wrong(f"one {kind.__name__} cannot be read any more: {error}") from error
