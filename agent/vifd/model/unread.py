"""What of a document is not read: fields that no version of this vifd knows, kept all the same."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from vifd.model.attachment import Attachment

#: Bytes of such fields that are kept of one document, and of all documents of a journal.
MAX_DOCUMENT = 64 * 1024
MAX_JOURNAL = 16 * 1024 * 1024


def unread(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a document that is decoded that no part of it has, with their paths."""
    yield from _below(raw, Attachment, "")


def size(raw: Mapping[str, Any]) -> int:
    """Bytes that these fields take."""
    return sum(len(path) + len(msgspec.json.encode(value)) for path, value in unread(raw))


def _below(raw: Mapping[str, Any], kind: type[Struct], prefix: str) -> Iterator[tuple[str, Any]]:
    known = fields(kind)
    for name, value in raw.items():
        if name not in known:
            yield f"{prefix}{name}", value
            continue
        below = known[name]
        if below is None:
            continue
        if isinstance(value, dict):
            yield from _below(value, below, f"{prefix}{name}.")
        elif isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _below(item, below, f"{prefix}{name}[{i}].")


@cache
def fields(kind: type[Struct]) -> dict[str, type[Struct] | None]:
    """The fields of a part, each with the part that it holds, one or many; ``None`` for a value."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: _struct_in(hint) for name, hint in hints.items()}


def _struct_in(hint: Any) -> type[Struct] | None:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint
    if get_origin(hint) in (list, Union, types.UnionType, Annotated) or hasattr(
        hint, "__metadata__"
    ):
        found = (_struct_in(part) for part in get_args(hint))
        return next((one for one in found if one is not None), None)
    return None
