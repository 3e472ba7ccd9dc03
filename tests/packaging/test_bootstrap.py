"""What a new clone meets before anything is fetched."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bootstrap(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools/bootstrap"], env={**os.environ, "PURPOSE": "run", **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_the_device_nothing_is_begun(tmp_path: Path) -> None:
    done = bootstrap(TUN=str(tmp_path / "tun"))
    assert done.returncode == 1
    assert "does not exist: load the kernel module (modprobe tun)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_closed_device_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "tun").touch(mode=0)
    done = bootstrap(TUN=str(tmp_path / "tun"))
    assert (done.returncode, "is closed to" in done.stderr) == (1, True)


def test_make_run_needs_nothing_that_only_tests_need() -> None:
    makefile = (ROOT / "Makefile").read_text()
    target = re.search(r"^run:.*\n(?:\t.*\n)+", makefile, re.MULTILINE)
    assert target is not None
    assert "ready" not in target.group().splitlines()[0]
    assert "PURPOSE=run tools/bootstrap" in target.group()
    text = (ROOT / "tools/bootstrap").read_text()
    assert 'case ",$EXTRAS," in *,test,*) ;; *) return 0 ;; esac' in text
