"""Logs of security groups of a real Neutron: made, switched off, deleted while a port is used."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from support.cloud.server import Cloud
from support.cloud.vifdhost import VifdHost
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")

PATIENCE = 120.0


def here(host: VifdHost) -> dict[str, dict[str, Any]]:
    """The logs that the host has."""
    return {log["id"]: log for log in host.vifd.get("/v1/logs")["logs"]}


def test_logs_follow_the_server(cloud: Cloud, host: VifdHost, network: str) -> None:
    with ExitStack() as stack:
        port = host.bind(network)
        stack.callback(cloud.remove, "port", port)
        host.use(port)
        stack.callback(host.unuse, port)
        host.told(network, [port], "ACTIVE")
        said = {"resource_type": "security_group", "event": "DROP", "target_id": port, "name": "l"}
        log = str(cloud.call("POST", "log/logs", {"log": said})["log"]["id"])
        until(lambda: log in here(host), "the log is here", PATIENCE)
        found = here(host)[log]
        assert (found["event"], found["target_id"], found["owner"]) == ("DROP", port, "neutron")
        assert found["request_id"].startswith("req-")
        flows = lambda: host.ovs.ofctl("dump-flows", "br-int", "table=190").lower()  # noqa: E731
        until(lambda: "controller" in flows(), "the switch hands over", PATIENCE)
        cloud.call("PUT", f"log/logs/{log}", {"log": {"enabled": False}})
        until(lambda: "controller" not in flows(), "it does no more", PATIENCE)
        cloud.call("DELETE", f"log/logs/{log}")
        until(lambda: log not in here(host), "the log is gone", PATIENCE)
