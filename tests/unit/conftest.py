"""The API as clients see it: the real server on a real socket, a daemon that keeps state behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import Served, serve
from support.backend import FakeDaemon


@pytest.fixture
def backend() -> Iterator[FakeDaemon]:
    with FakeDaemon() as made:
        yield made


@pytest.fixture
def served(backend: FakeDaemon, tmp_path: Path) -> Iterator[Served]:
    with serve(backend, str(tmp_path / "vifd.sock")) as running:
        yield running
