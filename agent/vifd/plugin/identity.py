"""Which daemon this is: for marks that tell several daemons of one host apart."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

#: The file in the state directory that holds the id; it outlives the journal.
FILE = "agent-id"


class Identity(Struct, frozen=True, kw_only=True):
    """One life of a daemon.

    :param id: of the state directory, the same in every life
    :param pid: of the process, in the namespace ``pids``
    :param started: of the process, in the kernel's ticks since it booted
    :param boot: the kernel's boot id
    :param state: the state directory, for a reader
    """

    id: str
    pid: int
    started: int
    boot: str
    pids: str
    state: str = ""

    def text(self) -> str:
        """As a mark holds it."""
        return msgspec.json.encode(self).decode()

    def __str__(self) -> str:
        return f"the vifd with state_path {self.state} (process {self.pid})"


def parse(text: str) -> Identity | None:
    """What a mark says; ``None`` where it makes no sense."""
    try:
        return msgspec.json.decode(text, type=Identity)
    except msgspec.DecodeError:
        return None


def here(state: Path) -> Identity:
    """This process.

    :raises OSError: the state directory cannot be written
    """
    pid = os.getpid()
    return Identity(
        id=_id(state / FILE), pid=pid, started=_started(pid) or 0, boot=_boot(),
        pids=os.readlink("/proc/self/ns/pid"), state=str(state),
    )  # fmt: skip


def rivals(other: Identity, own: Identity) -> bool:
    """Whether another daemon may be at work beside this one. One that cannot be seen from here, in
    a container of its own, is taken to be: only its owner knows."""
    if other.boot != own.boot:
        return False
    if (other.pids, other.pid, other.started) == (own.pids, own.pid, own.started):
        return False
    if other.pids != own.pids:
        return other.id != own.id
    return _started(other.pid) == other.started


def _id(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        text = ""
    if not text:
        text = str(uuid.uuid4())
        path.write_text(f"{text}\n")
    return text


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started(pid: int) -> int | None:
    """When a process began, in ticks; ``None`` where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # the name is in parentheses and may hold anything
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
