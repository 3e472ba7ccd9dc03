"""How ports are made has a fingerprint: the same in every process, another for other options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract import linuxbridge, ovs, vhostuser
from vifd.plugin import Host, VifPlugin
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge import flows

HERE = Path(__file__).parents[1]


def host() -> Host:
    return Host(FakeMachine().drivers, dict)


def makes(name: str, directory: Path, *mappings: str) -> VifPlugin:
    if name == "vhostuser":
        return vhostuser.plugin(host(), directory, bridge_mappings=list(mappings))
    if name == "ovs":
        return ovs.plugin(host(), bridge_mappings=list(mappings))
    return linuxbridge.plugin(host(), physical_interface_mappings=list(mappings))


NAMES = ("linuxbridge", "ovs", "vhostuser")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_in_every_process(name: str, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from unit.test_fingerprints import makes;"
        f"print(makes({name!r}, Path({str(tmp_path)!r}), 'b:br-b', 'a:br-a').fingerprint())"
    )
    found = set()
    for seed in ("1", "2"):
        path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        argv = [sys.executable, "-W", "ignore", "-c", program]
        found.add(subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
    assert found != {""}


@pytest.mark.parametrize("name", NAMES)
def test_other_ways_out_of_the_host_are_another_recipe(name: str, tmp_path: Path) -> None:
    one, same, other = (
        makes(name, tmp_path, m).fingerprint() for m in ("a:br-a", "a:br-a", "a:br-b")
    )
    assert one == same != other


@pytest.mark.parametrize("name", ["ovs", "vhostuser"])
def test_other_flows_are_another_recipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = makes(name, tmp_path).fingerprint()
    monkeypatch.setattr(flows, "GUARD", flows.GUARD + 1)
    flows.port_flows.cache_clear()
    after = makes(name, tmp_path).fingerprint()
    flows.port_flows.cache_clear()
    assert before != after
