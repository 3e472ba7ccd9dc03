"""Every document of examples/ is plugged as it stands, and is ACTIVE."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.json"))


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    ovs.vsctl("--may-exist", "add-br", "br-ex", "--", "set", "bridge", "br-ex",
              OF_DATAPATH)  # fmt: skip
    with Vifd(tmp_path / "v", ovs, {"ovs": {"bridge_mappings": "physnet1:br-ex"}}) as daemon:
        yield daemon
        daemon.clear()
    ovs.vsctl("--if-exists", "del-br", "br-ex")


def test_each_is_plugged(vifd: Vifd) -> None:
    until(lambda: "physnet1" in str(vifd.get("/v1/host")["plugins"]["ovs"]), "br-ex is known")
    assert len(EXAMPLES) >= 7
    for path in EXAMPLES:
        value = json.loads(path.read_text())
        for document in value.get("ports", [value]):
            status, port = vifd.plug(document)
            assert (status, port["status"]) == (201, "ACTIVE"), (path.name, port)
