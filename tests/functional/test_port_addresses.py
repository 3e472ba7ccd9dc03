"""Ports with every kind of address, and with none, on a real switch: each can be proven."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs

UNSECURED = {"port__port_security_enabled": False}


def ips(*addresses: str) -> dict[str, Any]:
    return {"fixed_ips": [{"ip_address": address} for address in addresses]}


def pairs(*addresses: str) -> dict[str, Any]:
    return {"port__allowed_address_pairs": [{"ip_address": address} for address in addresses]}


KINDS: dict[str, dict[str, Any]] = {
    "IPv4": ips("10.0.0.1"),
    "IPv6": ips("fd00::1"),
    "both": ips("fd00::2", "10.0.0.2"),
    "link-local": ips("fe80::77"),
    "none yet": ips(),
    "none ever": {**ips(), "port__ip_allocation": "none"},
    "any IPv4 beside IPv6": {**ips("fd00::3"), **pairs("0.0.0.0/0")},
    "any IPv6": {**ips("fd00::4"), **pairs("::/0")},
    "IPv6, not secured": {**ips("fd00::5"), **UNSECURED},
    "none, not secured": {**ips(), **UNSECURED},
}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs, {"engine": {"verify_timeout": 20.0}}) as daemon:
        yield daemon
        daemon.clear()


def test_a_port_is_proven_whatever_its_addresses(vifd: Vifd) -> None:
    docs = {kind: document(n, **more) for n, (kind, more) in enumerate(KINDS.items(), start=1)}
    call = "/v1/ports:plug?wait=active&timeout=30"
    answer = vifd.call("POST", call, {"ports": list(docs.values())})[1]
    wrong = {kind: item.get("error") for kind, item in zip(docs, answer["ports"], strict=True)
             if item["status"] != 201}  # fmt: skip
    assert not wrong
    for kind, doc in docs.items():
        found = vifd.get(f"/v1/ports/{doc['port']['id']}/explain")
        assert found["healthy"], (kind, found["sentence"])
        assert found["asked"], kind
