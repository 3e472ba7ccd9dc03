"""Finding the QEMU process of a guest by the socket that it holds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vifd_vhostuser.sockets import Holding


@dataclass
class Processes:
    """The processes of this host. What was found is remembered as long as the process lives.

    :param proc: where procfs is mounted
    """

    proc: str = "/proc"
    _known: dict[str, tuple[int, str, Holding]] = field(default_factory=dict)

    def holders(self, sockets: Mapping[str, Holding], *, made_by_guest: bool) -> dict[str, int]:
        """The process of the guest at each socket, where one is found.

        :param made_by_guest: the sockets were made by the guests' processes; otherwise those have
            connected to them, and are known by their command lines
        """
        found: dict[str, int] = {}
        for path, held in sockets.items():
            pid, start, before = self._known.get(path, (0, "", held))
            if pid and before == held and self._started(pid) == start:
                found[path] = pid
        missing = {path: held for path, held in sockets.items() if path not in found}
        if missing:
            fresh = self._by_descriptor(missing) if made_by_guest else self._by_command(missing)
            for path, pid in fresh.items():
                self._known[path] = (pid, self._started(pid), missing[path])
            found |= fresh
        for gone in self._known.keys() - sockets.keys():
            del self._known[gone]
        return found

    def maps(self, pid: int) -> str:
        """What a process has mapped.

        :raises OSError: it is gone, or may not be looked at
        """
        with open(f"{self.proc}/{pid}/maps", encoding="utf-8", errors="replace") as file:
            return file.read()

    def _started(self, pid: int) -> str:
        """When a process started: tells it from a later one with its number."""
        with contextlib.suppress(OSError, IndexError), open(f"{self.proc}/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[-1].split()[19]
        return ""

    def _pids(self) -> Iterator[int]:
        yield from sorted(int(name) for name in os.listdir(self.proc) if name.isdecimal())

    def _by_descriptor(self, sockets: Mapping[str, Holding]) -> dict[str, int]:
        wanted = {f"socket:[{i}]": path for path, held in sockets.items() for i in held.inodes}
        found: dict[str, int] = {}
        for pid in self._pids():
            for target in self._descriptors(pid):
                path = wanted.get(target)
                if path is not None:
                    found[path] = pid
            if len(found) == len(sockets):
                break
        return found

    def _descriptors(self, pid: int) -> Iterator[str]:
        """What a process has open; one that is gone or not ours to see has nothing."""
        home = f"{self.proc}/{pid}/fd"
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = os.listdir(home)
        for name in names:
            with contextlib.suppress(OSError):
                yield os.readlink(f"{home}/{name}")

    def _by_command(self, sockets: Mapping[str, Holding]) -> dict[str, int]:
        wanted = {os.fsencode(path): path for path in sockets}
        found: dict[str, int] = {}
        for pid in self._pids():
            with contextlib.suppress(OSError), open(f"{self.proc}/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
                if b"qemu" not in words[0]:
                    continue
                for raw, path in wanted.items():
                    if any(raw in word for word in words[1:]):
                        found[path] = pid
        return found
