"""Shared sets in the journal: kept in pieces, referred to, salvaged, and read by later versions."""

from __future__ import annotations

import sqlite3
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from unit.docs import document
from unit.store.journals import lose, reopened
from vifd import errors
from vifd.model import PortRecord, decode
from vifd.model.setpatch import SetPatch, drops, read_patch
from vifd.model.setreading import read_set
from vifd.model.setrecord import SetRecord, SetUpdate, name_of, patched, replaced
from vifd.model.sets import Behind, SecurityGroup, SetKey, SetKind
from vifd.store import Journal
from vifd.testing.attachments import port_id

BEFORE = Path(__file__).with_name("before")


def key(number: int, kind: SetKind = SetKind.SECURITY_GROUP) -> SetKey:
    return SetKey(kind, f"{number:08x}-1111-4000-8000-000000000000")


def put(journal: Journal, wanted: SetKey, owner: str = "api", **body: object) -> SetRecord:
    update = replaced(journal.sets.get(wanted), read_set(body, wanted), wanted, owner=owner)
    return commit(journal, update)


def commit(journal: Journal, update: SetUpdate) -> SetRecord:
    (done,) = journal.commit({}, durable=True, sets=[update]).sets
    assert done.after is not None
    return done.after


def patch(journal: Journal, wanted: SetKey, **raw: object) -> SetRecord:
    have, said = journal.sets.get(wanted), read_patch(raw, wanted)
    assert have is not None
    pieces = {name_of(p): p for p in said.add}
    return commit(journal, patched(have, pieces, drops(have, said), owner="api"))


def port(journal: Journal, number: int, *groups: SetKey, gone: bool = False) -> None:
    raw = document(number)
    raw["port"]["security_groups"] = [group.id for group in groups]
    record = PortRecord(doc=decode(raw), plugin="fake", vif_type="fake")
    journal.commit({record.id: lambda _now: None if gone else record})


def remote(other: SetKey) -> dict[str, object]:
    return {"direction": "ingress", "remote_group_id": other.id}


def test_a_set_survives_with_all_it_holds(journal: Journal) -> None:
    rules = [{"direction": "ingress", "protocol": "tcp", "port_range_min": 1, "port_range_max": 9}]
    group = put(journal, key(1), name="web", stateful=False, rules=rules,
                members=[{"ip_address": "10.0.0.1"}])  # fmt: skip
    forwarding = key(9, SetKind.FORWARDING)
    behind = {"mac_address": "fa:16:3e:00:00:01", "ip_addresses": ["10.0.0.1"]}
    put(journal, forwarding, owner="neutron", endpoints=[
        {"address": "192.0.2.1", "ports": [behind]}, {"address": "192.0.2.2"}])  # fmt: skip
    put(journal, key(3, SetKind.ADDRESS_GROUP), addresses=["10.0.0.0/8"])
    before = journal.sets.all()
    again = reopened(journal)
    assert again.sets.all() == before
    assert again.sets.number == 3
    assert again.sets.security_group(key(1).id) == group.body
    found = again.sets.forwarding(forwarding.id)
    assert found is not None
    assert [(e.address, len(e.ports)) for e in found.endpoints] == [("192.0.2.1", 1),
                                                                    ("192.0.2.2", 0)]  # fmt: skip
    again.close()


def test_a_change_writes_what_it_changes(journal: Journal) -> None:
    members = [{"ip_address": f"10.{n // 250}.{n % 250}.1"} for n in range(5000)]
    first = put(journal, key(1), members=members)
    seen: list[str] = []
    journal._db.set_trace_callback(lambda sql: seen.append(sql))
    after = patch(journal, key(1), add={"members": [{"ip_address": "192.0.2.1"}]},
                  remove={"members": [{"ip_address": "10.0.0.1"}]})  # fmt: skip
    journal._db.set_trace_callback(None)
    assert len([sql for sql in seen if "set_pieces" in sql]) == 2
    assert after.revision == first.revision + 1
    assert isinstance(after.body, SecurityGroup)
    assert len(after.body.members) == 5000
    again = reopened(journal)
    assert again.set_aside is None
    assert again.sets.get(key(1)) == after
    again.close()


def test_revisions_are_never_given_twice(journal: Journal) -> None:
    first = put(journal, key(1))
    journal.commit({}, sets=[SetUpdate(first, None)])
    again = reopened(journal)
    assert put(again, key(1)).revision == first.revision + 2
    again.close()


