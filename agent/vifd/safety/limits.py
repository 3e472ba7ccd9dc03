"""What the system lets this process have; where it is too little, in words that name the limit."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
from pathlib import Path

LOG = logging.getLogger(__name__)

#: Descriptors below which a host of ordinary size does not work: listeners, the switch's bridges,
#: some clients, a batch of taps.
DESCRIPTORS = 1024
#: Address space below which many ports may not fit, in bytes.
ADDRESS_SPACE = 2 << 30

_STATUS = Path("/proc/self/status")


def word(error: BaseException | int) -> str:
    """Which limit an exception, or the number of an error, tells of; empty where it is none."""
    number = error if isinstance(error, int) else getattr(error, "errno", None)
    if number == errno.EMFILE:
        most = _soft(resource.RLIMIT_NOFILE)
        return (
            f"vifd has {descriptors()} of {most} descriptors open: raise LimitNOFILE= of its unit"
        )
    if number == errno.ENFILE:
        return "the host has no descriptor left for anybody: raise the sysctl fs.file-max"
    if isinstance(error, MemoryError) or (number == errno.ENOMEM and not isinstance(error, int)):
        return f"vifd gets no more memory; it {_memory()}: see LimitAS= and MemoryMax= of its unit"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return f"vifd cannot start a thread; it {_memory()}: see TasksMax= and LimitAS= of its unit"
    return ""


def descriptors() -> int:
    """How many this process has open; 0 where that cannot be read."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError as error:
        # reading the list takes one as well
        return _soft(resource.RLIMIT_NOFILE) if error.errno == errno.EMFILE else 0


def room(most: int) -> int:
    """How many descriptors may be used at a time for one piece of work: half of what is left."""
    soft = _soft(resource.RLIMIT_NOFILE)
    if soft >= 2 * DESCRIPTORS:
        return most
    return max(1, min(most, (soft - descriptors()) // 2))


def problems() -> list[str]:
    """Limits that are too small for a host of ordinary size, in words."""
    found = []
    most = _soft(resource.RLIMIT_NOFILE)
    if most < DESCRIPTORS:
        found.append(f"vifd may open {most} descriptors: set LimitNOFILE= of its unit to more")
    space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if space != resource.RLIM_INFINITY and space < ADDRESS_SPACE:
        gib = space / (1 << 30)
        found.append(f"vifd may have {gib:.1f} GiB of address space: remove LimitAS= of its unit")
    return found


def widen() -> None:
    """Take as many descriptors as the hard limit allows, and say what is too little."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for problem in problems():
        LOG.warning("%s. Next: more ports or clients will end in errors", problem)


def _soft(kind: int) -> int:
    return resource.getrlimit(kind)[0]


def _memory() -> str:
    """The size of this process and its limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    allowed = "no limit" if limit == resource.RLIM_INFINITY else f"{limit >> 20} MiB allowed"
    size = "?"
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        size = str(int(lines.get("VmSize", "0").split()[0]) >> 10)
    return f"has {size} MiB of address space, {allowed}"
