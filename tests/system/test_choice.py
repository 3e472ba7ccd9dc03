"""Which plugin a port gets where there is DPDK: the guest's memory decides, who lost is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from system.test_vhostuser import World, a_world
from unit.docs import document
from vifd.testing.census import Census

pytestmark = pytest.mark.needs("dpdk", "tun")


@pytest.fixture
def world(leaks: Census) -> Iterator[World]:
    with a_world() as made:
        yield made


def guest(pages: str) -> dict[str, Any]:
    flavor = {"hw:mem_page_size": pages} if pages else {}
    return {"instance": {**document(1)["instance"], "flavor_extra_specs": flavor}}


def offer(world: World, number: int, pages: str) -> Any:
    doc = document(number, **guest(pages))
    status, found = world.vifd.call("POST", "/v1/offers", {"attachment": doc})
    assert status == 200, found
    return found


def plug(world: World, number: int, pages: str, token: str = "") -> Any:
    doc = document(number, **guest(pages))
    path = f"/v1/ports/{doc['port']['id']}?wait=active&timeout=60"
    status, port = world.vifd.call("PUT", path + (f"&token={token}" if token else ""), doc)
    assert (status, port["phase"]) == (201, "LIVE"), port
    return port


def test_the_guest_s_pages_decide(world: World) -> None:
    large = offer(world, 1, "large")
    assert [c["plugin"] for c in large["candidates"]] == ["vhostuser", "ovs"], large["refused"]
    assert large["choice"]["vif_class"] == "VIFVHostUser"
    assert large["choice"]["version"] == "1.1"
    port = plug(world, 1, "large", large["token"])
    assert (port["plugin"], port["vif"]["type"]) == ("vhostuser", "vhostuser")

    for number, pages, said in ((2, "4KB", "no large page"), (3, "", "no hw:mem_page_size")):
        small = offer(world, number, pages)
        assert [c["plugin"] for c in small["candidates"]] == ["ovs"]
        port = plug(world, number, pages)
        assert (port["plugin"], port["vif"]["type"]) == ("ovs", "ethernet")
        (lost,) = [r for r in port["selection"]["refused"] if r["plugin"] == "vhostuser"]
        assert lost["error"]["code"] == "E_CAP_SHARED_MEMORY"
        assert said in lost["error"]["message"]
        assert not lost["also"], "nothing else stands in the way on this host"

    # the refusal is there after a restart as well
    world.vifd.stop()
    world.vifd.start()
    world.vifd.ready()
    codes = {r["plugin"]: r["error"]["code"] for r in world.port(2)["selection"]["refused"]}
    assert codes["vhostuser"] == "E_CAP_SHARED_MEMORY"

    old = world.vifd.get(f"/v1/ports/{world.port(1)['id']}/vif?format=os-vif&max_version=1.0")
    assert old["versioned_object.version"] == "1.0"
    assert "vif_name" not in old["versioned_object.data"]
    assert old["versioned_object.data"]["path"] == world.port(1)["vif"]["socket_path"]


def test_the_network_side_may_rule_vhost_user_out(world: World) -> None:
    doc = document(1, **guest("large"))
    body = {"attachment": doc, "acceptable": [{"vif_class": "VIFOpenVSwitch"}]}
    status, found = world.vifd.call("POST", "/v1/offers", body)
    assert (status, found["choice"]["plugin"]) == (200, "ovs")
    port = plug(world, 1, "large", found["token"])
    assert port["plugin"] == "ovs", "the token stands for what both sides agreed on"
