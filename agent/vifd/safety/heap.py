"""One heap for all threads, with nothing large in it.

glibc gives threads heaps of their own, so that two can allocate at the same moment. Threads of
Python take turns anyway, and what each of these heaps keeps for later is of no use to the others:
1 MiB of a daemon with 100 ports.

A large block is memory of its own, given back when it is freed; but glibc takes the largest one
that was freed for the size from which on that is so. A start reads all rows and all flows in one
piece: after it, large blocks would come from the heap as well, and the holes that they leave stay.
"""

from __future__ import annotations

import ctypes

#: ``M_ARENA_MAX`` of malloc.h: how many heaps there may be.
_MOST = -8
#: ``M_MMAP_THRESHOLD``: the bytes from which on a block is large; once it is set, it stays.
_LARGE = -3
#: What glibc begins with.
_BEGIN = 128 << 10


def share() -> None:
    """Have threads that are started from now on use the heap that is there, for small blocks.

    Nothing where the C library knows no such settings; those that were given by the environment
    (``MALLOC_ARENA_MAX``, ``MALLOC_MMAP_THRESHOLD_``) are replaced.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MOST, 1)
        mallopt(_LARGE, _BEGIN)
