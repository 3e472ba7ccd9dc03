"""Whether the host booted only now."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

LOG = logging.getLogger(__name__)

#: Changes with every boot of the kernel.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, for the daemon alone whatever its umask is."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, 0o600)
        file.write(text)
    fresh.rename(path)


def seconds_since_first_start(state: Path, boot_id: Path = BOOT_ID) -> float:
    """Seconds since vifd was first started after the host booted; 0 where this is that start.

    It is kept in a file, because a restart of vifd in the middle of a boot is no boot, and a host
    can be up for long before vifd is installed and started.

    :param state: where the file is kept
    """
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    path = state / "boot.json"
    try:
        boot = boot_id.read_text().strip()
    except OSError:
        return 0.0
    try:
        known = json.loads(path.read_text())
        if known["boot_id"] == boot:
            return max(0.0, now - float(known["first_start"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        _write(path, json.dumps({"boot_id": boot, "first_start": now}) + "\n")
    except OSError as error:
        LOG.warning("%s cannot be written: %s", path, error)
    return 0.0
