"""Tables that fit: which columns, and how much of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: Characters of a line, wherever it is read.
WIDTH = 80
#: Characters of a name that are shown at least.
_LEAST = 8
#: Of an id.
_ID = 8

Row = Sequence[str]


def short_ids(ids: Sequence[str]) -> list[str]:
    """As much of each id as tells them all apart; every command takes such a beginning."""
    length = _ID
    while len({i[:length] for i in ids}) < len(set(ids)):
        length += 1
    return [i[:length] for i in ids]


def fitted(
    columns: Sequence[str], rows: Sequence[Row], *, give: str, drop: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The table in :data:`WIDTH` characters.

    :param give: the column that is cut where there is too little room
    :param drop: columns that are left out where that is not enough, in this order
    """
    kept, cells = list(columns), [list(row) for row in rows]
    left = list(drop)
    while left and _room(kept, cells, give) < min(_LEAST, _widest(kept, cells, give)):
        at = kept.index(left.pop(0))
        for row in (kept, *cells):
            del row[at]
    room, at = max(_room(kept, cells, give), _LEAST), kept.index(give)
    for row in cells:
        row[at] = row[at] if len(row[at]) <= room else row[at][: room - 1] + "…"
    return kept, cells


def _room(columns: Sequence[str], rows: Sequence[Row], give: str) -> int:
    """What the other columns and the rules leave of a line."""
    others = sum(_widest(columns, rows, name) for name in columns if name != give)
    return WIDTH - others - 3 * len(columns) - 1


def _widest(columns: Sequence[str], rows: Sequence[Row], name: str) -> int:
    at = columns.index(name)
    return max([len(name), *(len(row[at]) for row in rows)])
