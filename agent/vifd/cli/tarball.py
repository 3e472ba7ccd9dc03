"""The file that ``vifctl bundle`` writes: bounded, and said to the reader what it is."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

#: What a file of the bundle is, by the beginning of its name.
GUIDE = """\
A support bundle of vifd, made by "vifctl bundle". Secrets are masked; addresses and names of ports,
networks and guests are not.

  manifest.json   every file with its size, how long it took, and what is not all
  api/            what the daemon answered: status, host, ports, events, garbage, shared sets
  api/explain/    why each port that is not as it should be does not work
  metrics.txt     the daemon's metrics
  config/         its configuration
  journal.db      a copy of its journal (SQLite)
  switch/         Open vSwitch: rows of its database, flows and counters of every bridge
  host/           interfaces, addresses, packet filters, processes, guests
  logs/           the daemon's log, and journald's

Read it with vifctl: vifctl --bundle FILE status | port list | port show | port explain …
"""


class Full(Exception):
    """There is no more room for what is to be added."""


class Tarball:
    """A tar that becomes a file once it is whole, for its owner alone.

    :param path: where it shall be; nothing is there
    :param most: bytes that may go in, before compression
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self._most = most
        self._part = path.with_name(f".{path.name}.part")
        self._used = 0
        self._manifest: list[dict[str, Any]] = []
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._raw = os.fdopen(handle, "wb")
        self._tar = tarfile.open(fileobj=self._raw, mode="w:gz")  # noqa: SIM115 - closed in __exit__
        self.name = path.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")

    def __enter__(self) -> Tarball:
        self.add("README.txt", GUIDE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            if kind is None:
                self._used = 0  # the list of what is there has its place, whatever it takes
                self.add("manifest.json", json.dumps(self._manifest, indent=1))
            self._tar.close()
            self._raw.close()
            if kind is None:
                os.link(self._part, self.path)
        finally:
            self._raw.close()
            self._part.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of the file on disk."""
        return self.path.stat().st_size

    @property
    def left(self) -> int:
        """Bytes that still may go in."""
        return self._most - self._used

    def note(self, name: str, problem: str, seconds: float = 0.0) -> None:
        """Say of a file that it is not there, and why."""
        self._manifest.append({"name": name, "bytes": 0, "seconds": seconds, "problem": problem})

    def add(self, name: str, text: str | bytes, problem: str = "", seconds: float = 0.0) -> None:
        """Add a file; where there is no room for all of it, its beginning."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        if len(data) > self.left:
            problem = "; ".join(filter(None, (problem, f"cut from {len(data)} bytes: no room")))
            data = b"" if isinstance(text, bytes) else data[: max(0, self.left)]
        info = tarfile.TarInfo(f"{self.name}/{name}")
        info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
        self._tar.addfile(info, io.BytesIO(data))
        self._used += len(data)
        self._manifest.append(
            {"name": name, "bytes": len(data), "seconds": round(seconds, 3), "problem": problem}
        )
