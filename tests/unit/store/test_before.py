"""A journal and switch ports that an earlier version made are read as they were meant.

``before/`` was written by vifd 0.1.0 before its modules moved: two live ports of the OVS plugin,
one that was removed, who installed it, and an orphan that may be put back.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from vifd.drivers import PortRow
from vifd.engine.garbage.undo_store import UndoStore
from vifd.engine.upgrade.guard import NOTE
from vifd.engine.upgrade.installed import InstalledVersions
from vifd.model import Phase, Role, decode
from vifd.store import Journal
from vifd.testing.attachments import port_id
from vifd.testing.machines import FakeMachine
from vifd.testing.profile import Profile
from vifd.testing.running import Running
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.kinds import Kind
from vifd_ovs.plugin import OvsPlugin

BEFORE = Path(__file__).with_name("before")
ROWS: dict[str, dict[str, Any]] = json.loads((BEFORE / "rows.json").read_text())
PORTS = [port_id(1), port_id(2)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where that journal is."""
    db = sqlite3.connect(tmp_path / "journal.db")
    db.executescript((BEFORE / "journal.sql").read_text())
    db.close()
    return tmp_path


def row(number: int) -> PortRow:
    told = ROWS[f"tap{port_id(number)[:11]}"]
    known = PortRow.__dataclass_fields__
    return PortRow(**{name: value for name, value in told.items() if name in known})


def test_its_journal_is_read_whole(directory: Path) -> None:
    journal = Journal.open(directory / "journal.db")
    records = journal.records()
    assert journal.set_aside is None
    assert sorted(records) == PORTS
    for record in records.values():
        assert (record.phase, record.open, record.plugin) == (Phase.LIVE, True, "ovs")
        assert record.wiring is not None
        assert record.names is not None
        assert record.wiring.device == record.names.device
        assert record.report is not None
        assert record.report.clean
    journal.close()


def test_its_notes_are_read(directory: Path) -> None:
    journal = Journal.open(directory / "journal.db")
    installed = journal.note(NOTE, InstalledVersions)
    assert installed is not None
    assert installed.plugins["ovs"].recipe != ""
    (removed,) = UndoStore(journal).all()
    assert {Kind.DEVICE, Kind.FLOWS, Kind.SWITCH_PORT} == {m.kind for m in removed.objects}
    journal.close()


@pytest.mark.parametrize("number", [1, 2])
def test_its_marks_tell_the_port_and_its_document(directory: Path, number: int) -> None:
    journal = Journal.open(directory / "journal.db")
    record = journal.get(port_id(number))
    assert record is not None
    assert record.wiring is not None
    assert marks.belongs(row(number), record.id)
    wiring = marks.wiring_of(row(number))
    before = record.wiring.details
    assert (wiring.ofport, wiring.tag, wiring.generation, wiring.network_id) == tuple(
        before[name] for name in ("ofport", "tag", "generation", "network_id")
    )
    told = marks.document_of(row(number), Role.ACTIVE)
    assert told is not None
    assert decode(told).attachment == record.doc.attachment
    journal.close()


def test_its_ports_are_brought_back_under_their_names_after_a_reboot(directory: Path) -> None:
    with Running(directory, FakeMachine().drivers, Profile(OvsPlugin)) as running:
        for port in PORTS:
            before = running.journal.get(port)
            assert before is not None
            after = running.settled(port)
            assert after.phase is Phase.LIVE
            assert after.wiring is not None
            assert after.wiring.device == f"tap{port[:11]}"
