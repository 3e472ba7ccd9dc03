"""What a new clone meets before anything is fetched."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


#: Somebody who is not root.
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def bootstrap(*by: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*by, ROOT / "tools/bootstrap"], env={**os.environ, "PURPOSE": "run", **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_the_device_nothing_is_begun(tmp_path: Path) -> None:
    done = bootstrap(TUN=str(tmp_path / "tun"))
    assert done.returncode == 1
    assert "does not exist: load the kernel module (modprobe tun)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_device_is_said_at_once() -> None:
    by = NOBODY if os.geteuid() == 0 else ()
    reads = subprocess.run([*by, "test", "-x", ROOT / "tools/bootstrap"], check=False)
    if reads.returncode:
        pytest.skip("others may not enter this clone")
    with tempfile.NamedTemporaryFile(dir="/tmp") as tun:
        os.chmod(tun.name, 0)
        done = bootstrap(*by, TUN=tun.name)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "is closed to" in done.stderr
    assert "run it as root, or open it" in done.stderr


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do."""
    return subprocess.run(["make", "-n", "-C", ROOT, *arguments], capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip


def test_one_area_and_one_file() -> None:
    assert " tests/unit/cli" in make("unit", "AREA=cli").stdout
    assert " tests/unit/test_plan.py" in make("unit", "AREA=plan").stdout
    assert "there is no tests/unit/nowhere" in make("unit", "AREA=nowhere").stderr
    assert "pytest tests/unit/test_plan.py" in make("one", "T=tests/unit/test_plan.py").stdout
    assert "say which" in make("one").stderr


@pytest.mark.parametrize("target", ["unit", "lint", "types", "format"])
def test_what_needs_no_guests_fetches_none(target: str) -> None:
    assert "PURPOSE=unit tools/bootstrap" in make(target).stdout


def test_lint_says_all_of_it() -> None:
    """The import contracts are asked whatever ruff says."""
    said = make("lint").stdout
    assert said.index("ruff check . || bad=1") < said.index("lint-imports || bad=1")


def test_make_run_needs_nothing_that_only_tests_need() -> None:
    makefile = (ROOT / "Makefile").read_text()
    target = re.search(r"^run:.*\n(?:\t.*\n)+", makefile, re.MULTILINE)
    assert target is not None
    assert "ready" not in target.group().splitlines()[0]
    assert "PURPOSE=run tools/bootstrap" in target.group()
    text = (ROOT / "tools/bootstrap").read_text()
    assert 'case ",$EXTRAS," in *,test,*) ;; *) return 0 ;; esac' in text
