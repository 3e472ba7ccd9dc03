"""Logs of security groups as shared sets: what is read, kept, changed, and whom it concerns."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.api.client import Client, uuid
from vifd import errors
from vifd.model.setreading import read_set
from vifd.model.setrecord import SetUpdate, replaced
from vifd.model.sets import GroupLog, LogEvent, SetKey, SetKind
from vifd.store import Journal

LOG, GROUP, PORT = uuid(1), uuid(2), uuid(3)
KEY = SetKey(SetKind.LOG, LOG)
PATH = f"/v1/logs/{LOG}"


def test_the_form_of_the_networking_api_is_taken() -> None:
    said = {
        "id": LOG, "name": "n", "description": "d", "enabled": True, "event": "DROP",
        "resource_type": "security_group", "resource_id": GROUP, "target_id": None,
        "tenant_id": "p", "project_id": "p", "revision_number": 1, "created_at": "x",
        "updated_at": "y",
    }  # fmt: skip
    assert read_set(said, KEY) == GroupLog(
        id=LOG, name="n", event=LogEvent.DROP, resource_id=GROUP, project_id="p"
    )


@pytest.mark.parametrize(("said", "field"), [
    ({"event": "SOME"}, "event"), ({"resource_type": "snat"}, "resource_type"),
    ({"resource_id": "web"}, "resource_id"), ({"enabled": 1}, "enabled"),
    ({"project_id": "p", "tenant_id": "q"}, "tenant_id"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(said: dict[str, object], field: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        read_set(said, KEY)
    assert caught.value.facts["field"] == field


def test_a_log_survives_the_journal(tmp_path: Path) -> None:
    body = GroupLog(id=LOG, name="n", event=LogEvent.ACCEPT, target_id=PORT, enabled=True)
    journal = Journal.open(tmp_path / "j.db")
    journal.commit({}, sets=[replaced(None, body, KEY, owner="me", request_id="req-1")])
    assert [*journal.sets.logs()] == [body]
    journal.close()
    again = Journal.open(tmp_path / "j.db")
    assert [*again.sets.logs()] == [body]
    record = again.sets.get(KEY)
    assert record is not None
    assert (record.body, record.request_id) == (body, "req-1")
    again.commit({}, sets=[SetUpdate(record, None)])
    assert [*again.sets.logs()] == []
    again.close()


def test_through_the_api(api: Client) -> None:
    answer = api.call("PUT", f"{PATH}?wait=applied", {"event": "DROP", "resource_id": GROUP})
    assert answer.status == 201
    shown = answer.json
    assert (shown["event"], shown["resource_id"], shown["target_id"]) == ("DROP", GROUP, None)
    assert (shown["enabled"], shown["counts"]) == (True, {})
    (listed,) = api.call("GET", "/v1/logs").json["logs"]
    assert listed == shown
    answer = api.call("PATCH", f"{PATH}?wait=applied", {"enabled": False, "name": "off"})
    assert (answer.status, answer.json["enabled"], answer.json["name"]) == (200, False, "off")
    assert answer.json["event"] == "DROP"
    assert api.call("PATCH", PATH, {"add": {}}).json["facts"]["field"] == "add"
    assert api.call("DELETE", f"{PATH}?wait=applied").status == 204
    assert api.call("PATCH", PATH, {"enabled": True}).json["code"] == "E_SET_NOT_FOUND"
