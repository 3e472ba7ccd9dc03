"""What is asked of the driver for a tap that goes to a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from contract import ovn, ovs
from vifd.drivers import Tap
from vifd.plugin import Host
from vifd.testing.attachments import attachment
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovn.testing import FakeController


@pytest.mark.parametrize("plugin", [ovs, ovn])
def test_a_tap_is_promiscuous_so_that_the_switch_changes_nothing_of_it(
    plugin: object, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """The switch's own change is a link event, for which it looks at all its ports once more."""
    machine = FakeMachine()
    asked: list[Tap] = []
    make = machine.links.create_taps

    def noted(taps: Sequence[Tap]) -> Mapping[str, object]:
        asked.extend(taps)
        return make(taps)

    monkeypatch.setattr(machine.links, "create_taps", noted)
    if plugin is ovn:
        machine.ovsdb.root["external_ids"] = {"ovn-remote": "unix:/none"}
        FakeController(machine.ovsdb, machine.openflow)

    def factory(host: Host) -> object:
        return plugin.plugin(host)  # type: ignore[attr-defined]

    ledger = Ledger(machine.drivers, factory, patience=0)  # type: ignore[arg-type]
    ledger.plug(attachment(1), opened=False)
    assert [tap.promiscuous for tap in asked] == [True]
