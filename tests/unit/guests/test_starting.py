"""Which guests are started at boot, and which are left alone."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace

import pytest

from unit.docs import document, port_id
from unit.machine import until
from vifd import errors
from vifd.guests.booting import seconds_since_first_start
from vifd.guests.starting import GRACE, PAUSE, GuestStarter, StartPolicy, startable
from vifd.hypervisor import Rest
from vifd.testing.wait import PATIENCE


def starter(world, **policy):
    policy = {"window": 600.0, **policy}
    return GuestStarter(
        world.hypervisor,
        world.machine.journal,
        world.machine.metrics,
        StartPolicy(**policy),
        clock=world.clock,
    )


def turn(made):
    made.turn()
    made._pool.submit(lambda: None).result(PATIENCE)
    made.stop(60)


def off(world, number=1, **state):
    return world.guest(number, running=False, **{"autostart": True, "rest": Rest.FAILED, **state})


def test_a_guest_whose_autostart_failed_is_started_once_and_said(world, caplog):
    caplog.set_level(logging.INFO)
    device = off(world)
    made = starter(world, parallel=1)
    made.turn()
    turn(made)
    assert world.hypervisor.effects == ["start 00000001-aaaa"]
    assert "started guest vm1 (00000001-aaaa): its autostart had failed" in caplog.text
    assert device in caplog.text


@pytest.mark.parametrize(
    "state",
    [
        {"autostart": False},
        {"rest": Rest.OFF},
        {"rest": Rest.CRASHED},
        {"rest": Rest.UNKNOWN},
        {"running": True},
    ],
)
def test_left_alone(world, state):
    state = {"running": False, "autostart": True, "rest": Rest.FAILED, **state}
    world.guest(1, **state)
    made = starter(world)
    turn(made)
    assert world.hypervisor.effects == []


def test_where_libvirt_forgot_why_it_gets_time_for_its_own_autostart(world):
    off(world, rest=Rest.UNKNOWN)
    made = starter(world, parallel=1)
    made.turn()
    assert world.hypervisor.effects == []
    world.clock.now += GRACE
    turn(made)
    assert world.hypervisor.effects == ["start 00000001-aaaa"]


def test_every_device_of_ours_must_be_there(world):
    guest = "00000009-aaaa"
    one = world.machine.plug(document(1)).wiring.device
    made = world.hypervisor.define(guest, [one, "tap-later", "foreign0"], autostart=True)
    made = replace(made, rest=Rest.FAILED)
    records = world.machine.journal.records()
    assert startable(made, records, patient=False) == [one]
    broken = {k: _changed(r, error={"code": "E"}) for k, r in records.items()}
    assert startable(made, broken, patient=False) == []
    unproven = {k: _changed(r, report=None) for k, r in records.items()}
    assert startable(made, unproven, patient=False) == []
    assert startable(replace(made, autostart=False), records, patient=True) == []
    two = world.machine.plug(document(2)).wiring.device
    both = world.hypervisor.define(guest, [one, two], autostart=True, rest=Rest.FAILED)
    records = world.machine.journal.records()
    assert startable(both, records, patient=False) == sorted([one, two])
    half = {k: _changed(r, report=None) if k == port_id(2) else r for k, r in records.items()}
    assert startable(both, half, patient=False) == []
    strangers = replace(made, interfaces=made.interfaces[1:])
    assert startable(strangers, records, patient=True) == []


def _changed(record, **changes):
    return type(record)(**{**{f: getattr(record, f) for f in record.__struct_fields__}, **changes})


def test_no_more_than_the_limit(world, caplog):
    for number in (1, 2, 3):
        off(world, number)
    made = starter(world, limit=2, parallel=1)
    made.turn()
    turn(made)
    assert len(world.hypervisor.effects) == 2
    assert caplog.text.count("start_limit") == 1


def test_a_start_that_fails_is_tried_again_three_times(world, caplog):
    off(world)

    def fail(_guest):
        raise errors.HypervisorError(facts={"problem": "no memory"})

    world.hypervisor.on_start = fail
    made = starter(world, parallel=1)
    for _ in range(6):
        made.turn()
        made._pool.submit(lambda: None).result(PATIENCE)
        world.clock.now += PAUSE
    made.stop(60)
    assert world.hypervisor.effects == ["start 00000001-aaaa"] * 3
    assert "no memory; 0 attempts left" in caplog.text


def test_only_while_the_window_is_open(world):
    off(world)
    for window, started in ((0.0, False), (600.0, True)):
        made = starter(world, window=window)
        made.start()
        if started:
            until(lambda: world.hypervisor.effects)
        made.stop(60)
        assert bool(world.hypervisor.effects) is started


def test_nothing_while_libvirt_is_away(world):
    off(world)
    world.hypervisor.up = False
    made = starter(world)
    turn(made)
    assert world.hypervisor.effects == []


# --- is this a boot? ---


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_kept_of_the_boot_is_the_daemons_alone(tmp_path, umask) -> None:
    (tmp_path / "boot_id").write_text("one")
    for _ in range(2):
        before = os.umask(umask)
        try:
            assert seconds_since_first_start(tmp_path, tmp_path / "boot_id") == 0.0
        finally:
            os.umask(before)
        kept = tmp_path / "boot.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert json.loads(kept.read_text())["boot_id"] == "one"
        # what an earlier vifd left open to all is closed with the next boot
        kept.chmod(0o666)
        (tmp_path / "boot_id").write_text("two")
        seconds_since_first_start(tmp_path, tmp_path / "boot_id")
        assert kept.stat().st_mode & 0o777 == 0o600
        (tmp_path / "boot_id").write_text("one")


def test_the_first_start_after_a_boot(tmp_path):
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("one\n")
    assert seconds_since_first_start(tmp_path, boot_id) == 0.0
    kept = tmp_path / "boot.json"
    known = json.loads(kept.read_text())
    kept.write_text(json.dumps({**known, "first_start": known["first_start"] - 700}))
    assert 700 <= seconds_since_first_start(tmp_path, boot_id) < 760
    boot_id.write_text("two\n")
    assert seconds_since_first_start(tmp_path, boot_id) == 0.0
    assert seconds_since_first_start(tmp_path, boot_id) < 60


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"boot_id": "one"}', "\x00"])
def test_a_damaged_note_counts_as_a_boot(tmp_path, text):
    (tmp_path / "boot_id").write_text("one\n")
    (tmp_path / "boot.json").write_text(text)
    assert seconds_since_first_start(tmp_path, tmp_path / "boot_id") == 0.0
    assert json.loads((tmp_path / "boot.json").read_text())["boot_id"] == "one"


def test_what_cannot_be_written_is_said(tmp_path, caplog):
    (tmp_path / "boot_id").write_text("one\n")
    assert seconds_since_first_start(tmp_path / "missing", tmp_path / "boot_id") == 0.0
    assert "cannot be written" in caplog.text
