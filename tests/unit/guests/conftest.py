"""One world per test."""

from __future__ import annotations

import pytest

from unit.guests.world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.halt()
