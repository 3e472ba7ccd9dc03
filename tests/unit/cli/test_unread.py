"""What of a document is not read is said to who sends it, and to who looks."""

from __future__ import annotations

from unit.api.client import document, uuid
from unit.cli.documents import plug
from vifd.cli import report


def misspelt(n: int = 1) -> dict:
    doc = document(n)
    doc["port"]["port_security_enable"] = False
    return doc


SAID = "port.port_security_enable is not read; did you mean port.port_security_enabled?"


def test_plug_says_it_at_once(vifctl):
    done = plug(vifctl, misspelt())
    assert done.code == 0
    assert done.err == f"vifctl: port {uuid(1)}: {SAID}\n"


def test_of_many_as_well(vifctl):
    done = plug(vifctl, *(misspelt(n) for n in range(1, 13)))
    assert done.err.count(SAID) == 10
    assert done.err.endswith("vifctl: and 2 remarks more; see port show\n")


def test_programs_get_it_in_the_answer(vifctl):
    done = plug(vifctl, misspelt(), options=["--format", "json"])
    assert (done.json[0]["port"]["unread"], done.err) == ([SAID], "")


def test_port_show_says_it(vifctl):
    plug(vifctl, misspelt())
    out = " ".join(vifctl("port", "show", uuid(1)).out.split())
    assert "not read" in out
    assert "did you mean port.port_security_enabled?" in out
    assert vifctl("port", "show", uuid(1), "-f", "json").json["unread"] == [SAID]


def test_an_offer_says_it(vifctl):
    import json

    done = vifctl("offer", "-f", "-", stdin=json.dumps(misspelt()))
    assert (done.code, SAID in done.err) == (0, True)


def test_a_port_without_any_address(vifctl):
    bare = {"id": uuid(1), "mac_address": "fa:16:3e:00:00:01"}
    doc = {**document(), "fixed_ips": [], "port": bare}
    done = plug(vifctl, doc, options=["--format", "json"])
    (note,) = done.json[0]["port"]["notes"]
    assert note.startswith("port security is on and the document has no address")
    assert "has no address" in " ".join(vifctl("port", "show", uuid(1)).out.split())
    assert list(report.warnings({"notes": [note]}, noted=True)) == [note]
    assert list(report.warnings({"notes": [note]}, noted=False)) == []


def test_what_any_port_of_the_networking_api_has_is_no_warning(vifctl):
    doc = document()
    doc["port"] |= {"tags": ["a"], "binding:host_id": "h", "fixed_ips": doc.pop("fixed_ips")}
    done = plug(vifctl, doc)
    assert (done.code, done.err) == (0, "")
    shown = vifctl("port", "show", uuid(1), "-f", "json").json
    assert shown["document"]["fixed_ips"][0]["ip_address"] == "10.0.0.5"
    assert [u.partition(" ")[0] for u in shown["unread"]] == ["port.tags", "port.binding:host_id"]
