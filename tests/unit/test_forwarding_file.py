"""Forwarding from a file: what it may hold, and where the mistake stands in one that it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vifd.errors import BadDocument
from vifd.model.sets import Endpoint, Forwarding, Reachable
from vifd.network import forwardingfile

NET = "00000000-0000-0000-0000-000000000001"
PORT = {"mac_address": "FA:16:3E:00:00:01", "ip_addresses": ["10.0.0.1", "FD00::1"]}
GOOD = {"networks": [{"id": NET, "endpoints": [
    {"address": "192.0.2.1", "ports": [PORT]}, {"address": "192.0.2.2"},
]}]}  # fmt: skip


def read(tmp_path, content: Any) -> list[Forwarding]:
    path = tmp_path / "forwarding.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return forwardingfile.read(str(path))


def test_a_network_with_its_endpoints(tmp_path):
    reachable = Reachable(mac_address="fa:16:3e:00:00:01", ip_addresses=("10.0.0.1", "fd00::1"))
    assert read(tmp_path, GOOD) == [
        Forwarding(id=NET, endpoints=(
            Endpoint(address="192.0.2.1", ports=(reachable,)), Endpoint(address="192.0.2.2"),
        )),
    ]  # fmt: skip
    assert read(tmp_path, {"networks": []}) == []


def changed(**endpoint: Any) -> dict[str, Any]:
    return {"networks": [{"id": NET, "endpoints": [{"address": "192.0.2.1", **endpoint}]}]}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "(file)"), ("[]", "networks"), ('{"networks": 5}', "networks"), ("\x00", "(file)"),
        ({"networks": [5]}, "networks[0].id"), ({"networks": [{"id": "x"}]}, "networks[0].id"),
        ({"networks": [*GOOD["networks"], *GOOD["networks"]]}, "networks[1].id"),
        (changed(address="nowhere"), "networks[0].endpoints[0].address"),
        (changed(ports=[{"mac_address": "x"}]), "networks[0].endpoints[0].ports[0].mac_address"),
        (changed(prots=[]), "networks[0].endpoints[0]"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_place(tmp_path, content, field):
    with pytest.raises(BadDocument) as caught:
        read(tmp_path, content)
    assert str(caught.value.facts["field"]).startswith(field), caught.value


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadDocument, match="cannot be read"):
        forwardingfile.read(str(tmp_path / "none"))
