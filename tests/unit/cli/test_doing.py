"""Commands that change ports."""

from __future__ import annotations

import json

import pytest

from unit.api.client import document, uuid
from unit.cli.documents import plug


def test_plug_waits_until_active(vifctl, backend, tmp_path):
    file = tmp_path / "doc.json"
    file.write_text(json.dumps(document(), indent=2))
    done = vifctl("port", "plug", "-f", str(file), "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json[0]["port"]["status"] == "ACTIVE"
    assert backend.effects == [f"plug {uuid(1)}"]


YAML = f"""
version: "1.0"
port: {{id: {uuid(1)}, mac_address: 10:20:30:40:50:10, name: no}}
network:
  id: {uuid(0xA00)}
  mtu: 1450
  segment: {{network_type: flat, physical_network: physnet1}}
"""


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps(document()), 1),
        (json.dumps([document(1), document(2)]), 2),
        (json.dumps({"ports": [document(1), document(2), document(3)]}), 3),
        (json.dumps(document(1)) + "\n\n" + json.dumps(document(2)) + "\n", 2),
        (json.dumps(document(1), indent=1) + json.dumps(document(2), indent=1), 2),
        (YAML, 1),
        (f"---{YAML}---{YAML.replace(uuid(1), uuid(2))}", 2),
    ],
    ids=["one", "list", "ports", "lines", "joined", "yaml", "yaml-many"],
)
def test_plug_reads(vifctl, backend, text, count):
    done = vifctl("port", "plug", "-f", "-", stdin=text)
    assert (done.code, done.err) == (0, "")
    assert [r.id for r in backend.ports()] == [uuid(n) for n in range(1, count + 1)]
    if text.endswith(YAML):
        port = backend.ports()[0].doc.attachment.port
        assert (port.mac_address, port.name) == ("10:20:30:40:50:10", "no")


def test_plug_of_many_goes_in_chunks(vifctl, backend):
    done = plug(vifctl, *(document(n) for n in range(1, 121)))
    assert done.code == 0
    assert len(backend.effects) == 120
    assert done.err == ""


def test_unplug(vifctl, backend):
    plug(vifctl, *(document(n) for n in range(1, 5)))
    assert vifctl("port", "unplug", uuid(1), uuid(9)).code == 0
    assert vifctl("port", "unplug", uuid(2)).code == 0
    assert vifctl("port", "unplug", uuid(2)).code == 0
    assert len(backend.ports()) == 2
    assert vifctl("port", "unplug", "--all", "-f", "json").json[0]["result"] == "gone"
    assert backend.ports() == []


def test_roles_and_check(vifctl):
    plug(vifctl, document())
    done = vifctl("port", "deactivate", uuid(1), "-f", "value", "-c", "status")
    assert (done.code, done.out) == (0, "DOWN\n")
    done = vifctl("port", "activate", uuid(1), "-f", "value", "-c", "status")
    assert (done.code, done.out) == (0, "ACTIVE\n")
    assert vifctl("port", "check", uuid(1)).code == 0


def test_no_wait(vifctl, backend):
    backend.hold()
    done = plug(vifctl, document(), options=["--no-wait", "--format", "json"])
    assert (done.code, done.json[0]["status"]) == (0, 202)
    assert vifctl("--no-wait", "port", "unplug", uuid(1)).out.count("accepted") == 1
    backend.release()
