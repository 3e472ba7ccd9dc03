"""Shared sets as rows of the journal: a head per set and a row per piece, each with a checksum.

A piece that is lost is not noticed by its own checksum; the head says what all of them add up to.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from vifd.model.setrecord import Pieces, SetRecord, SetUpdate
from vifd.model.sets import Behind, LogSettings, Member, SecurityGroupRule, SetKey, SetKind, SetPart
from vifd.store import rows

LOG = logging.getLogger(__name__)

_PIECES: dict[str, Any] = {
    "rule": SecurityGroupRule, "member": Member, "address": str, "endpoint": Behind,
    "behind": Behind, "log": LogSettings,
}  # fmt: skip


class _Head(Struct, frozen=True, omit_defaults=True):
    """A set without its pieces.

    :param total: what the checksums of its pieces add up to
    """

    owner: str
    revision: int
    total: int
    name: str = ""
    stateful: bool = True
    owner_revision: int | None = None
    going: bool = False
    updated_at: float = 0.0
    request_id: str = ""


class SetRows(NamedTuple):
    """What was read of all sets.

    :param heads: kind, id, body, checksum
    :param pieces: kind, id, name, body, checksum
    """

    heads: Sequence[tuple[Any, ...]] = ()
    pieces: Sequence[tuple[Any, ...]] = ()


class SetTables:
    """The tables of sets in an open file. Every method may raise :class:`sqlite3.Error`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def read(self) -> SetRows:
        """Every row."""
        heads = self._db.execute("SELECT kind, id, body, sum FROM sets").fetchall()
        pieces = self._db.execute("SELECT kind, id, name, body, sum FROM set_pieces").fetchall()
        return SetRows(heads, pieces)

    def number(self) -> int:
        """Of the last change of any set."""
        sql = "SELECT value FROM counters WHERE name = 'sets'"
        return int((self._db.execute(sql).fetchone() or (0,))[0])

    def set_number(self, number: int) -> None:
        """The last change of any set had this number."""
        self._db.execute("REPLACE INTO counters VALUES ('sets', ?)", (number,))

    def write(self, updates: Sequence[SetUpdate], number: int) -> None:
        """Write what differs.

        :param number: of the last of these changes
        """
        if updates:
            self.set_number(number)
        for update in updates:
            key = tuple(update.key)
            if update.after is None:
                self._db.execute("DELETE FROM sets WHERE kind = ? AND id = ?", key)
                self._db.execute("DELETE FROM set_pieces WHERE kind = ? AND id = ?", key)
                continue
            self._head(update.after)
            if update.drop:
                sql = "DELETE FROM set_pieces WHERE kind = ? AND id = ? AND name = ?"
                self._db.executemany(sql, [(*key, name) for name in update.drop])
            self._pieces(update.key, update.put)

    def fill(self, records: Iterable[SetRecord], number: int) -> None:
        """Write whole sets into empty tables."""
        self.set_number(number)
        for record in records:
            self._head(record)
            self._pieces(record.key, record.pieces)

    def _head(self, record: SetRecord) -> None:
        head = _Head(
            record.owner, record.revision, record.total, record.name, record.stateful,
            record.owner_revision, record.going, record.updated_at, record.request_id,
        )  # fmt: skip
        body, _ = rows.packed(head)
        values = (*record.key, body, _sum(*record.key, body))
        self._db.execute("REPLACE INTO sets (kind, id, body, sum) VALUES (?, ?, ?, ?)", values)

    def _pieces(self, key: SetKey, pieces: Pieces) -> None:
        if values := [(*key, n, *packed_piece(key, n, p)) for n, p in pieces.items()]:
            sql = "REPLACE INTO set_pieces (kind, id, name, body, sum) VALUES (?, ?, ?, ?, ?)"
            self._db.executemany(sql, values)


def _sum(kind: str, set_id: str, *rest: str | bytes) -> int:
    return zlib.crc32(msgspec.msgpack.encode((str(kind), set_id, *rest)))


def packed_piece(key: SetKey, name: str, piece: SetPart) -> tuple[bytes, int]:
    """A piece as bytes, and their checksum."""
    body = msgspec.msgpack.encode(piece)
    return body, _sum(*key, name, body)


