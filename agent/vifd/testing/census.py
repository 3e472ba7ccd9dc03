"""Counting what is there, so that a test can say that nothing was left behind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from vifd.testing.netns import links
from vifd.testing.sandbox import PrivateOvs

#: The kind that a daemon may change by itself.
_RUNNING = "processes"


@dataclass(frozen=True)
class Census:
    """What was there at one moment, as readable names.

    :param links: devices of the calling thread's namespace
    :param processes: descendants of this process by command line, those of one command numbered;
        one that was started again is the same
    :param files: what lies below the directories that were named
    :param ports: ports of the switch, as ``bridge/port``
    :param flows: flows of the switch without their counters
    """

    links: frozenset[str] = frozenset()
    processes: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    ports: frozenset[str] = frozenset()
    flows: frozenset[str] = frozenset()

    def beyond(self, earlier: Census, *, processes: bool = True) -> list[str]:
        """What is here and was not there before, a line each.

        :param processes: whether they count: a daemon that runs may just be asking QEMU what it can
            do, and be done with it when it pleases
        """
        found = [(k, name) for k, name in _differences(self, earlier) if processes or k != _RUNNING]
        return [f"{kind}: {name}" for kind, name in found]

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind.name: len(getattr(self, kind.name)) for kind in fields(self)}


def _differences(later: Census, earlier: Census) -> Iterator[tuple[str, str]]:
    for kind in fields(Census):
        for name in sorted(getattr(later, kind.name) - getattr(earlier, kind.name)):
            yield kind.name, name


def take(ovs: PrivateOvs | None = None, directories: Iterable[Path] = ()) -> Census:
    """Count now.

    :param ovs: a switch whose ports and flows count as well; both of its daemons must run
    :param directories: whose files and directories count as well
    """
    return Census(
        links=frozenset(links()),
        processes=frozenset(_numbered(_descendants(os.getpid()))),
        files=frozenset(_files(directories)),
        ports=frozenset(_ports(ovs)) if ovs else frozenset(),
        flows=frozenset(_flows(ovs)) if ovs else frozenset(),
    )


def _descendants(pid: int) -> Iterator[str]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            if (line := _command(child)) is not None:
                yield line
                yield from _descendants(int(child))


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for line in lines:
        seen[line] += 1
        yield f"{line} ({seen[line]})"


def _command(pid: str) -> str | None:
    """The command line of a process, ``None`` for one that has ended."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    return raw.replace(b"\0", b" ").decode(errors="replace").strip() or None


def _files(directories: Iterable[Path]) -> Iterator[str]:
    for directory in directories:
        for entry in directory.rglob("*"):
            yield str(entry)


def _ports(ovs: PrivateOvs) -> Iterator[str]:
    for bridge in ovs.bridges():
        yield f"{bridge}/"
        for port in ovs.vsctl("list-ports", bridge).split():
            yield f"{bridge}/{port}"


def _flows(ovs: PrivateOvs) -> Iterator[str]:
    for bridge in ovs.bridges():
        for line in ovs.ofctl("dump-flows", bridge, "--no-stats").splitlines():
            if "actions=" in line:
                yield f"{bridge}: {line.strip()}"
