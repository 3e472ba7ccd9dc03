"""One heap for all threads.

glibc gives threads heaps of their own, so that two can allocate at the same moment. Threads of
Python take turns anyway, and what each of these heaps keeps for later is of no use to the others:
1 MiB of a daemon with 100 ports.
"""

from __future__ import annotations

import ctypes

#: ``M_ARENA_MAX`` of malloc.h: how many heaps there may be.
_MOST = -8


def share() -> None:
    """Have threads that are started from now on use the heap that is there.

    Nothing where the C library knows no such setting; one that was given by the environment
    (``MALLOC_ARENA_MAX``) is replaced.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MOST, 1)
