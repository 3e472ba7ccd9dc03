"""The host's files, below a root that tests choose."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV)


class Unreadable(Exception):
    """Something is there and does not say what it should; the text says where and why."""


@dataclass(frozen=True)
class Tree:
    """Procfs, sysfs, ``/dev`` and what else is read as files. Paths are relative to the root."""

    root: Path = Path("/")

    def path(self, path: str) -> str:
        """The real path."""
        return os.path.join(self.root, path.lstrip("/"))

    def exists(self, path: str) -> bool:
        """Whether something is there; what cannot be looked at is not."""
        return os.path.exists(self.path(path))

    def text(self, path: str) -> str | None:
        """The content without white space around it; ``None`` where there is no such file.

        :raises Unreadable: it is there and cannot be read
        """
        data = self.data(path)
        return None if data is None else data.decode(errors="replace").strip()

    def data(self, path: str) -> bytes | None:
        """The content; ``None`` where there is no such file.

        :raises Unreadable: it is there and cannot be read
        """
        try:
            with open(self.path(path), "rb", buffering=0) as file:
                # in small pieces: sysctls take the size of the buffer for that of their answer
                return file.readall()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise Unreadable(f"/{path.lstrip('/')}: {error.strerror}") from error

    def number(self, path: str) -> int | None:
        """A decimal number; ``None`` where there is no such file.

        :raises Unreadable: it is there and no number
        """
        text = self.text(path)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError as error:
            raise Unreadable(f"/{path.lstrip('/')} holds {text[:40]!r} and no number") from error

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted; nothing where there is none.

        :raises Unreadable: it is there and cannot be read
        """
        try:
            return sorted(os.listdir(self.path(path)))
        except OSError as error:
            if error.errno in _ABSENT:
                return []
            raise Unreadable(f"/{path.lstrip('/')}: {error.strerror}") from error

    def target(self, path: str) -> str:
        """The last part of what a link leads to, or the empty string."""
        try:
            return os.path.basename(os.readlink(self.path(path)))
        except OSError:
            return ""
