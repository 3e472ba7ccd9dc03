from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from unit.neutron.scene import Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    if not cfg.CONF._namespace:
        cfg.CONF([], project="vifd", default_config_files=[])
    with Cloud(tmp_path) as made:
        yield made
