"""The macvtap plugin of ``examples/`` under the contract, as its author runs it: nothing of it is
installed, and no file of vifd knows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/macvtap"
POINTS = """
[vifd.plugins]
macvtap = vifd_macvtap.plugin:MacvtapPlugin
[vifd.test_profiles]
macvtap = vifd_macvtap.testing:Profile
"""


def run(directory: Path, host: str) -> subprocess.CompletedProcess[str]:
    """The kit, with the example on the path as an installed distribution."""
    metadata = directory / "vifd_macvtap-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vifd-macvtap\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    path = os.pathsep.join([str(EXAMPLE), str(directory), *sys.path])
    argv = [sys.executable, "-m", "pytest", "-p", "vifd.testing.kit", "-p", "no:cacheprovider",
            "--vif-plugin", "macvtap", "--vif-host", host, "-q"]  # fmt: skip
    return subprocess.run(
        argv, cwd=directory, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def test_it_keeps_the_contract_on_fakes(tmp_path: Path) -> None:
    done = run(tmp_path, "fake")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("kernel:macvtap")
def test_it_keeps_the_contract_on_the_real_kernel(tmp_path: Path) -> None:
    done = run(tmp_path, "real")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_vifd_knows_it() -> None:
    sources = [*ROOT.glob("agent/**/*.py"), *ROOT.glob("plugins/**/*.py"), ROOT / "setup.cfg"]
    assert [str(p) for p in sources if "vifd_macvtap" in p.read_text()] == []
