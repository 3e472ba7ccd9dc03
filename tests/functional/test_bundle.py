"""A support bundle of a host whose port is broken: read elsewhere, it says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    # what is broken shall stay so while it is looked at
    options: dict[str, dict[str, object]] = {"engine": {"repair": "false"}}
    with Vifd(tmp_path / "v", ovs, options) as daemon:
        for number in (1, 2):
            assert daemon.plug(document(number))[0] == 201
        yield daemon
        daemon.clear()


def vifctl(*argv: str, socket: str = "/nowhere") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": path, "VIFD_SOCKET": socket}
    line = [sys.executable, "-m", "vifd.cli.main", *argv]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=env, check=False)


def test_broken_here_and_explained_elsewhere(vifd: Vifd, ovs: PrivateOvs, tmp_path: Path) -> None:
    ovs.ofctl("add-flow", "br-int", "cookie=0x7,table=99,priority=1,actions=drop")
    ovs.vsctl("set", "port", "tap00000001-00", "tag=77")
    until(lambda: vifd.get(f"/v1/ports/{port_id(1)}")["findings"], "vifd finds it")
    path = tmp_path / "b.tar.gz"
    made = vifctl(
        "bundle", "-o", str(path), "--config-file", str(vifd.config), socket=str(vifd.socket)
    )
    assert made.returncode == 0, made.stderr
    with tarfile.open(path) as tar:
        names = {member.name.partition("/")[2]: member for member in tar}

        def text(name: str) -> str:
            file = tar.extractfile(names[name])
            assert file is not None
            return file.read().decode()

        # ours and what is around it
        flows = text("switch/br-int/dump-flows.txt")
        assert "cookie=0x7" in flows
        assert "table=140" in flows
        assert "tap00000001-00" in text("switch/rows/Interface.json")
        assert port_id(1) in text("host/interfaces.txt") or "tap00000001-00" in text(
            "host/interfaces.txt"
        )
        assert "plugged tap00000002-00" in text("logs/vifd.log")
        (explained,) = [name for name in names if name.startswith("api/explain/")]
        assert port_id(1) in explained
        assert json.loads(text("versions.json"))["vifctl"]
    said = vifctl("port", "explain", port_id(1), socket=str(vifd.socket))
    away = vifctl("--bundle", str(path), "port", "explain", port_id(1))
    assert (away.returncode, said.returncode) == (1, 1), away.stderr
    assert verdict(away.stdout) == verdict(said.stdout)
    # a port that was well is explained by the journal that is in the bundle
    well = vifctl("--bundle", str(path), "port", "explain", port_id(2))
    assert "what the bundle's journal says" in " ".join(well.stdout.split()), well.stderr
    listed = vifctl("--bundle", str(path), "port", "list")
    assert "tap00000001-00" in listed.stdout


def verdict(page: str) -> str:
    return next(line for line in page.splitlines() if line.startswith("broken"))
