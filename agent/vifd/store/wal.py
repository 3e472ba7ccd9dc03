"""What the write-ahead log of a journal held before SQLite read it.

SQLite takes a log up to the first frame that does not add up, and says nothing of what came after
it. Where complete transactions came after it, promises are lost, and the host must be asked.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">4I")
_FRAME_HEADER = 24
_PAGES = frozenset(1 << n for n in range(9, 17))
_PAGE = 4096


class Log(NamedTuple):
    """A log file as it lies there.

    :param size: bytes; ``-1`` where there is none
    :param commits: the numbers of the frames of its latest use that end a transaction, from 1
    """

    size: int = -1
    commits: tuple[int, ...] = ()

    def lost(self, taken: int) -> int:
        """How many transactions lie behind the last frame that SQLite took, at least."""
        behind = sum(number > taken for number in self.commits)
        # Where it took nothing, the head of the log is damaged, and with it the salts.
        return behind or int(taken == 0 and self.size >= _HEADER.size + _FRAME_HEADER + _PAGE)


def read(path: Path) -> Log:
    """Look at a log; the frames of earlier uses of the file have other salts and do not count.

    :raises OSError: it cannot be read
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Log()
    if len(raw) < _HEADER.size + _FRAME_HEADER:
        return Log(len(raw))
    _, _, page, _, *salts, _, _ = _HEADER.unpack_from(raw)
    # Damage may have hit the header, so that the usual size of a page is tried as well.
    pages = {p for p in (page, _PAGE) if p in _PAGES}
    return Log(len(raw), max((_commits(raw, p, tuple(salts)) for p in pages), key=len))


def _commits(raw: bytes, page: int, salts: tuple[int, ...]) -> tuple[int, ...]:
    step = _FRAME_HEADER + page
    heads = [_FRAME.unpack_from(raw, at)
             for at in range(_HEADER.size, len(raw) - step + 1, step)]  # fmt: skip
    # Header and first frame are written together; damage may have hit either.
    current = {salts, *(head[2:] for head in heads[:1])}
    return tuple(n for n, (_, ends, *salt) in enumerate(heads, 1)
                 if ends and tuple(salt) in current)  # fmt: skip