def summed(update: SetUpdate, revision: int) -> SetUpdate:
    """The update with its record's revision and what its pieces add up to."""
    if update.after is None:
        return update
    before, key = update.before, update.key
    had = before.pieces if before else {}
    total = before.total if before else 0
    total -= sum(
        packed_piece(key, n, had[n])[1] for n in {*update.drop, *(update.put.keys() & had)}
    )
    total += sum(packed_piece(key, n, p)[1] for n, p in update.put.items())
    return replace(update, after=update.after.written(revision, total))


def records(found: SetRows, *, strict: bool) -> dict[SetKey, SetRecord]:
    """The sets that rows make.

    :param strict: else what does not add up is told and left out: fewer rules let fewer packets
        pass, and fewer sets keep their ports closed
    :raises rows.Wrong: it does not add up
    """
    pieces: dict[tuple[Any, Any], dict[str, SetPart]] = {}
    totals: dict[tuple[Any, Any], int] = {}
    for kind, set_id, name, piece, total in _sound_pieces(found.pieces, strict=strict):
        if piece is not None:
            pieces.setdefault((kind, set_id), {})[name] = piece
        totals[kind, set_id] = totals.get((kind, set_id), 0) + total
    made = {}
    for row in found.heads:
        record = _record(row, pieces, totals, strict=strict)
        if record is not None:
            made[record.key] = record
    return made


def _record(
    row: tuple[Any, ...], pieces: Mapping[tuple[Any, Any], Pieces],
    totals: Mapping[tuple[Any, Any], int], *, strict: bool,
) -> SetRecord | None:  # fmt: skip
    where = f"{row[0]!r:.32} {row[1]!r:.64}"
    if not _right(row):
        _lost(f"the row of set {where} does not add up", strict=strict)
        return None
    try:
        key = SetKey(SetKind(row[0]), row[1])
        head = msgspec.msgpack.decode(row[2], type=_Head)
    except (TypeError, ValueError, msgspec.DecodeError) as error:
        LOG.error("journal: set %s makes no sense to this vifd: %s", where, error)
        return None
    found, have = pieces.get((row[0], row[1]), {}), totals.get((row[0], row[1]), 0)
    if have != head.total:
        _lost(f"the pieces of set {where} do not add up, {len(found)} are left", strict=strict)
    return SetRecord(
        key, head.owner, head.name, head.stateful, found, head.revision, head.owner_revision,
        head.going, head.updated_at, head.request_id, have,
    )  # fmt: skip


def _right(row: tuple[Any, ...]) -> bool:
    """Whether a row, whose last value is its checksum, is as it was written."""
    try:
        return bool(_sum(*row[:-1]) == row[-1])
    except Exception:  # noqa: BLE001 - any type of value may stand in a damaged row
        return False


def _lost(problem: str, *, strict: bool) -> None:
    if strict:
        raise rows.Wrong(problem)
    LOG.error("journal: %s. Next: its owner says it again; until then it opens less", problem)


def _sound_pieces(
    found: Iterable[tuple[Any, ...]], *, strict: bool
) -> Iterator[tuple[str, str, str, SetPart | None, int]]:
    for row in found:
        if not _right(row):
            _lost(f"a piece of set {row[1]!r:.64} does not add up", strict=strict)
            continue
        kind, set_id, name, body, total = row
        try:
            piece = msgspec.msgpack.decode(body, type=_PIECES[name.partition("/")[0]])
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            LOG.error("journal: %s of set %s makes no sense to this vifd: %s", name, set_id, error)
            piece = None
        yield kind, set_id, name, piece, total


def salvaged(db: sqlite3.Connection, errors: tuple[type[Exception], ...]) -> SetRows:
    """What can still be read of a damaged file: a scan ends at the first damaged page, and the
    other direction reads what is behind it."""
    found: list[list[tuple[Any, ...]]] = []
    for table, columns, order in (
        ("sets", "kind, id, body, sum", "kind {0}, id {0}"),
        ("set_pieces", "kind, id, name, body, sum", "kind {0}, id {0}, name {0}"),
    ):
        every: dict[tuple[Any, ...], None] = {}
        for way in ("ASC", "DESC"):
            sql = f"SELECT {columns} FROM {table} ORDER BY {order.format(way)}"  # noqa: S608
            try:
                for row in db.execute(sql):
                    every[tuple(row)] = None
            except errors:
                continue
        found.append(list(every))
    return SetRows(*found)
