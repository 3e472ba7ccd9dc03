"""The first process of a test's host: lays the host's own directories over the machine's, reaps.

Run as process 1 of new namespaces, with the host's directory as the argument. Without somebody who
reaps, a process that has ended would look alive to those who watch it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

#: What a host has of its own, besides its network: where it is, and where it lies on its disk.
PLACES = {
    "/etc/libvirt": "etc/libvirt",
    "/var/lib/libvirt": "lib/libvirt",
    "/var/log/libvirt": "log/libvirt",
    "/var/cache/libvirt": "cache/libvirt",
    "/run": "run",
}
#: The same for single files.
FILES = {
    "/etc/passwd": "etc/passwd",
    "/etc/group": "etc/group",
    "/proc/sys/kernel/random/boot_id": "boot_id",
}
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    """Mount something; ``OSError`` where the kernel refuses."""
    done = _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, None)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")


def lay_over(disk: Path) -> None:
    """Mount what the host has of its own over what the machine has."""
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    for place, own in (PLACES | FILES).items():
        mount(str(disk / own), place, flags=_MS_BIND)
    mount("sysfs", "/sys", "sysfs")


def main() -> None:
    """Prepare the host, say so on standard output, and reap for ever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    lay_over(Path(sys.argv[1]))
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while True:
        signal.sigwait({signal.SIGCHLD})
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break


if __name__ == "__main__":
    main()
