"""File systems that are small, or read-only, in a mount namespace of the test's own."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.testing import netns

MS_RDONLY, MS_REMOUNT, MS_BIND = 0x1, 0x20, 0x1000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str | None) -> None:
    texts = [t.encode() if t is not None else None for t in (source, str(target), kind)]
    data = options.encode() if options else None
    if _libc.mount(*texts, ctypes.c_ulong(flags), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")


@contextlib.contextmanager
def small(directory: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size on the directory; processes started meanwhile see it.

    The test is skipped where it may not mount.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        netns.unshare(netns.CLONE_NEWNS)
        _mount("none", Path("/"), None, netns.MS_REC | netns.MS_PRIVATE, None)
        _mount("tmpfs", directory, "tmpfs", 0, f"size={kilobytes}k,mode=700")
    except OSError as error:
        pytest.skip(f"may not mount: {error}")
    try:
        yield directory
    finally:
        _libc.umount2(str(directory).encode(), MNT_DETACH)


def readonly(directory: Path, *, on: bool) -> None:
    """Let nobody write below a mount point, or let them again."""
    _mount("none", directory, None, MS_REMOUNT | MS_BIND | (MS_RDONLY if on else 0), None)


def fill(directory: Path) -> Path:
    """A file that takes all that is left."""
    path = directory / "ballast"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)
    return path
