"""Ports by name, device, beginning of the id, MAC and IP address; tables that fit."""

from __future__ import annotations

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import environment, terminal
from unit.cli.documents import plug
from vifd import errors
from vifd.cli import finding, fitting
from vifd.cli.base import NoSuchPort, UsageError


def port(number: int, **changes: object) -> dict:
    doc = document(number)
    doc["fixed_ips"] = [{"ip_address": f"10.0.0.{number}"}, {"ip_address": f"2001:db8::{number}"}]
    return {"id": uuid(number), "device": f"tap{uuid(number)[:11]}", "document": doc, **changes}


PORTS = [port(n) for n in (1, 2, 0x10)]

FITS = [
    "web-2", "tap00000002-00", uuid(2), uuid(2)[:8], uuid(2)[:13], "fa:16:3e:00:00:02",
    "FA-16-3E-00-00-02", "10.0.0.2", "2001:db8::2", "2001:0DB8:0::0002",
]  # fmt: skip


@pytest.mark.parametrize("word", FITS)
def test_what_fits_one(word):
    assert finding.choose(word, PORTS) == uuid(2)


def test_what_fits_several_is_said():
    with pytest.raises(UsageError, match="fits 3 ports") as caught:
        finding.choose("0000", PORTS)
    assert uuid(1) in str(caught.value)
    assert "web-1" in str(caught.value)


def test_a_name_goes_before_the_beginning_of_an_id():
    named = port(9)
    named["document"]["port"]["name"] = "00000002"
    assert finding.choose("00000002", [*PORTS, named]) == uuid(9)


@pytest.mark.parametrize(
    ("word", "said"),
    [("web-22", "did you mean web-2?"), ("zzz", "vifctl port list shows them"), ("000", "no port"),
     ("10.0.0.9", "no port"), ("", "no port")],
)  # fmt: skip
def test_what_fits_none(word, said):
    with pytest.raises(NoSuchPort, match=said.replace("?", "[?]")):
        finding.choose(word, PORTS)


def test_every_command_takes_them(vifctl, backend):
    plug(vifctl, document(1), document(2))
    for word in ("web-1", uuid(1)[:8], "fa:16:3e:00:00:01"):
        assert vifctl("port", "show", word, "-f", "value", "-c", "id").out == f"{uuid(1)}\n"
        assert vifctl("port", "check", word).code == 0
        assert uuid(1) in vifctl("port", "explain", word, "-f", "json").out
        assert vifctl("port", "deactivate", word).code == 0
        assert vifctl("port", "activate", word).code == 0
    assert vifctl("port", "repair", "web-1").code == 0
    assert vifctl("port", "release", "web-2").code == 0
    assert vifctl("port", "unplug", "web-1").code == 0
    assert backend.ports() == []


def test_what_is_wrong_has_its_exit_code(vifctl, backend):
    plug(vifctl, document(1), document(2))
    done = vifctl("port", "show", "wep-1")
    assert (done.code, "did you mean web-1?" in done.err) == (4, True)
    done = vifctl("port", "unplug", "0000000")
    assert (done.code, "fits 2 ports" in done.err) == (2, True)
    assert len(backend.ports()) == 2
    # a whole id that is gone is no error, as ever
    assert vifctl("port", "unplug", uuid(7)).code == 0


def test_the_list_is_80_characters_wide(vifctl, backend):
    for number in range(1, 6):
        doc = document(number)
        doc["port"]["name"] = "n" * 60
        if number == 3:
            backend.fail(uuid(3), errors.MtuTooLarge(
                facts={"wanted": 1, "have": 2, "bottleneck": "x"}))  # fmt: skip
        plug(vifctl, doc)
    out = vifctl("port", "list").out
    assert max(map(len, out.splitlines())) <= 80
    assert "E_PLUG_MTU" in out
    assert uuid(3)[:8] in out
    assert uuid(3) not in out
    long = vifctl("port", "list", "--long").out
    assert uuid(3) in long
    assert "network" in long
    assert "n" * 60 in long


def test_a_column_that_is_not_there_is_refused(vifctl):
    plug(vifctl, document())
    done = vifctl("port", "list", "-c", "id", "-c", "statsu")
    assert (done.code, done.out) == (2, "")
    assert "there is no column statsu; did you mean status?" in done.err
    assert vifctl("port", "show", uuid(1), "-c", "nonsense").code == 2
    done = vifctl("port", "list", "--sort-column", "statsu")
    assert (done.code, done.out) == (2, "")
    assert "did you mean status?" in done.err
    assert vifctl("port", "list", "-c", "network", "-f", "value").out.strip() == uuid(0xA00)


def test_of_an_empty_list_it_is_said(served, vifctl):
    env = environment(served.path)
    assert terminal("port", "list", env=env, columns=80).strip() == "(none)"
    assert vifctl("port", "list", "-f", "json").json == []
    assert vifctl("port", "list").out.strip() == ""


def test_ids_are_shortened_to_what_tells_them_apart():
    assert fitting.short_ids([uuid(1), uuid(2)]) == ["00000001", "00000002"]
    alike = ["0000000a-1", "0000000a-2"]
    assert fitting.short_ids(alike) == alike
    assert fitting.short_ids([]) == []


def test_columns_go_before_the_name_is_unreadable():
    columns = ["id", "name", "phase", "error"]
    rows = [["1" * 8, "x" * 30, "LIVE", "E" * 60]]
    kept, cells = fitting.fitted(columns, rows, give="name", drop=("phase",))
    assert kept == ["id", "name", "error"]
    assert cells[0][1].endswith("…")
    kept, cells = fitting.fitted(columns, [], give="name", drop=("phase",))
    assert (kept, cells) == (columns, [])
