"""vifctl compute compare and network compare as people run them."""

from __future__ import annotations

import json

import pytest

from unit.api.client import document, uuid
from vifd.testing.wait import until


@pytest.fixture
def plug(vifctl, tmp_path):
    def plugged(number):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(document(number)))
        assert vifctl("port", "plug", "-f", str(path)).code == 0

    return plugged


@pytest.fixture
def ports(plug):
    for number in (1, 2, 3):
        plug(number)
    return [uuid(n) for n in (1, 2, 3)]


def test_nothing_is_changed_without_the_word(vifctl, backend, ports):
    done = vifctl("compute", "compare", ports[0], uuid(9), "-f", "json")
    assert done.code == 0, done.err
    assert [(o["port"], o["finding"], o["result"]) for o in done.json] == [
        (ports[1], "STALE", ""), (ports[2], "STALE", ""), (uuid(9), "MISSING", ""),
    ]  # fmt: skip
    assert len(backend.ports()) == 3


def test_a_list_from_a_file_and_removal(vifctl, backend, ports, tmp_path):
    path = tmp_path / "ids"
    path.write_text("\n".join(ports[:2]) + "\n")
    done = vifctl("compute", "compare", "--from", str(path), "--remove", "-f", "json")
    assert done.code == 0, done.err
    assert [(o["port"], o["result"]) for o in done.json] == [(ports[2], "removed")]
    until(lambda: {p.id for p in backend.ports()} == set(ports[:2]), "the stale part goes")
    done = vifctl("network", "compare", "--from", str(path), "-f", "json")
    assert [o["finding"] for o in done.json] == ["STALE"], "its other part is there still"


def test_many_need_a_yes(vifctl, backend, ports, plug):
    for number in (4, 5, 6):
        plug(number)
    done = vifctl("compute", "compare", "--none", "--remove")
    assert done.code == 1
    assert "E_GC_LIMIT" in done.err
    assert len(backend.ports()) == 6
    assert vifctl("compute", "compare", "--none", "--remove", "--yes").code == 0
    until(lambda: not backend.ports(), "all go")


@pytest.mark.parametrize("words", [(), ("--none", uuid(1)), ("--from", "/does/not/exist")])
def test_an_empty_list_must_be_meant(vifctl, ports, words):
    done = vifctl("compute", "compare", *words)
    assert done.code == 2
    assert vifctl("compute", "compare", "--owner", "nova", *ports).code == 0
