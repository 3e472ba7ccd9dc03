"""The noop plugin under the contract, as its author runs it: through the kit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.mark.parametrize("host", ["fake", "real"])
def test_the_suite(host: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pytest", "-p", "vifd.testing.kit", "-p", "no:cacheprovider",
            "--vif-plugin", "noop", "--vif-host", host, "-q", "-k", "not TestKill"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
