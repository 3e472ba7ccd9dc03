"""Logs of security groups as the service tells of them: read at the start, followed, taken away."""

from __future__ import annotations

from typing import Any

import pytest

from support.neutron import Port
from unit.neutron.scene import Cloud, Node
from vifd import errors
from vifd.model.sets import GroupLog, LogEvent, SetKey, SetKind
from vifd.network.neutron.logs import body_of, concerns
from vifd.testing.wait import until

STRANGER = "99999999-0000-4000-8000-000000000009"


def here(node: Node) -> dict[str, GroupLog]:
    """The logs that the host has."""
    return {r.key.id: r.body for r in node.agent.sets.all(SetKind.LOG)
            if isinstance(r.body, GroupLog) and not r.going}  # fmt: skip


def request(node: Node, log: str) -> str:
    record = node.agent.sets.get(SetKey(SetKind.LOG, log))
    return record.request_id if record is not None else ""


def bound(cloud: Cloud, node: Node, **fields: Any) -> Port:
    port = cloud.neutron.port(cloud.vlan(), node.name, **fields)
    until(lambda: node.bound(port), "it is known here")
    return port


def test_a_log_that_is_made_changed_and_deleted(cloud: Cloud) -> None:
    node = cloud.node()
    port = bound(cloud, node)
    log = cloud.neutron.log(request="req-made", target_id=port.id, event="DROP", name="why")
    until(lambda: log in here(node), "the log is here")
    assert here(node)[log] == GroupLog(id=log, name="why", event=LogEvent.DROP, target_id=port.id)
    assert request(node, log) == "req-made"
    cloud.neutron.log(log, request="req-off", enabled=False)
    until(lambda: not here(node)[log].enabled, "it is switched off")
    until(lambda: request(node, log) == "req-off", "by that request")
    cloud.neutron.unlog(log)
    until(lambda: log not in here(node), "it is gone")


def test_those_that_were_there_before_and_those_that_went_meanwhile(cloud: Cloud) -> None:
    node = cloud.node()
    port = bound(cloud, node)
    kept = cloud.neutron.log(request="req-kept", target_id=port.id)
    gone = cloud.neutron.log(target_id=port.id)
    until(lambda: {kept, gone} == here(node).keys(), "both are here")
    # told so long ago that it is held against a list; the log is deleted while nobody hears
    node.stop()
    del cloud.neutron.logs[gone]
    made = cloud.neutron.log(target_id=port.id, event="ACCEPT")
    node.start()
    cloud.synchronised(node)
    until(lambda: made in here(node), "what was made meanwhile is here")
    assert request(node, kept) == "req-kept"
    assert here(node)[made].event is LogEvent.ACCEPT


def test_logs_of_ports_elsewhere_are_not_kept(cloud: Cloud) -> None:
    node = cloud.node()
    group = cloud.neutron.group()
    elsewhere = cloud.neutron.log(target_id=STRANGER)
    of_group = cloud.neutron.log(resource_id=group)
    first = cloud.neutron.log(target_id=bound(cloud, node).id)
    until(lambda: first in here(node), "one of a port here")
    assert here(node).keys() == {first}
    port = bound(cloud, node, security_group_ids=[group])
    until(lambda: of_group in here(node), "the group has a port here now")
    cloud.neutron.delete(port)
    until(lambda: of_group not in here(node), "it has none any more")
    assert elsewhere not in here(node)


def test_messages_that_come_late_bring_nothing_back(cloud: Cloud) -> None:
    node = cloud.node()
    port = bound(cloud, node)
    log = cloud.neutron.log(target_id=port.id, event="DROP")
    until(lambda: log in here(node), "the log is here")
    late = dict(cloud.neutron.logs[log])
    cloud.neutron.unlog(log)
    cloud.neutron.logs[log] = late
    cloud.neutron.log(log, enabled=True)
    other = cloud.neutron.log(target_id=port.id)
    until(lambda: other in here(node), "what was told after it is here")
    assert log not in here(node)


def test_where_groups_are_not_in_force_there_are_no_logs(cloud: Cloud) -> None:
    node = cloud.node(security_groups=False)
    port = bound(cloud, node)
    cloud.neutron.log(target_id=port.id)
    after = bound(cloud, node)
    assert node.bound(after)
    assert here(node) == {}


def test_the_agent_is_reported_with_its_extension(cloud: Cloud) -> None:
    for groups, wanted in ((True, ["qos", "log"]), (False, ["qos"])):
        node = cloud.node(security_groups=groups, extensions=["qos"])
        reports = [r for r in cloud.neutron.reports if r["host"] == node.name]
        assert reports[0]["configurations"]["extensions"] == wanted


def test_whom_a_log_concerns() -> None:
    port = {"id": "p", "security_group_ids": ["g"], "project_id": "mine"}
    for said, expected in (
        ({"target_id": "p"}, True), ({"target_id": "q"}, False), ({"resource_id": "g"}, True),
        ({"resource_id": "h"}, False), ({"target_id": "p", "resource_id": "h"}, False),
        ({"target_id": "p", "resource_id": "g"}, True), ({"project_id": "mine"}, True),
        ({"project_id": "other"}, False),
    ):  # fmt: skip
        assert concerns(said, [port]) is expected, said
        assert not concerns(said, [])


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(errors.BadDocument):
        body_of({"id": STRANGER, "resource_type": "snat", "event": "ALL"})
    with pytest.raises(errors.BadDocument):
        body_of({"id": STRANGER, "resource_type": "security_group", "event": "REJECT"})
