"""Who has a binding finished: the service by itself, and when it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from unit.neutron.scene import Cloud
from vifd.network.neutron.unfinished import OWN_TIME, Unfinished
from vifd.testing.wait import until

HOST = "host1"


def port(vif_type: str, host: str = HOST, status: str = "ACTIVE") -> dict[str, Any]:
    levels = [{"host": host, "level": 0, "segment": {"network_type": "vlan"}}]
    bindings = [{"host": host, "vif_type": vif_type, "status": status}]
    return {"id": "p", "bindings": bindings, "binding_levels": levels}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_the_service_finishes_by_itself_is_not_asked_for(clock: Clock) -> None:
    unfinished = Unfinished(clock)
    unfinished.see([port("unbound")], HOST)
    assert unfinished.due({"p": port("unbound")}, HOST) == []
    unfinished.see([port("ovs")], HOST)
    clock.now += OWN_TIME
    assert unfinished.due({"p": port("ovs")}, HOST) == []


def test_what_stands_is_asked_for_once(clock: Clock) -> None:
    unfinished = Unfinished(clock)
    unfinished.see([port("unbound")], HOST)
    clock.now += OWN_TIME / 2
    unfinished.see([port("unbound")], HOST)
    clock.now += OWN_TIME / 2
    assert unfinished.due({"p": port("unbound")}, HOST) == ["p"]
    clock.now += OWN_TIME
    assert unfinished.due({"p": port("unbound")}, HOST) == []


def test_what_went_elsewhere_meanwhile_is_not(clock: Clock) -> None:
    unfinished = Unfinished(clock)
    unfinished.see([port("unbound")], HOST)
    clock.now += OWN_TIME
    assert unfinished.due({}, HOST) == []


def test_a_port_that_is_bound_in_the_same_breath_costs_the_server_one_call(cloud: Cloud) -> None:
    """The one that tells its status."""
    node = cloud.node()
    made = cloud.neutron.port(cloud.vlan())
    cloud.neutron.bind(made, node.name, vif_type="unbound")
    service = node.service._service
    assert service is not None
    following = service._following
    assert following is not None
    until(lambda: following.cache.get("Port", made.id), "it is known")
    cloud.neutron.finish([made.id], node.name)
    node.plug(made)
    until(lambda: made.status == "ACTIVE", "active")
    assert "get_devices_details_list_and_failed_devices" not in cloud.neutron.calls
