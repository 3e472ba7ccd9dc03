"""An instance is given more vCPUs: what is said of a port's queues is what its tap has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_daemon import FAST
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd_linuxbridge.testing import quiet_netfilter


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    quiet_netfilter()
    with Vifd(tmp_path / "v", ovs, FAST) as daemon:
        yield daemon
        daemon.unplug(port_id(1))


def sized(plugin: str, vcpus: int) -> dict[str, Any]:
    doc = document(1)
    doc["plugin"] = plugin
    doc["instance"] |= {
        "vcpus": vcpus, "flavor_extra_specs": {"hw:vif_multiqueue_enabled": "true"},
    }  # fmt: skip
    return doc


def said(vifd: Vifd, doc: dict[str, Any]) -> tuple[int, str | None]:
    """The queues that compute is told of, and where they are enforced."""
    status, port = vifd.plug(doc)
    assert status in (200, 201), port
    (entry,) = [e for e in port["enforcement"] if e["feature"] == "multiqueue"] or [{"level": None}]
    return port["vif"]["queues"], entry["level"]


@pytest.mark.parametrize("plugin", ["ovs", "linuxbridge"])
def test_queues_after_a_resize(vifd: Vifd, plugin: str) -> None:
    assert said(vifd, sized(plugin, 1)) == (1, None)
    assert said(vifd, sized(plugin, 4)) == (1, "none")
    explained = vifd.get(f"/v1/ports/{port_id(1)}/explain")
    assert "multiqueue" in str(explained["steps"])
    vifd.unplug(port_id(1))
    assert said(vifd, sized(plugin, 4)) == (4, "dataplane")
    assert said(vifd, sized(plugin, 2)) == (2, "dataplane")
    assert said(vifd, sized(plugin, 4)) == (4, "dataplane")
