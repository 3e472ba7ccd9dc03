"""An empty journal on a real file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.store import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal.open(path)
    yield journal
    journal.close()
