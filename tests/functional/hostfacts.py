"""What a daemon says of its host."""

from __future__ import annotations

from typing import Any

from vifd.testing.daemon import Vifd
from vifd.testing.wait import until


def known(vifd: Vifd) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in vifd.get("/v1/host")["inventory"]["capabilities"]}


def refreshed(vifd: Vifd) -> dict[str, Any]:
    status, found = vifd.call("POST", "/v1/host/refresh")
    assert status == 200, found
    return dict(found)


def troubles(found: dict[str, Any]) -> dict[str, str | None]:
    """What is wrong with each source."""
    return {s["name"]: s["problem"] for s in found["inventory"]["sources"]}


def well(vifd: Vifd) -> dict[str, Any]:
    """Read anew until every source has answered in its time: on a busy machine one may not."""

    def read() -> dict[str, Any] | None:
        found = refreshed(vifd)
        return None if any(troubles(found).values()) else found

    return until(read, "every source answers", told=lambda: troubles(refreshed(vifd))) or {}


def fresh(vifd: Vifd) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in well(vifd)["inventory"]["capabilities"]}


def way(vifd: Vifd, plugin: str, physnet: str) -> dict[str, Any]:
    return vifd.get("/v1/host")["plugins"][plugin]["physical_networks"][physnet]
