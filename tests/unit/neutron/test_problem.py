"""What is said of the way to the service: in the status, and of ports that wait for it."""

from __future__ import annotations

from typing import Any

from unit.neutron.scene import Cloud
from vifd.explain import explain_unmade
from vifd.network.neutron.standing import Standing, clean
from vifd.testing.wait import until


def test_a_bus_that_is_away_and_comes_back(cloud: Cloud):
    node = cloud.node()
    until(lambda: node.service.problem() == "", "all is well")
    node.service.bus.away = True
    until(lambda: "nobody is there" in node.service.problem(), "it is said")
    told = node.reporter.problem
    assert told.startswith("no answer for ")
    assert "Next: look at transport_url" in told
    port = cloud.neutron.port(cloud.vlan())
    node.compute(port)
    until(lambda: node.agent.parts(port.id), "compute's part is here")
    parts = node.agent.parts(port.id)
    assert parts is not None
    why = explain_unmade(port.id, parts, unheard=told)
    assert "network" in why.sentence
    assert why.hint == told
    node.service.bus.away = False
    until(lambda: node.service.problem() == "", "all is well again")


def test_what_the_server_has_cannot_be_read(cloud: Cloud):
    node = cloud.node()
    cloud.neutron.cast("q-agent-notifier-l2population-update", "add_fdb_entries", fdb_entries=7)
    cloud.neutron.cast("q-agent-notifier-tunnel-update", "tunnel_update")
    every: tuple[Any, ...] = (None, 7, [7], [{}], [{"versioned_object.data": 3}], {"a": 1})
    for nonsense in every:
        told = {"resource_list": nonsense, "event_type": "updated"}
        cloud.neutron.cast("neutron-vo-Port-1.10", "push", **told)
    port = cloud.neutron.port(cloud.vlan(), node.name)
    node.plug(port)
    until(lambda: port.status == "ACTIVE", "it goes on")
    until(lambda: node.service.problem() == "", "and says so")


def test_what_is_said_when():
    now = [0.0]
    standing = Standing("ovs", lambda: now[0])
    assert standing.problem(stranger=False) == ""
    now[0] = 60.0
    assert "no answer for 60 s (the message bus is not reached yet)" in standing.problem(
        stranger=False
    )
    # one that was never reached may not be allowed to be
    assert "drop-in other-hosts.conf" in standing.problem(stranger=False)
    standing.answered()
    assert standing.problem(stranger=False) == ""
    assert "another agent is on the bus as this host" in standing.problem(stranger=True)
    standing.unread = "TypeError: x"
    assert "cannot be read (TypeError: x)" in standing.problem(stranger=True)
    standing.lost(ConnectionError("gone"))
    now[0] = 67.0
    assert "no answer for 7 s (ConnectionError: gone)" in standing.problem(stranger=True)
    assert "drop-in" not in standing.problem(stranger=True)
    standing.unusable = "plugin ovs is unavailable: no switch"
    assert "is not reported" in standing.problem(stranger=True)
    assert "no switch" in standing.problem(stranger=True)


def test_passwords_of_urls_are_not_said():
    said = clean("cannot reach rabbit://guest:s3cret@127.0.0.1:5672/v, rabbit://a:b@h:1")
    assert said == "cannot reach rabbit://***@127.0.0.1:5672/v, rabbit://***@h:1"
