"""``vifctl port unplug --all``: what it says before it does so."""

from __future__ import annotations

import pytest

from unit.api.client import Client, document, uuid
from unit.cli.conftest import asked
from vifd.cli import inuse


@pytest.fixture
def plugged(served, backend):
    client = Client(served.path)
    for number in (1, 2, 3):
        assert client.plug(number).status == 201
    client.close()
    backend.give_guest(uuid(2), "web\x1b[2J runs with it")
    backend.give_guest(uuid(3), "db is off")
    return [uuid(n) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "typed", "gone"),
    [((), b"n\n", False), ((), b"\n", False), ((), b"y\n", True), (("--yes",), b"", True)],
)
def test_at_a_terminal_it_asks_and_names_ports_whose_guest_runs(
    served, backend, plugged, options, typed, gone
):
    code, err = asked(served.path, "port", "unplug", "--all", *options, typed=typed)
    assert (backend.ports() == []) is gone
    assert code == (0 if gone else 1)
    if typed:
        named, question = err.splitlines()[0], err.splitlines()[1]
        assert named.startswith(f"port {uuid(2)} ")
        assert named.endswith("guest web?[2J runs with it")
        assert question.startswith("All 3 ports of this host will be unplugged; the guests of 1 ")
        assert uuid(3) not in err
    else:
        assert err == ""


def test_where_nobody_can_be_asked(vifctl, backend, plugged):
    done = vifctl("port", "unplug", "--all")
    assert done.code == 2
    assert uuid(2) in done.err
    assert "--yes" in done.err
    assert len(backend.ports()) == 3
    assert vifctl("port", "unplug", "--all", "--yes").code == 0
    assert backend.ports() == []


def test_many_are_counted(vifctl, backend, served):
    client = Client(served.path)
    for number in range(1, 31):
        client.plug(number)
        backend.give_guest(uuid(number), "web runs with it")
    client.close()
    done = vifctl("port", "unplug", "--all")
    assert "and 10 more ports whose guest runs\n" in done.err
    assert done.err.count("\n") == 22


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"guest.name": "web is off"}, ""),
        ({"guest.name": "web runs with it"}, "guest web runs with it"),
        ({"guest": "waiting for guest"}, ""),
        ({"guest": "connected, 2 queues"}, "guest vm1 is at its socket"),
        ({"device.carrier": False}, ""),
        ({"device.carrier": True}, "guest vm1 has it open"),
    ],
)
def test_who_uses_a_port(facts, text):
    port = {
        "id": uuid(1), "device": "tapnowhere", "document": {**document(), "instance":
        {"id": uuid(5), "name": "vm1"}},
        "evidence": [{"fact": name, "have": have} for name, have in facts.items()],
    }  # fmt: skip
    assert inuse.user(port) == text


def test_a_tap_whose_carrier_somebody_took_is_in_use(monkeypatch):
    port = {
        "id": uuid(1), "device": "tapnowhere", "document": document(),
        "evidence": [{"fact": "device.carrier", "have": False}],
    }  # fmt: skip
    monkeypatch.setattr(inuse, "_open", lambda: {"tapnowhere"})
    assert inuse.user(port).endswith("has it open")
    assert inuse.user({**port, "device": "tapelse"}) == ""


def test_the_kernel_knows_better_than_the_last_report(tmp_path, monkeypatch):
    monkeypatch.setattr(inuse, "DEVICES", tmp_path)
    (tmp_path / "tap1").mkdir()
    file = tmp_path / "tap1" / "carrier"
    file.write_text("0\n")
    assert inuse.carrier("tap1", True) is False
    file.write_text("1\n")
    assert inuse.carrier("tap1", False) is True
    assert inuse.carrier("gone", True) is True
