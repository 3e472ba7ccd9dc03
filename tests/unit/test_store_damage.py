"""A journal after a power cut at any point, and on a disk that changes bytes: it opens, or what can
be read is carried over; twice the same, and it never tells something wrong without a word."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from unit.docs import document, port_id
from vifd import errors
from vifd.model import Phase, PortRecord, Wiring, decode
from vifd.model.event import Event
from vifd.store import Change, Journal, Outgoing, Records

PORTS = 24
ORDER = (Phase.BOUND, Phase.PLUGGING, Phase.LIVE, Phase.QUIESCED)


@dataclass(repr=False)
class Image:
    """The files of a daemon that was killed, and what it had committed until then."""

    db: bytes
    wal: bytes
    #: what the journal held after each commit
    states: list[dict[str, PortRecord]] = field(default_factory=list)

    def __repr__(self) -> str:
        return "Image(…)"  # hypothesis tells of failures with it

    @property
    def last(self) -> dict[str, PortRecord]:
        return self.states[-1]

    def was(self, record: PortRecord) -> bool:
        """Whether this is a record that was committed at some time, as it was."""
        return any(state.get(record.id) == record for state in self.states)


def made(number: int) -> PortRecord:
    wiring = Wiring("fake", "fake", f"tap{number}", {"number": number})
    return PortRecord(doc=decode(document(number)), plugin="fake", vif_type="fake", names=wiring)


def to(phase: Phase) -> Change:
    return lambda old: old and replace(old, phase=phase)


def said(_old: Records, new: Records) -> list[Event]:
    return [Event(0, "x", 1.0, port=port) for port in new]


def told(_old: Records, new: Records) -> list[Outgoing]:
    return [Outgoing(p, r.phase.value if r else "DOWN", r.revision if r else 0)
            for p, r in new.items()]  # fmt: skip


def work(journal: Journal) -> Iterator[dict[str, PortRecord]]:
    """Ports come, change and go; half of it is folded into the file, the other half is not."""
    yield {}
    for turn, phase in enumerate(ORDER):
        for first in range(1, PORTS + 1, 6):
            numbers = range(first, first + 6)
            changes: dict[str, Change] = {port_id(n): to(phase) for n in numbers}
            if phase is Phase.BOUND:
                changes = {port_id(n): lambda _, n=n: made(n) for n in numbers}  # type: ignore[misc]
            elif phase is Phase.QUIESCED:
                changes[port_id(first)] = lambda _: None
            durable = first % 4 == 1
            journal.commit(changes, events=said, outgoing=told, durable=durable)
            yield dict(journal.records())
        if turn == 1:
            journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(scope="module")
def image() -> Image:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.db"
        journal = Journal.open(path)
        journal.trust()
        states = list(work(journal))
        made_ = Image(path.read_bytes(), path.with_name("journal.db-wal").read_bytes(), states)
        journal.close()
    assert len(made_.wal) > 20 * 4096
    return made_


def at_most(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, database=None, print_blob=True,
                    suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


class Place:
    """A directory with the damaged files in it."""

    def __init__(self, db: bytes, wal: bytes | None) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "journal.db"
        self.path.write_bytes(db)
        if wal is not None:
            self.path.with_name("journal.db-wal").write_bytes(wal)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory)


def judge(path: Path, image: Image) -> Journal:
    """Open it; what it says must be true, or it must say that something is missing."""
    journal = Journal.open(path)
    records = dict(journal.records())
    assert all(image.was(r) for r in records.values()), "a record that never was"
    # The last transaction may look as if it was never written, as after any power cut.
    if records not in image.states[-2:]:
        assert journal.in_doubt, "something is missing and nobody says so"
    for told_ in journal.events(0, 10_000):
        assert told_.event in ("x", "journal-damaged")
    fresh = journal.commit({port_id(99): lambda _: made(99)}, durable=True).new[port_id(99)]
    assert fresh is not None
    assert all(fresh.revision > r.revision for r in image.last.values()) or not journal.set_aside
    aside, doubt = journal.set_aside, journal.in_doubt
    journal.close()
    again = Journal.open(path)
    assert again.set_aside is None, "it is carried over once"
    assert again.in_doubt == doubt, "the doubt stays until the host was asked"
    assert dict(again.records()) == {**records, fresh.id: fresh}
    again._aside = aside
    return again


#: A place in a file, whatever its size.
somewhere = st.integers(0, 2**20)
#: Damage: whether it is in the log, where it begins, its length, what it does to the first byte.
damage = st.tuples(st.sampled_from([False, False, True]), somewhere,
                   st.sampled_from([1, 1, 4, 64, 512]), st.integers(1, 255))  # fmt: skip


@given(length=somewhere)
@at_most(60)
def test_a_power_cut_leaves_a_state_that_was(image: Image, length: int) -> None:
    """The log ends somewhere: everything up to a commit is there, in the order of the commits."""
    with Place(image.db, image.wal[: length % len(image.wal)]) as path:
        journal = Journal.open(path)
        assert dict(journal.records()) in image.states
        assert journal.set_aside is None
        journal.close()


def test_a_torn_log_never_hides_what_came_after(image: Image) -> None:
    """A page of the log did not reach the disk, later ones did: each page once."""
    page = 24 + 4096
    for at in range(32, len(image.wal) - page + 1, page):
        wal = image.wal[:at] + bytes(page) + image.wal[at + page :]
        with Place(image.db, wal) as path:
            judge(path, image).close()


@given(all_of=st.lists(damage, min_size=1, max_size=3))
@at_most(250)
def test_bytes_that_change_are_noticed_where_they_matter(
    image: Image, all_of: list[tuple[bool, int, int, int]]
) -> None:
    db, wal = bytearray(image.db), bytearray(image.wal)
    for in_log, where, length, first in all_of:
        file = wal if in_log else db
        begin = where % len(file)
        for at in range(begin, min(begin + length, len(file))):
            file[at] ^= first if at == begin else 0xA5
    with Place(bytes(db), bytes(wal)) as path:
        try:
            journal = judge(path, image)
        except errors.JournalTooNew:
            assert db[60:64] != image.db[60:64], "only the number of the schema may say that"
            event("too new")
        else:
            event("set aside" if journal.set_aside else
                  "in doubt" if journal.in_doubt else "as it was")  # fmt: skip
            journal.close()


@given(length=somewhere, with_log=st.booleans())
@at_most(40)
def test_a_file_cut_short(image: Image, length: int, *, with_log: bool) -> None:
    with Place(image.db[: length % len(image.db)], image.wal if with_log else None) as path:
        judge(path, image).close()


@pytest.mark.parametrize("length", [0, 1])
def test_a_file_that_sqlite_takes_for_a_new_one(image: Image, length: int) -> None:
    with Place(image.db[:length], None) as path:
        judge(path, image).close()


def test_a_log_that_is_gone_is_missed(image: Image) -> None:
    with Place(image.db, None) as path:
        journal = judge(path, image)
        assert journal.in_doubt
        journal.close()


def test_a_log_of_another_file_is_not_believed(image: Image, tmp_path: Path) -> None:
    other = Journal.open(tmp_path / "journal.db")
    other.commit({port_id(n): lambda _, n=n: made(n) for n in range(500, 520)})  # type: ignore[misc]
    wal = (tmp_path / "journal.db-wal").read_bytes()
    other.close()
    with Place(image.db, wal) as path:
        journal = Journal.open(path)
        known = {r.id: r for r in journal.records().values()}
        assert journal.in_doubt or known == image.last
        journal.close()


def test_an_orderly_end_leaves_no_doubt_once_the_host_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    assert journal.in_doubt, "nobody asked the host yet"
    journal.close()
    journal = Journal.open(path)
    assert journal.in_doubt
    journal.trust()
    journal.close()
    journal = Journal.open(path)
    assert not journal.in_doubt
    journal.close()


def test_a_killed_daemon_leaves_no_doubt(image: Image) -> None:
    with Place(image.db, image.wal) as path:
        journal = Journal.open(path)
        journal.trust()
        copies = [path.read_bytes(), path.with_name("journal.db-wal").read_bytes()]
        journal.close()
    with Place(*copies) as path:
        journal = Journal.open(path)
        assert not journal.in_doubt
        assert dict(journal.records()) == image.last
        journal.close()
