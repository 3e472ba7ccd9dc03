"""Commands that look, for people and for programs."""

from __future__ import annotations

from unit.api.client import document, uuid
from unit.cli.documents import plug
from vifd.cli.port import COLUMNS
from vifd.plugin.inspection import Check


def test_status(vifctl):
    done = vifctl("status", "-f", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json["live"] is True
    assert vifctl("status", "-f", "value", "-c", "ready").out == "True\n"


def test_plugins(vifctl):
    rows = vifctl("plugin", "list", "-f", "json").json
    assert [row["state"] for row in rows] == ["ready", "refused"]
    assert "ImportError: no module named x" in vifctl("plugin", "list").out


def test_plugin_verify(vifctl, backend):
    done = vifctl("plugin", "verify", "fake", "-f", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json == [{"name": "contract.version", "ok": True, "detail": "1.0"}]
    backend.inspected.append(Check("options.documented", ok=False, detail="without help: mtu"))
    done = vifctl("plugin", "verify", "fake")
    assert done.code == 1
    assert "without help: mtu" in done.out


def test_plugin_verify_of_one_that_is_not_there(vifctl):
    done = vifctl("plugin", "verify", "none")
    assert done.code == 1
    assert "E_PLUGIN_MISSING" in done.err
    assert "E_PLUGIN_LOAD" in vifctl("plugin", "verify", "broken").err


def test_host(vifctl):
    found = vifctl("host", "show", "-f", "json").json
    assert found["kernel"] == "6.1"
    assert "CUSTOM_OVS" in found["inventory"]["traits"]
    shown = vifctl("host", "show").out
    assert "✗ hugepages" in shown
    assert "✓ physnet1 by br-ex up, MTU 1500" in shown
    assert "needs pages: write a number to nr_hugepages" in vifctl("host", "show", "--evidence").out


def test_host_read_anew(vifctl, backend):
    backend.machine.present["CUSTOM_KVM"] = None
    assert "kvm" not in vifctl("host", "show").out
    assert "kvm" in vifctl("host", "show", "--refresh").out
    assert backend.machine.refreshes == 1


def test_list(vifctl):
    plug(vifctl, document(1), document(2, id=uuid(0xA01)))
    rows = vifctl("port", "list", "-f", "json").json
    assert tuple(rows[0]) == COLUMNS
    assert [row["name"] for row in rows] == ["web-1", "web-2"]
    filtered = vifctl("port", "list", "--network", uuid(0xA01), "--phase", "live", "-f", "value")
    assert filtered.out.split()[0] == uuid(2)
    assert len(filtered.out.splitlines()) == 1


def test_show_for_people(vifctl):
    plug(vifctl, document())
    out = vifctl("port", "show", uuid(1)).out
    assert "ACTIVE (LIVE, role ACTIVE)" in out
    assert "vlan physnet1 101" in out
    assert "✓ device.mtu: 1450" in out
    rows = [line.split("|")[1].strip() for line in out.splitlines() if "|" in line]
    assert rows.index("device") < rows.index("switch") < rows.index("flows")
    assert rows.index("flows") < rows.index("findings")
    assert "✓ port_security: yes, by" in out


def test_show_for_programs_is_what_the_api_says(vifctl, backend):
    plug(vifctl, document())
    port = vifctl("port", "show", uuid(1), "-f", "json").json
    assert port["document"] == document()
    assert port["vif"]["type"] == "ethernet"
    assert vifctl("port", "show", uuid(1), "-f", "value", "-c", "phase").out == "LIVE\n"


def test_control_characters_do_not_reach_the_terminal(vifctl):
    doc = document()
    doc["port"]["name"] = "a\x1b[31mb\x07"
    plug(vifctl, doc)
    for command in (("port", "list"), ("port", "show", uuid(1))):
        out = vifctl(*command).out
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "a?[31mb?" in out