def test_who_depends_on_a_set(journal: Journal) -> None:
    own, other, far = key(1), key(2), key(3)
    put(journal, own, rules=[remote(other), remote(own)])
    port(journal, 1, own)
    port(journal, 2, other, far)
    refs = journal.sets.references
    assert refs.dependents(own) == {port_id(1)}
    assert refs.dependents(other) == {port_id(1), port_id(2)}
    assert refs.dependents(far) == {port_id(2)}
    again = reopened(journal)
    refs = again.sets.references
    assert refs.dependents(other) == {port_id(1), port_id(2)}
    assert again.sets.missing(refs.sets_of(port_id(2)))[:2] == [other, far]
    port(again, 2, gone=True)
    assert refs.dependents(other) == {port_id(1)}
    again.close()


def test_sets_that_are_going_are_held_by_ports_and_by_sets_that_stay(journal: Journal) -> None:
    a, b, c, d = (key(n) for n in range(1, 5))
    put(journal, a, rules=[remote(b)])
    put(journal, b, rules=[remote(a)])  # a and b name each other
    put(journal, c, rules=[remote(d)])
    put(journal, d)
    port(journal, 1, a)
    for one in (a, b, d):
        going = journal.sets.get(one)
        assert going is not None
        commit(journal, SetUpdate(going, replace(going, going=True)))
    assert journal.sets.needless() == []
    port(journal, 1, gone=True)
    assert set(journal.sets.needless()) == {a, b}


def test_patches_of_every_kind(journal: Journal) -> None:
    group = key(1)
    put(journal, group, members=[
        {"ip_address": "10.0.0.1", "mac_address": "fa:16:3e:00:00:01"},
        {"ip_address": "10.0.0.1", "mac_address": "fa:16:3e:00:00:02"}, {"ip_address": "10.0.0.2"},
    ])  # fmt: skip
    one = {"ip_address": "10.0.0.1", "mac_address": "fa:16:3e:00:00:02"}
    after = patch(journal, group, remove={"members": [one]}, name="n", stateful=True)
    assert isinstance(after.body, SecurityGroup)
    assert [m.ip_address for m in after.body.members] == ["10.0.0.1", "10.0.0.2"]
    after = patch(journal, group, remove={"members": [{"ip_address": "10.0.0.1"}]})
    assert isinstance(after.body, SecurityGroup)
    assert [m.ip_address for m in after.body.members] == ["10.0.0.2"]


