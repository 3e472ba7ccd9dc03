"""``vifctl port release``."""

from __future__ import annotations

import pytest

from unit.api.client import Client, uuid
from unit.cli.conftest import asked
from vifd import errors


@pytest.fixture
def plugged(served):
    client = Client(served.path)
    for number in (1, 2):
        assert client.plug(number).status == 201
    client.close()
    return [uuid(1), uuid(2)]


def unfit() -> errors.ReleaseUnfit:
    return errors.ReleaseUnfit(facts={"device": "tap1", "problem": "vifd made it"})


def test_each_is_told(vifctl, backend, plugged):
    done = vifctl("port", "release", *plugged, "-f", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json == [{"id": i, "result": "released", "error": ""} for i in plugged]
    assert vifctl("port", "list", "-f", "json").json == []
    assert vifctl("port", "release", plugged[0]).code == 4
    assert vifctl("port", "release").code == 2


def test_one_that_is_refused_is_no_reason_to_leave_the_next(vifctl, backend, plugged):
    backend.fail(plugged[0], unfit())
    done = vifctl("port", "release", "--all", "-f", "json")
    assert done.code == 1
    assert [(i["result"], i["error"]) for i in done.json] == [
        ("failed", "E_RELEASE_UNFIT"), ("released", ""),
    ]  # fmt: skip
    assert vifctl("port", "release", plugged[0], "--force").code == 0


@pytest.mark.parametrize(
    ("options", "typed", "released"),
    [((), b"n\n", False), ((), b"\n", False), ((), b"y\n", True), (("--yes",), b"", True)],
)
def test_at_a_terminal_it_asks_first(served, backend, plugged, options, typed, released):
    code, err = asked(served.path, "port", "release", plugged[0], "--force", *options, typed=typed)
    assert (f"release {plugged[0]}" in backend.effects) is released
    assert code == (0 if released else 1)
    assert ("PASSES NOTHING" in err and "Go on? [y/N]" in err) is bool(typed)
