"""A daemon that starts, or cannot, says each of its sentences once."""

from __future__ import annotations

import collections
import subprocess
from pathlib import Path

import pytest

from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import PATIENCE


def sentences(log: str) -> collections.Counter[str]:
    """What was said, without the time; continuation lines are sentences of their own."""
    return collections.Counter(line.partition("] ")[2] or line for line in log.splitlines())


def twice(log: str) -> list[str]:
    return [sentence for sentence, times in sentences(log).items() if times > 1]


@pytest.mark.parametrize("bridge", ["br-int", "br-absent"])
def test_a_start_repeats_nothing(ovs: PrivateOvs, tmp_path: Path, bridge: str) -> None:
    vifd = Vifd(tmp_path / "v", ovs, {"ovs": {"integration_bridge": bridge}})
    with vifd:
        vifd.call("PUT", f"/v1/ports/{port_id(1)}?wait=active&timeout=5", document(1))
    first = vifd.log
    assert "started in" in first
    assert twice(first) == []
    again = Vifd(tmp_path / "v", ovs, {"ovs": {"integration_bridge": bridge}})
    with again:
        pass
    assert "started in" in again.log[len(first) :]
    assert twice(again.log[len(first) :]) == []
    with Vifd(tmp_path / "v", ovs) as last:
        last.call("DELETE", f"/v1/ports/{port_id(1)}?wait=gone&timeout=60")


@pytest.mark.parametrize("where", ["stderr", "file"])
def test_so_does_one_that_fails(ovs: PrivateOvs, tmp_path: Path, where: str) -> None:
    vifd = Vifd(tmp_path / "v", ovs)
    log = tmp_path / "log" if where == "file" else ""
    vifd.configure({"DEFAULT": {"log_file": log, "state_path": "/proc/nowhere"}})
    done = subprocess.run(
        vifd.process.argv, env=vifd.process.env, capture_output=True, text=True,
        timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    vifd.close()
    assert done.returncode == 3
    assert "/proc/nowhere" in done.stderr
    assert twice(done.stderr) == []
    if log:
        assert len([s for s in sentences(Path(log).read_text()) if "/proc/nowhere" in s]) == 1
