"""The sockets that guest and switch meet at: reading their state, and what may be done to them.

A socket is touched only if its name is that of a port of ours, and removed only while nobody holds
it: no entry in the kernel's table, and a connection to it is refused.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vifd.errors import SocketError

#: ``sun_path`` of the kernel, with its closing zero.
MAX_PATH = 108
#: What every socket's name begins with; the first characters of the port's id follow.
PREFIX = "vhu"
LABEL = "security.selinux"

#: States in /proc/net/unix.
_LISTENING, _CONNECTED = "01", "03"


@dataclass(frozen=True)
class Access:
    """Who may use the sockets; ``None`` where that is left as it is.

    :param label: SELinux context
    """

    owner: int | None = None
    group: int | None = None
    mode: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Holding:
    """Who has a socket open, of those that the kernel's table shows.

    :param inodes: of the open ends that bear the path
    """

    listening: bool = False
    connected: bool = False
    inodes: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.inodes)


NOBODY = Holding()


@dataclass(frozen=True)
class SocketFile:
    """A file where a socket should be."""

    is_socket: bool
    owner: int
    group: int
    mode: int
    label: str | None = None


def path_problem(path: str) -> str | None:
    """Why a path cannot be that of a socket, or ``None``."""
    if not path.startswith("/"):
        return "the path is not absolute"
    length = len(os.fsencode(path)) + 1
    return f"the path has {length} bytes, the limit is {MAX_PATH}" if length > MAX_PATH else None


def read(path: str) -> SocketFile | None:
    """The file at a path; a link is not followed."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failed(path, "cannot be read", error) from error
    return SocketFile(
        stat.S_ISSOCK(found.st_mode), found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode),
        _label(path),
    )  # fmt: skip


def _label(path: str) -> str | None:
    try:
        return os.getxattr(path, LABEL, follow_symlinks=False).rstrip(b"\0").decode()
    except OSError:
        return None


def differences(have: SocketFile, wanted: Access) -> dict[str, tuple[object, object]]:
    """What is not as wanted: name to (have, wanted)."""
    found: dict[str, tuple[object, object]] = {}
    for name in ("owner", "group", "label"):
        want, present = getattr(wanted, name), getattr(have, name)
        if want is not None and want != present:
            found[name] = (present, want)
    if wanted.mode is not None and wanted.mode != have.mode:
        found["mode"] = (f"{have.mode:04o}", f"{wanted.mode:04o}")
    return found


def grant(path: str, wanted: Access) -> None:
    """Give a socket that is there its owner, group, mode and label.

    :raises SocketError: the kernel refused
    """
    have = read(path)
    if have is None or not have.is_socket:
        return
    todo = differences(have, wanted)
    try:
        if "owner" in todo or "group" in todo:
            owner, group = wanted.owner, wanted.group
            os.chown(path, -1 if owner is None else owner, -1 if group is None else group,
                     follow_symlinks=False)  # fmt: skip
        if "mode" in todo and wanted.mode is not None:
            os.chmod(path, wanted.mode)
        if "label" in todo and wanted.label is not None:
            os.setxattr(path, LABEL, wanted.label.encode() + b"\0", follow_symlinks=False)
    except FileNotFoundError:
        return  # its maker took it away meanwhile
    except OSError as error:
        raise _failed(path, f"cannot be given {', '.join(sorted(todo))}", error) from error


def remove_stale(path: str, held: Holding) -> bool:
    """Remove a socket that nobody holds, and say whether one was removed.

    :param held: who has it open; one that is held stays
    """
    have = read(path)
    if have is None or not have.is_socket or held or not _refuses(path):
        return False
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failed(path, "is stale and cannot be removed", error) from error
    return True


def _refuses(path: str) -> bool:
    """Whether nobody listens: also a listener in another network namespace accepts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
    return False


# --- the directory --------------------------------------------------------------------------------


def directory_problem(directory: str, *, make: bool) -> str | None:
    """Why sockets cannot be made in a directory, or ``None``.

    :param make: whether a missing one would be made
    """
    path = Path(directory)
    try:
        if path.is_dir():
            return None
        if path.exists() or path.is_symlink():
            return f"{directory} is no directory"
    except OSError as error:
        return f"{directory}: {error.strerror}"
    if not make:
        return f"directory {directory} does not exist"
    above = next(p for p in path.parents if p.exists())
    return None if os.access(above, os.W_OK) else f"{directory} cannot be made in {above}"


def make_directory(directory: str, access: Access) -> None:
    """Make the directory; one that exists is left as it is.

    :raises SocketError: the kernel refused
    """
    path = Path(directory)
    if path.is_dir():
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        owner = -1 if access.owner is None else access.owner
        os.chown(path, owner, -1 if access.group is None else access.group)
        # sockets made here belong to the directory's group, whoever makes them
        path.chmod(0o2775 if access.group is not None else 0o755)
    except OSError as error:
        raise _failed(directory, "cannot be made", error) from error


# --- who holds what -------------------------------------------------------------------------------


@dataclass
class UnixTable:
    """The kernel's table of unix sockets, as far as it shows the sockets of ours.

    :param proc: where procfs is mounted
    """

    proc: str = "/proc"
    _directories: dict[str, str] = field(default_factory=dict)

    def held(self, paths: Iterable[str]) -> dict[str, Holding]:
        """Who holds each of these sockets; one that nobody holds is left out."""
        wanted = {self._canonical(path): path for path in paths}
        if not wanted:
            return {}
        entries: dict[str, list[tuple[str, int]]] = {}
        with open(f"{self.proc}/net/unix", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                if PREFIX not in line:
                    continue
                words = line.split(maxsplit=7)
                if len(words) == 8 and (path := wanted.get(self._canonical(words[7].rstrip("\n")))):
                    entries.setdefault(path, []).append((words[5], int(words[6])))
        return {path: _holding(found) for path, found in entries.items()}

    def _canonical(self, path: str) -> str:
        """The same path in one way of writing."""
        directory, name = os.path.split(path)
        if directory not in self._directories:
            self._directories[directory] = os.path.realpath(directory)
        return f"{self._directories[directory]}/{name}"


def _holding(entries: list[tuple[str, int]]) -> Holding:
    states = {state for state, _ in entries}
    inodes = frozenset(inode for _, inode in entries)
    return Holding(_LISTENING in states, _CONNECTED in states, inodes)


def _failed(path: str, what: str, error: OSError) -> SocketError:
    return SocketError(facts={"path": path, "problem": f"{what}: {error.strerror}"})
