"""The mechanism driver in a real ML2 plugin, in Neutron's own environment."""

import os
import subprocess
from pathlib import Path

import pytest

from support.cloud import places

pytestmark = pytest.mark.needs("neutron")

TESTS = Path(__file__).parent / "mechanism.py"


def test_the_driver_in_a_real_ml2_plugin(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [places.PYTHON, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider",
         "--noconftest", f"--rootdir={tmp_path}", TESTS],
        env={**kept, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}, cwd=tmp_path,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
