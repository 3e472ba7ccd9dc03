"""Where the switch may change another cached flow than it means, it forgets them all."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from functional.groups.rig import FakeRig
from functional.groups.table import GROUP
from functional.groups.test_beside import ALL_IN
from functional.groups.test_changes import ALL_OUT, OTHER
from vifd.testing.attachments import attachment, flat
from vifd_ovs.bridge.cachedflows import mixes_up


@pytest.fixture
def rig() -> Iterator[FakeRig]:
    with FakeRig() as made:
        made.machine.tracer.version = "3.1.0"
        made.say(GROUP)
        made.say(OTHER, *ALL_OUT, *ALL_IN)
        yield made


def plug(rig: FakeRig, group: str = GROUP) -> None:
    rig.plug(port=attachment(1, segment=flat(), security_groups=[group]))


def test_a_change_of_rules_is_in_force_for_what_was_cached(rig: FakeRig) -> None:
    plug(rig)
    before = rig.machine.tracer.forgotten
    rig.say(GROUP, *ALL_IN)
    assert rig.machine.tracer.forgotten == before + 1
    rig.say(GROUP, *ALL_IN)
    assert rig.machine.tracer.forgotten == before + 1, "nothing changed"


def test_so_is_another_group_of_a_port_that_is_open(rig: FakeRig) -> None:
    plug(rig)
    before = rig.machine.tracer.forgotten
    plug(rig, OTHER)
    assert rig.machine.tracer.forgotten > before


def test_so_is_that_a_port_is_closed(rig: FakeRig) -> None:
    plug(rig)
    before = rig.machine.tracer.forgotten
    assert not rig.ledger.deactivate(*rig.ledger.records)
    assert rig.machine.tracer.forgotten > before


def test_a_new_port_has_nothing_cached(rig: FakeRig) -> None:
    plug(rig)
    before = rig.machine.tracer.forgotten
    rig.plug(peer=attachment(2, segment=flat()))
    assert rig.machine.tracer.forgotten == before


def test_a_switch_that_changes_the_right_one_is_left_alone(rig: FakeRig) -> None:
    rig.machine.tracer.version = "3.5.0"
    plug(rig)
    rig.say(GROUP, *ALL_IN)
    assert rig.machine.tracer.forgotten == 0


def test_so_is_the_datapath_of_the_kernel() -> None:
    with FakeRig(datapath_type="system") as rig:
        rig.machine.tracer.version = "3.1.0"
        rig.say(GROUP)
        plug(rig)
        rig.say(GROUP, *ALL_IN)
        assert rig.machine.tracer.forgotten == 0


def test_a_switch_may_be_of_another_version_after_it_was_away(rig: FakeRig) -> None:
    plug(rig)
    rig.say(GROUP, *ALL_IN)
    before = rig.machine.tracer.forgotten
    assert before
    rig.machine.tracer.version = "3.5.0"
    rig.reconnect()
    rig.say(GROUP)
    assert rig.machine.tracer.forgotten == before


def test_what_was_not_forgotten_is_once_the_switch_is_there_again(rig: FakeRig) -> None:
    plug(rig)
    rig.machine.tracer.fail_next()
    rig.say(GROUP, *ALL_IN)
    before = rig.machine.tracer.forgotten
    rig.reconnect()
    assert rig.machine.tracer.forgotten == before + 1


def test_nor_was_it_by_a_daemon_that_was_killed_after_the_change(rig: FakeRig) -> None:
    plug(rig)
    rig.restart()
    before = rig.machine.tracer.forgotten
    rig.ledger.check()
    assert rig.machine.tracer.forgotten == before + 1
    rig.ledger.check()
    assert rig.machine.tracer.forgotten == before + 1


def test_a_switch_that_did_not_answer_is_told_when_it_is_looked_at_next(rig: FakeRig) -> None:
    plug(rig)
    rig.ledger.check()
    rig.machine.tracer.fail_next()
    rig.say(GROUP, *ALL_IN)
    before = rig.machine.tracer.forgotten
    rig.ledger.check()
    assert rig.machine.tracer.forgotten == before + 1


def test_the_log_says_so_once(rig: FakeRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    plug(rig)
    rig.say(GROUP, *ALL_IN)
    rig.say(GROUP)
    (line,) = [x for x in caplog.messages if "cached" in x]
    assert "(Open vSwitch) 3.1.0" in line
    assert "Next:" in line


@pytest.mark.parametrize(
    ("version", "wrong"),
    [("2.17.9", True), ("3.1.0", True), ("3.5.0", False), ("3.10.1", False), ("4.0.0", False)],
)
def test_versions(version: str, wrong: bool) -> None:
    assert mixes_up(f"ovs-vswitchd (Open vSwitch) {version}\nDPDK 22.11.1") is wrong


def test_a_version_that_cannot_be_read_is_a_new_one() -> None:
    assert not mixes_up("ovs-vswitchd (Another Switch) 1.0")
