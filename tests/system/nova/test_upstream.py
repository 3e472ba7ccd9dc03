"""nova's own functional tests through the shim; minutes, so `make test-nova` runs them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support import nova
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs

pytestmark = pytest.mark.needs("nova-functional")

SCRIPT = Path(__file__).with_name("upstream.py")
PACKAGE = "nova.tests.functional.libvirt"


@pytest.mark.parametrize(
    ("module", "plugs"),
    [("test_vif_model", True), ("test_evacuate", False), ("test_live_migration", True)],
)
def test_novas_own(isolated: None, module: str, plugs: bool) -> None:
    """All pass. The evacuations stub nova's plugging themselves, but for their first boot."""
    with (
        tempfile.TemporaryDirectory(prefix="vu-", dir="/tmp") as directory,
        PrivateOvs() as ovs,
        Vifd(Path(directory) / "v", ovs) as vifd,
    ):
        done = subprocess.run(
            [str(nova.FUNCTIONAL), "-W", "ignore", str(SCRIPT), str(vifd.socket),
             f"{PACKAGE}.{module}"],
            env={**os.environ, "PYTHONWARNINGS": "ignore"}, cwd=directory, text=True,
            capture_output=True, timeout=3600, check=False,
        )  # fmt: skip
        ports = {p["id"]: p["phase"] for p in vifd.get("/v1/ports")["ports"]}
        assert not [line for line in vifd.log.splitlines() if " ERROR " in line]
    assert done.stdout, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(report)
    assert not report["bad"], "\n".join(text for _, text in report["bad"])
    assert report["ran"] > 0
    assert set(report["done"]) <= {"plugged", "unplugged"}, "nothing was left to os-vif"
    assert (report["done"].get("plugged", 0) > 0) or not plugs
    assert set(ports.values()) <= {"LIVE", "WAITING"}
