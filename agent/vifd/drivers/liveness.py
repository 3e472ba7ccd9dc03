"""Whether a process at the other end of a local socket answers now: measured by a connection of its
own, because the one that is used may be waiting behind something else."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from pathlib import Path

from vifd.drivers.silent import ABSENT, NO_ANSWER, STOPPED, hangs, peer, stands_still, stopped

_ECHO = json.dumps({"id": "vifd", "method": "echo", "params": []}).encode()
_VERSION = json.dumps({"id": 0, "method": "version", "params": []}).encode()


def database(remote: str, timeout: float) -> str:
    """Why ``ovsdb-server`` does not answer; empty where it does, or is not reached by a local
    socket.

    :param remote: in the form of Open vSwitch, ``unix:PATH``
    """
    kind, _, path = remote.partition(":")
    return _exchange(path, _ECHO, timeout) if kind == "unix" else ""


def switch(rundir: str, timeout: float) -> str:
    """Why ``ovs-vswitchd`` does not answer at its control socket; empty where it does."""
    try:
        with open(os.path.join(rundir, "ovs-vswitchd.pid"), encoding="ascii") as file:
            pid = int(file.read())
    except (OSError, ValueError) as error:
        return _of_none(str(error), rundir)
    problem = _exchange(os.path.join(rundir, f"ovs-vswitchd.{pid}.ctl"), _VERSION, timeout)
    if hangs(problem):
        return problem + STOPPED if stands_still(pid) and not stopped(problem) else problem
    return _of_none(problem, rundir) if problem else ""


def _of_none(problem: str, rundir: str) -> str:
    """With that it does not run, where nobody is at any bridge's socket either: a control socket
    or a pid file may be missing of one that forwards as ever."""
    there = any(_listens(path) for path in Path(rundir).glob("*.mgmt"))
    return problem if there else f"{problem}; {ABSENT}"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def _exchange(path: str, request: bytes, timeout: float) -> str:
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        # a process that was stopped may have its backlog full: then even this waits
        sock.settimeout(timeout)
        try:
            sock.connect(path)
            sock.sendall(request)
            left = max(0.0, deadline - time.monotonic())
            if not select.select([sock], [], [], left)[0]:
                still = STOPPED if stands_still(peer(sock)) else ""
                return f"{NO_ANSWER} {timeout:g} s{still}"
            return "" if sock.recv(1) else "it closed the connection"
        except TimeoutError:
            return f"{NO_ANSWER} {timeout:g} s"
        except OSError as error:
            return f"{path}: {error.strerror or error}"
