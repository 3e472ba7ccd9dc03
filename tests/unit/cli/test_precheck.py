"""``vifctl port precheck`` and its call."""

from __future__ import annotations

import json

import pytest

from unit.api.client import Client, uuid


@pytest.fixture
def port(served):
    client = Client(served.path)
    assert client.plug(1).status == 201
    shown = client.call("GET", f"/v1/ports/{uuid(1)}").json
    client.close()
    return shown


def test_the_same_port_is_fit(vifctl, port, tmp_path):
    source = tmp_path / "source.json"
    source.write_text(json.dumps(port))
    done = vifctl("port", "precheck", uuid(1), "--source", str(source))
    assert (done.code, done.err) == (0, "")


def test_every_reason_is_told(vifctl, port, tmp_path):
    port["document"]["network"]["mtu"] = 1400
    port["document"]["fixed_ips"] = []
    source = tmp_path / "source.json"
    source.write_text(json.dumps(port))
    done = vifctl("port", "precheck", uuid(1), "--source", str(source))
    assert done.code == 1
    for text in ("E_MIG_UNFIT", "MTU", "1400", "addresses"):
        assert text in done.out


def test_what_cannot_be_read_is_refused(vifctl, port, tmp_path, served):
    source = tmp_path / "source.json"
    source.write_text("[1, 2]")
    assert vifctl("port", "precheck", uuid(1), "--source", str(source)).code == 2
    source.write_text("{}")
    assert vifctl("port", "precheck", uuid(1), "--source", str(source)).code == 1
    client = Client(served.path)
    path = f"/v1/ports/{uuid(1)}/precheck"
    for body, field in (
        ({}, "document"), ([], "document"), ({"document": {}}, "document."),
        ({"document": port["document"], "vif": 7}, "vif"),
        ({"document": port["document"], "vif": {"type": 1}}, "vif.type"),
        ({"document": port["document"], "evidence": 7}, "evidence"),
        ({"document": port["document"], "evidence": [{"have": 1}]}, "evidence[0].fact"),
    ):  # fmt: skip
        answer = client.call("POST", path, body)
        assert answer.status == 400
        assert str(answer.json["facts"]["field"]).startswith(field)
    missing = client.call("POST", f"/v1/ports/{uuid(9)}/precheck", {"document": port["document"]})
    assert missing.status in (400, 404)
    client.close()
