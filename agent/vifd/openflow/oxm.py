"""The OXM encoding of match fields: type, length, value and mask."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vifd.openflow.field import BY_HEADER, FIELDS, Field

_HEADER = struct.Struct("!I")
_HAS_MASK = 0x100

#: Per header, without and with a mask: the rank, and the mask's size and the bytes of a full one.
_PLAIN = {field.header: field.rank for field in FIELDS}
_MASKED = {
    field.header + field.size | _HAS_MASK: (field.rank, field.size, field.full) for field in FIELDS
}


def tlv(field: Field, number: int, mask: int) -> bytes:
    """One field; nothing where all of it is wildcarded."""
    size = field.size
    if mask == field.full:
        return _HEADER.pack(field.header) + number.to_bytes(size, "big")
    if mask == 0:
        return b""
    header = field.header + size | _HAS_MASK
    return _HEADER.pack(header) + number.to_bytes(size, "big") + mask.to_bytes(size, "big")


def items(match: bytes) -> Iterator[tuple[Field | None, int, int, bytes]]:
    """The fields of a match as (field, number, mask, own bytes); the field is ``None`` where it is
    not one of ours.

    :raises ValueError: when the bytes are not an OXM list
    """
    offset, end = 0, len(match)
    while offset < end:
        if offset + 4 > end:
            raise ValueError("match ends within a field")
        (header,) = _HEADER.unpack_from(match, offset)
        size = header & 0xFF
        raw = match[offset : offset + 4 + size]
        if len(raw) < 4 + size:
            raise ValueError("match ends within a field")
        offset += 4 + size
        masked = header & _HAS_MASK
        field = BY_HEADER.get((header & 0xFFFFFE00) | (size // 2 if masked else size))
        if field is None:
            yield None, 0, 0, raw
        elif masked:
            half = 4 + size // 2
            mask = int.from_bytes(raw[half:], "big")
            yield field, int.from_bytes(raw[4:half], "big") & mask, mask & field.full, raw
        else:
            yield field, int.from_bytes(raw[4:], "big"), field.full, raw


def in_order(match: bytes) -> bool:
    """Whether a match is certainly canonical; a quick look that spares most matches the work."""
    last, offset, end = -1, 0, len(match)
    while offset + 4 < end:
        (header,) = _HEADER.unpack_from(match, offset)
        offset += 4 + (header & 0xFF)
        rank = _PLAIN.get(header)
        if rank is None:
            if header not in _MASKED:
                return False
            rank, size, full = _MASKED[header]
            mask = int.from_bytes(match[offset - size : offset], "big")
            value = int.from_bytes(match[offset - 2 * size : offset - size], "big")
            if value & ~mask or mask in (0, full):
                return False
        if rank <= last:
            return False
        last = rank
    return offset == end
