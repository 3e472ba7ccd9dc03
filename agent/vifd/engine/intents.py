"""Ports that are being opened before the journal says so, remembered over a death of the daemon.

A guest that has just arrived waits for its port, and a durable commit costs more than the bundle of
flows that opens it. So what is about to happen is written to a file of its own, without a sync, and
the commit follows. It survives the daemon. It need not survive the machine: with that the guest
dies, and the file is of another boot then.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vifd.model import UUID

LOG = logging.getLogger(__name__)

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_port = re.compile(UUID)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@dataclass
class Intents:
    """One file per port in a directory of their own; without a directory nothing is remembered.

    :param directory: made when it is first needed
    """

    directory: Path | None = None
    boot: str = field(default_factory=_boot)
    #: those that were written in this life
    _written: set[str] = field(default_factory=set)

    def write(self, port_id: str, request_id: str) -> bool:
        """A port is about to be opened; whether that is remembered."""
        if self.directory is None:
            return True
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            (self.directory / port_id).write_text(f"{self.boot}\n{request_id}\n")
        except OSError as error:
            LOG.warning(
                "%s: what is about to be opened cannot be noted (%s). Next: the journal is written "
                "first. port=%s", self.directory, error, port_id,
            )  # fmt: skip
            return False
        self._written.add(port_id)
        return True

    def done(self, port_id: str) -> None:
        """The journal knows of it, or it was undone."""
        if port_id in self._written:
            self._written.discard(port_id)
            self._remove(port_id)

    def left(self) -> dict[str, str]:
        """By port, the request by which it was being opened when the daemon died on this boot.

        What is of another boot, or none of ours, is dropped."""
        found: dict[str, str] = {}
        for path in self._files():
            port_id = path.name
            boot, _, rest = self._text(path).partition("\n")
            if boot == self.boot and boot and _port.fullmatch(port_id):
                found[port_id] = rest.strip()
                self._written.add(port_id)
            else:
                self._remove(port_id)
        return found

    def _files(self) -> list[Path]:
        try:
            return sorted(self.directory.iterdir()) if self.directory is not None else []
        except OSError:
            return []

    @staticmethod
    def _text(path: Path) -> str:
        try:
            return path.read_text(errors="replace")[:256]
        except OSError:
            return ""

    def _remove(self, port_id: str) -> None:
        if self.directory is not None:
            with suppress(OSError):
                (self.directory / port_id).unlink()
