"""A switch, or its database, that is there and hangs (SIGSTOP): it is noticed, and who asks why has
an answer at once, from what is known, with its age."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.breaking import DOCUMENT, FROZEN, PORT, Host, running, unplug
from functional.breaking import physical_bridge_restored as physical_bridge
from vifd.testing.sandbox import Daemon, PrivateOvs
from vifd.testing.wait import until


@pytest.fixture
def host(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    with running(ovs, tmp_path / "v", FROZEN) as host:
        physical_bridge(host)
        until(lambda: host.vifd.plug(DOCUMENT)[0] in (200, 201), "the port is there")
        yield host
        unplug(host)
        host.vifd.stop()
        host.links.close()


def _process(host: Host, name: str) -> Daemon:
    return {"ovsdb-server": host.ovs.ovsdb, "ovs-vswitchd": host.ovs.vswitchd}[name]


@pytest.mark.parametrize("name", ["ovsdb-server", "ovs-vswitchd"])
def test_a_process_that_hangs(host: Host, name: str) -> None:
    assert host.explain()["healthy"]
    process = _process(host, name)
    process.pause()
    try:
        found = host.explain()
        assert (found["healthy"], found["broken"]) == (False, "switch"), found["sentence"]
        assert name in found["sentence"]
        assert "no answer within" in found["sentence"]
        assert found["action"].startswith("waits for an answer")
        assert "kill -CONT" in found["hint"]
        # so it did not wait for the time-outs of what it would have asked
        assert not found["asked"]
        assert name in found["unasked"]
        assert found["age"] is not None

        def health() -> bool:
            (plugin,) = [p for p in host.vifd.get("/v1/plugins")["plugins"] if p["name"] == "ovs"]
            return plugin["state"] == "unavailable"

        until(health, "the plugin is called unavailable")
        until(lambda: "connection lost" in host.vifd.log or "disconnected" in host.vifd.log,
              "the log tells it")  # fmt: skip
        assert host.explain()["broken"] == "switch"
    finally:
        process.resume()
    until(lambda: host.explain()["healthy"], "it is well again",
          told=lambda: host.explain()["sentence"])  # fmt: skip
    until(lambda: host.vifd.get(f"/v1/ports/{PORT}")["status"] == "ACTIVE", "it is ACTIVE again")
