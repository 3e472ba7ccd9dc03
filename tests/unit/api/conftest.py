"""The API as clients see it: the real server on a real socket, a daemon that keeps state behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.api import Served
from unit.api.client import Client


@pytest.fixture
def api(served: Served) -> Iterator[Client]:
    client = Client(served.path)
    yield client
    client.close()
