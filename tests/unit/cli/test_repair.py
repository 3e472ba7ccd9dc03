"""``vifctl port repair``."""

from __future__ import annotations

import pytest

from unit.api.client import Client, uuid
from unit.cli.conftest import asked
from vifd import errors


@pytest.fixture
def plugged(served):
    client = Client(served.path)
    assert client.plug(1).status == 201
    client.close()
    return uuid(1)


def test_for_people_and_for_programs(vifctl, backend, plugged):
    done = vifctl("port", "repair", plugged)
    assert (done.code, done.err) == (0, "")
    assert "was taken out of guest fake and put back" in done.out
    assert vifctl("port", "repair", plugged, "-f", "json").json["port"]["id"] == plugged
    assert backend.effects.count(f"repair {plugged}") == 2


def test_a_refusal_is_explained(vifctl, backend, plugged):
    facts = {"device": "tap1", "problem": "vm1 is off"}
    backend.fail(plugged, errors.GuestNotRunning(facts=facts))
    done = vifctl("port", "repair", plugged)
    assert done.code == 1
    assert "vm1 is off" in done.err
    assert vifctl("port", "repair", uuid(9)).code == 4


@pytest.mark.parametrize(
    ("options", "typed", "repaired"),
    [((), b"n\n", False), ((), b"\n", False), ((), b"y\n", True), (("--yes",), b"", True)],
)
def test_at_a_terminal_it_asks_first(served, backend, plugged, options, typed, repaired):
    code, err = asked(served.path, "port", "repair", plugged, *options, typed=typed)
    assert (f"repair {plugged}" in backend.effects) is repaired
    assert code == (0 if repaired else 1)
    assert ("Go on? [y/N]" in err) is bool(typed)
