"""All threads allocate from one heap, and what is large from none."""

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


#: Where the second large block lies, once one of that size was freed: far from the heap, or in it.
LARGE = """
import ctypes, sys
from vifd.safety import heap
if sys.argv[1] == "shared":
    heap.share()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
libc.free(libc.malloc(8 << 20))
block = libc.malloc(1 << 20)
own = [line for line in open("/proc/self/maps") if line.endswith("[heap]\\n")]
low, high = (int(text, 16) for text in own[0].split()[0].split("-"))
print(low <= block < high)
"""


def heaps(how: str) -> int:
    """How many heaps such a program has."""
    return said(PROGRAM, how).count("<heap nr=")


def said(program: str, how: str) -> str:
    """What a program of its own prints."""
    argv = [sys.executable, "-c", program, how]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=3 * PATIENCE)
    return done.stdout


pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="not glibc")


def test_threads_share_the_heap() -> None:
    assert heaps("shared") == 1
    assert heaps("own") > 1


def test_what_is_large_is_given_back() -> None:
    assert said(LARGE, "shared") == "False\n"
    assert said(LARGE, "own") == "True\n"
