"""What a daemon says of its host."""

from __future__ import annotations

from typing import Any

from vifd.testing.daemon import Vifd


def known(vifd: Vifd) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in vifd.get("/v1/host")["inventory"]["capabilities"]}


def refreshed(vifd: Vifd) -> dict[str, Any]:
    status, found = vifd.call("POST", "/v1/host/refresh")
    assert status == 200, found
    return dict(found)


def fresh(vifd: Vifd) -> dict[str, dict[str, Any]]:
    found = refreshed(vifd)
    return {c["name"]: c for c in found["inventory"]["capabilities"]}


def way(vifd: Vifd, plugin: str, physnet: str) -> dict[str, Any]:
    return vifd.get("/v1/host")["plugins"][plugin]["physical_networks"][physnet]
