"""Which processes have a tap open, by what the kernel says of their files. For who asks why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TUN = "/dev/net/tun"


@dataclass(frozen=True)
class Holder:
    """A process that has the device open.

    :param arguments: of its command line
    """

    pid: int
    name: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"

    @property
    def guest(self) -> str:
        """The id of the guest that QEMU runs there; empty for any other process."""
        places = [n for n, word in enumerate(self.arguments[:-1]) if word == "-uuid"]
        return self.arguments[places[0] + 1].lower() if places else ""


def holders(device: str, proc: Path = Path("/proc")) -> list[Holder]:
    """The processes that have a tap open, as far as they may be looked at.

    The kernel tells a tap by its name alone: who lives wholly in other network namespaces has a
    device of its own by that name (a container's, another host's in one machine).
    """
    ours = _namespaces(proc / "self")
    return [_holder(pid) for pid in _pids(proc) if _has(pid, device) and _is_near(pid, ours)]


def held(device: str) -> bool:
    """Whether a process has a tap open. The kernel gives a tap its carrier when it is opened, and
    another program may take it away from one that is."""
    return bool(holders(device))


def taps(proc: Path = Path("/proc")) -> set[str]:
    """The taps that processes near this one have open, by one walk."""
    ours = _namespaces(proc / "self")
    return {name for pid in _pids(proc) for name in _open_taps(pid) if _is_near(pid, ours)}


def _is_near(process: Path, ours: set[str]) -> bool:
    theirs = _namespaces(process)
    return not (ours and theirs) or bool(ours & theirs)


def _namespaces(process: Path) -> set[str]:
    """The network namespaces of its threads; nothing where they may not be looked at."""
    try:
        return {os.readlink(thread / "ns/net") for thread in (process / "task").iterdir()}
    except OSError:
        return set()


def _pids(proc: Path) -> Iterator[Path]:
    return (entry for entry in proc.iterdir() if entry.name.isdigit())


def _has(process: Path, device: str) -> bool:
    return device in _open_taps(process)


def _open_taps(process: Path) -> Iterator[str]:
    try:
        files = os.listdir(process / "fd")
    except OSError:
        return
    for file in files:
        yield from _tap(process, file)


def _tap(process: Path, file: str) -> Iterator[str]:
    """The tap of an open file; none where it is another file, or its tap is no more."""
    try:
        if os.readlink(process / "fd" / file) != _TUN:
            return
        lines = (process / "fdinfo" / file).read_text().splitlines()
    except OSError:
        return
    yield from (words[1] for line in lines if (words := line.split())[:1] == ["iff:"] if words[1:])


def _holder(process: Path) -> Holder:
    def read(name: str) -> str:
        try:
            return (process / name).read_text(errors="replace")
        except OSError:
            return ""

    words = tuple(read("cmdline").rstrip("\0").split("\0"))
    return Holder(int(process.name), read("comm").strip() or "?", words)


def stranger(found: list[Holder], instance: str, *, unknown: bool) -> Holder | None:
    """The holder that is no guest of the port, as far as that can be told.

    :param instance: the id of the port's instance; empty where it has none
    :param unknown: whether the hypervisor was asked and knows no guest with the device
    """
    for holder in found:
        if holder.guest and instance:
            if holder.guest != instance.lower():
                return holder
        elif unknown:
            return holder
    return None
