"""The ledger: what did not change is not made anew, and what did is never the old one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from unit.docs import document
from vifd.engine.worker import ledger
from vifd.model import Phase, PortRecord, Wiring, decode
from vifd.store import Journal


def put(journal: Journal, number: int, **changes: Any) -> str:
    wiring = Wiring("fake", "fake", f"tap{number}")
    record = PortRecord(
        doc=decode(document(number)), plugin="fake", vif_type="fake", names=wiring, phase=Phase.LIVE
    )
    journal.commit({record.id: lambda _: replace(record, **changes)})
    return record.id


def test_an_entry_lives_as_long_as_its_port_does_not_change(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    one = put(journal, 1)
    before = ledger(journal)
    two = put(journal, 2)
    after = ledger(journal)
    assert after.keys() == {one, two}
    assert before.keys() == {one}, "who reads meanwhile reads what was true"
    assert after[one] is before[one]
    assert ledger(journal) is after

    put(journal, 1, open=True)
    assert ledger(journal)[one].open
    assert ledger(journal)[one] is not after[one]
    put(journal, 2, names=None)
    assert ledger(journal).keys() == {one}
    journal.commit({one: lambda _: None})
    assert not ledger(journal)
    journal.close()


def test_journals_are_told_apart(tmp_path: Path) -> None:
    first, second = (Journal.open(tmp_path / name) for name in ("a.db", "b.db"))
    put(first, 1)
    assert ledger(first)
    assert not ledger(second)
    first.close()
    second.close()
