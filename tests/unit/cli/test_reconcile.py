"""``vifctl reconcile`` as people run it."""

from __future__ import annotations

import pytest

from vifd import errors
from vifd.engine.upgrade.view import Affected, Changed, UpgradeView

PORT, NETWORK = "00000001-0000-4000-8000-000000000000", "00000009-0000-4000-8000-000000000000"


@pytest.fixture
def held(backend):
    port = Affected(PORT, "ovs", "tap1", NETWORK, [Changed("flows.port", "old", "new")])
    backend.upgraded = UpgradeView("held", ["vifd 1 became 2"], 3, 1, [port], [PORT], [PORT])
    return backend


def test_nothing_waits(vifctl):
    done = vifctl("reconcile")
    assert done.code == 0
    assert "nothing waits for approval" in done.err
    assert vifctl("reconcile", "--approve").code == 0


def test_the_difference_fact_by_fact(vifctl, held):
    done = vifctl("reconcile")
    assert done.code == 0
    for text in (PORT, "tap1", "flows.port", "old", "new"):
        assert text in done.out
    assert "vifd 1 became 2" in done.err
    assert "1 of 3 ports that pass traffic differ; 1 may be changed without asking" in done.err
    assert "1 ports cannot be read back yet" in done.err
    assert held.effects == []
    assert vifctl("reconcile", "-f", "json").json[0]["have"] == "old"


def test_approval(vifctl, held):
    done = vifctl("reconcile", "--approve")
    assert done.code == 0
    assert held.effects == ["approve"]


def test_a_first_port_that_fails_fails_the_command(vifctl, held, monkeypatch):
    error = errors.WireTimeout(facts={"seconds": 10, "finding": "flows"}, port=PORT).to_dict()
    failed = UpgradeView("held", ["vifd 1 became 2"], 3, 1, held.upgraded.affected, [], [], PORT,
                         error)  # fmt: skip
    monkeypatch.setattr(held.upgrades, "approve", lambda: failed)
    done = vifctl("reconcile", "--approve")
    assert done.code == 1
    assert f"port {PORT}, the first, failed" in done.err
    assert "E_WIRE_TIMEOUT" in done.err
