"""All threads allocate from one heap."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from vifd.testing.wait import PATIENCE

#: Eight threads allocate side by side; then the C library tells how many heaps it has.
PROGRAM = """
import ctypes, sys, threading
from vifd.safety import heap
if sys.argv[1] == "shared":
    heap.share()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
def work():
    together.wait()
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def heaps(how: str) -> int:
    """How many heaps such a program has."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True,
        timeout=3 * PATIENCE,
    )  # fmt: skip
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="not glibc")
def test_threads_share_the_heap() -> None:
    assert heaps("shared") == 1
    assert heaps("own") > 1
