"""In what words it is said that a process is there and gives no answer, and whether it can."""

from __future__ import annotations

import socket
import struct

NO_ANSWER = "no answer within"
STOPPED = ": its process is stopped"
ABSENT = "it does not run"
#: Seconds after which it is looked whether a peer that says nothing was stopped; seen so twice in a
#: row, it is not waited for any more.
LOOK = 1.0


def hangs(problem: str) -> bool:
    """Whether a process is there and gives no answer: one that does not run is known to do nothing,
    of one that hangs nothing is known."""
    return problem.startswith(NO_ANSWER)


def stopped(problem: str) -> bool:
    """Whether the process does nothing at all."""
    return problem.endswith(STOPPED)


def absent(problem: str) -> bool:
    """Whether there is no process at all, which is more than a socket that is missing."""
    return problem.endswith(ABSENT)


def stands_still(pid: int) -> bool:
    """Whether a process was stopped, by a signal or a debugger; not known is no."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


class Watch:
    """Looks at the peer of a local socket while its answer is waited for."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._seen = 0

    def given_up(self) -> str:
        """Why there is nothing to wait for; empty else. To be asked after each :data:`LOOK`."""
        self._seen = self._seen + 1 if stands_still(peer(self._socket)) else 0
        return f"{NO_ANSWER} {self._seen * LOOK:g} s{STOPPED}" if self._seen > 1 else ""


def peer(sock: socket.socket) -> int:
    """The process at the other end of a local socket; 0 where it is not known here."""
    size = struct.calcsize("3i")
    pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    return pid
