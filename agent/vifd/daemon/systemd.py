"""Telling systemd how the daemon is: the sd_notify protocol (see sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket

LOG = logging.getLogger(__name__)


def notify(state: str) -> bool:
    """Send a state such as ``READY=1``; False where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            # A manager that does not read must not stop the daemon.
            sock.setblocking(False)
            sock.sendto(state.encode(), address)
    except OSError as error:
        LOG.warning("the service manager cannot be told %r: %s", state, error)
        return False
    return True


def watchdog_interval() -> float | None:
    """Seconds between two signs of life that systemd wants, or ``None``."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6 / 2
