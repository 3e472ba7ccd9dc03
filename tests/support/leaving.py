"""A directory for a host of a test, of which nothing is left when it goes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vifd.testing import census
from vifd.testing.wait import until


@contextlib.contextmanager
def nothing_left(prefix: str) -> Iterator[Path]:
    """The directory; no device, process, namespace or file of the host is there afterwards."""
    before = census.take()
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        yield Path(directory)
    until(lambda: not census.take().beyond(before), "nothing of the host is left")