def test_an_entry_moves_to_another_endpoint(journal: Journal) -> None:
    net, mac = key(9, SetKind.FORWARDING), "fa:16:3e:00:00:01"
    put(journal, net, endpoints=[{"address": "192.0.2.1", "ports": [{"mac_address": mac}]}])
    there = {"address": "192.0.2.2", "ports": [{"mac_address": mac}]}
    after = patch(journal, net, add={"endpoints": [there]})
    moved = after.pieces[f"behind/{mac}"]
    assert isinstance(moved, Behind)
    assert moved.endpoint == "192.0.2.2"
    # the word of the old endpoint comes late: it is not there any more
    late = {"address": "192.0.2.1", "ports": [mac]}
    after = patch(journal, net, remove={"endpoints": [late]})
    assert f"behind/{mac}" in after.pieces
    after = patch(journal, net, remove={"endpoints": ["192.0.2.2"]})
    assert set(after.pieces) == {"endpoint/192.0.2.1"}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ([], "(document)"), ({"members": []}, "members"), ({"add": []}, "add"),
        ({"add": {"addresses": []}}, "add.addresses"), ({"add": {"rules": 1}}, "add.rules"),
        ({"add": {"rules": [{"direction": "x"}]}}, "add.rules[0].direction"),
        ({"add": {"members": [{"ip_address": "x1"}]}}, "add.members[0].ip_address"),
        ({"remove": {"rules": [1]}}, "remove.rules[0]"),
        ({"remove": {"rules": {}}}, "remove.rules"),
        ({"name": 1}, "name"), ({"stateful": "no"}, "stateful"),
    ],
)  # fmt: skip
def test_patches_that_are_refused(raw: object, field: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        read_patch(raw, key(1))
    assert caught.value.facts["field"] == field
    assert read_patch({}, key(1)) == SetPatch()


def test_a_journal_that_is_lost_is_written_anew_with_its_sets(journal: Journal, path: Path) -> None:
    group = put(journal, key(1), members=[{"ip_address": "10.0.0.1"}])
    lose(path, "removed")
    put(journal, key(2))
    again = reopened(journal)
    assert again.sets.get(key(1)) == group
    assert set(again.sets.all()) == {key(1), key(2)}
    assert again.sets.number == 2
    again.close()


def test_a_piece_that_is_damaged_opens_less_and_is_told(
    journal: Journal, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(journal, key(1), name="whole")
    lost = put(journal, key(2), members=[{"ip_address": f"10.0.0.{n}"} for n in range(9)])
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE set_pieces SET body = x'a161' WHERE name = 'member/10.0.0.4|'")
    db.close()
    again = Journal.open(path)
    assert again.set_aside is not None
    found = again.sets.security_group(key(2).id)
    assert found is not None
    assert len(found.members) == 8
    assert again.sets.get(key(1)) is not None
    assert key(2).id in caplog.text
    assert put(again, key(2)).revision > lost.revision
    whole = reopened(again)
    assert whole.set_aside is None
    whole.close()


def test_a_piece_that_is_gone_is_noticed(journal: Journal, path: Path) -> None:
    put(journal, key(2), members=[{"ip_address": f"10.0.0.{n}"} for n in range(9)])
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM set_pieces WHERE name = 'member/10.0.0.4|'")
    db.close()
    again = Journal.open(path)
    assert again.set_aside is not None
    again.close()


def test_a_journal_of_the_version_before_has_no_sets_and_keeps_all_else(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "journal.db")
    db.executescript((BEFORE / "parts.sql").read_text())
    db.close()
    journal = Journal.open(tmp_path / "journal.db")
    assert journal.set_aside is None
    assert sorted(journal.records()) == [port_id(1), port_id(2)]
    parts = journal.parts(port_id(3))
    assert parts is not None
    assert parts.network is not None
    assert (parts.network.owner, parts.network.revision) == ("neutron", 7)
    group = SetKey(SetKind.SECURITY_GROUP, "11111111-0000-4000-8000-000000000001")
    assert journal.sets.references.ports(group) == {port_id(1), port_id(2)}
    put(journal, group)
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
    db.close()


def test_a_commit_that_fails_changes_no_set(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = put(journal, key(1), members=[{"ip_address": "10.0.0.1"}])

    def change(_now: PortRecord | None) -> PortRecord | None:
        raise sqlite3.OperationalError("database or disk is full")

    update = replaced(group, read_set({}, key(1)), key(1), owner="api")
    with pytest.raises(errors.JournalError):
        journal.commit({port_id(1): change}, sets=[update])
    assert journal.sets.get(key(1)) == group
    again = reopened(journal)
    assert again.sets.get(key(1)) == group
    again.close()


def test_saying_the_same_again_changes_nothing() -> None:
    body = read_set({"members": [{"ip_address": "10.0.0.1"}]}, key(1))
    update = replaced(None, body, key(1), owner="api")
    assert not update.idle
    assert replaced(update.after, body, key(1), owner="api").idle
    other = replaced(update.after, changed(body, name="x"), key(1), owner="api")
    assert not other.idle


@pytest.mark.parametrize("body", ["members", "addresses"])
def test_what_is_made_of_a_changed_set_is_what_a_new_reading_makes(
    journal: Journal, body: str
) -> None:
    kind = SetKind.SECURITY_GROUP if body == "members" else SetKind.ADDRESS_GROUP

    def pieces(*numbers: int) -> list[object]:
        texts = [f"10.0.0.{n}" for n in numbers]
        return [{"ip_address": t} for t in texts] if body == "members" else list(texts)

    said = read_set({body: pieces(1, 2, 3, 4)}, key(1, kind))
    first = commit(journal, replaced(None, said, key(1, kind), owner="api"))
    assert first.body == said
    assert not first.refers_to
    rules = {"add": {"rules": [remote(key(2))]}} if body == "members" else {}
    for change in (
        {"add": {body: pieces(5, 6)}}, {"remove": {body: pieces(1, 5)}}, rules, {"name": "n"},
        {"add": {body: pieces(2, 7)}, "remove": {body: pieces(2)}},
    ):  # fmt: skip
        after = patch(journal, key(1, kind), **change)
        anew = SetRecord(after.key, after.owner, after.name, after.stateful, after.pieces)
        assert after.body == anew.body
        assert after.refers_to == anew.refers_to


def test_who_reads_is_not_disturbed_by_who_writes(journal: Journal) -> None:
    """The lanes ask who depends on a set while requests change sets and ports."""
    keys = [key(n) for n in range(1, 40)]
    put(journal, keys[0])
    done, failed = threading.Event(), list[BaseException]()

    def read() -> None:
        try:
            while not done.is_set():
                journal.sets.references.dependents(keys[0])
                journal.sets.needless()
                journal.sets.counts()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=read) for _ in range(2)]
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for one in keys[1:]:
            put(journal, one, rules=[remote(keys[0])])
            first = journal.sets.get(one)
            assert first is not None
            commit(journal, SetUpdate(first, replace(first, going=True)))
            port(journal, 1, one)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(switching)
    assert failed == []
