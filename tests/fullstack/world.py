"""A world of one's own for a command: network, mounts, processes and host name.

``python -m fullstack.world COMMAND...`` (as root) moves to it and runs the command there. Its first
process reaps what its parents left, so that a process that ended is seen to have ended, and with it
everything in the world ends, however the command went.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

_ENTERED = "FULLSTACK_WORLD"
_NEW = ("--mount", "--net", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child")
#: Laid over with file systems in memory: what the suite and its daemons write there is nobody's.
_OVER = ("/run", "/etc/openvswitch", "/var/lib/openvswitch", "/var/log/openvswitch")
_MADE = ("netns", "lock", "openvswitch", "tmp", "units", "sudo")


def main() -> int:  # noqa: RET503 - the other way out is another program
    """Enter the world, or, inside, be its first process."""
    if os.environ.get(_ENTERED):
        furnish()
        return reap_until_ended(sys.argv[1:])
    if os.geteuid() != 0:
        print("this needs root: it makes namespaces and mounts of its own", file=sys.stderr)
        return 1
    argv = ["unshare", *_NEW, sys.executable, "-m", "fullstack.world", *sys.argv[1:]]
    os.execvpe(argv[0], argv, {**os.environ, _ENTERED: "1"})


def furnish() -> None:
    """Lay file systems of one's own over the places that are written to."""
    run("mount", "--make-rprivate", "/")
    for place in _OVER:
        Path(place).mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
    for name in _MADE:
        Path("/run", name).mkdir()
    Path("/run/tmp").chmod(0o1777)
    # The suite keeps locks and lists of what is taken in /tmp by that name. A clone may lie there.
    if not Path(__file__).is_relative_to("/tmp"):
        run("mount", "--bind", "/run/tmp", "/tmp")
    # The suite has the file applied again.
    empty = Path("/run/sysctl.conf")
    empty.touch()
    if Path("/etc/sysctl.conf").exists():
        run("mount", "--bind", str(empty), "/etc/sysctl.conf")
    run("hostname", "localhost")
    run("ip", "link", "set", "lo", "up")


def reap_until_ended(argv: list[str]) -> int:
    """Run the command, and reap every process that ends meanwhile; the command's exit code."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.execvp(argv[0], argv)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            pid, status = os.wait()
            if pid == child:
                return os.waitstatus_to_exitcode(status) & 0xFF
    return 130


def run(*argv: str) -> None:
    """Run a program of the system, and fail with it."""
    subprocess.run(argv, check=True)


if __name__ == "__main__":
    sys.exit(main())
