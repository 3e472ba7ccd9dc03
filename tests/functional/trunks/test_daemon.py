"""A trunk on a host with the whole daemon: any order, refusals, outages, a restart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.trunks.documents import Sub, details
from support import oracle
from unit.docs import document, port_id
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.testing.daemon import Options, Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

OPTIONS: Options = {
    "engine": {"retry_first": 0.05, "retry_longest": 0.5},
    "plugins": {"enabled_plugins": "ovs"},
}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs, OPTIONS) as daemon:
        yield daemon
        daemon.start()
        daemon.ready()
        daemon.clear()


def parent(number: int, *subs: Sub, **changes: Any) -> dict[str, Any]:
    return document(number, port__trunk_details=details(number, *subs), **changes)


def sub_port(number: int, network: int = 7, **changes: Any) -> dict[str, Any]:
    raw = document(number, port__device_owner=SUB_PORT_OWNER, **changes)
    raw["network"]["id"] = f"0d1e0000-0000-4000-8000-{network:012x}"
    del raw["instance"]
    return raw


def port(vifd: Vifd, number: int) -> dict[str, Any]:
    found: dict[str, Any] = vifd.get(f"/v1/ports/{port_id(number)}")
    return found


def status(vifd: Vifd, *numbers: int) -> list[str]:
    return [port(vifd, n)["status"] for n in numbers]


def put(vifd: Vifd, raw: dict[str, Any]) -> tuple[int, Any]:
    return vifd.call("PUT", f"/v1/ports/{raw['port']['id']}", raw)


def test_whichever_comes_first(vifd: Vifd) -> None:
    code, answer = vifd.plug(sub_port(2))
    assert (code, answer["code"]) == (504, "E_TRUNK_WAITS")
    assert "no port of this host has it as a sub-port" in port(vifd, 2)["error"]["message"]
    assert vifd.plug(parent(1, (2, 101), (3, 102)))[0] == 201
    until(lambda: status(vifd, 1, 2) == ["ACTIVE", "ACTIVE"], "it opens with its parent")
    assert vifd.plug(sub_port(3, 8))[0] == 201
    assert port(vifd, 3)["vif"]["type"] == "trunk"


def test_the_parent_goes_and_comes_back(vifd: Vifd) -> None:
    vifd.plug(parent(1, (2, 101)))
    vifd.plug(sub_port(2))
    assert status(vifd, 1, 2) == ["ACTIVE", "ACTIVE"]
    vifd.unplug(port_id(1))
    until(lambda: status(vifd, 2) == ["DOWN"], "it goes down with its parent")
    assert "trunk.parent" in str(port(vifd, 2)["findings"])
    vifd.plug(parent(1, (2, 103)))
    until(lambda: status(vifd, 2) == ["ACTIVE"], "it comes back with it")
    vifd.plug(parent(1))
    until(lambda: status(vifd, 1, 2) == ["ACTIVE", "DOWN"], "it is no sub-port any more")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_changes_no_flow(ovs: PrivateOvs, vifd: Vifd, end: str) -> None:
    vifd.plug(parent(1, (2, 101), (3, 102)))
    vifd.plug(sub_port(2))
    vifd.plug(sub_port(3, 8))
    until(lambda: status(vifd, 1, 2, 3) == ["ACTIVE"] * 3, "all are there")
    before = oracle.flow_ages(ovs)
    getattr(vifd, end)()
    vifd.start()
    vifd.ready()
    until(lambda: status(vifd, 1, 2, 3) == ["ACTIVE"] * 3, "all are there again")
    after = oracle.flow_ages(ovs)
    assert after.keys() == before.keys()
    assert all(after[flow] >= before[flow] for flow in before)


def test_the_switch_loses_everything(ovs: PrivateOvs, vifd: Vifd) -> None:
    vifd.plug(parent(1, (2, 101)))
    vifd.plug(sub_port(2))
    before = _flows(ovs)
    ovs.vswitchd.kill()
    ovs.start()
    until(lambda: _flows(ovs) == before, "every flow is back")
    until(lambda: status(vifd, 1, 2) == ["ACTIVE", "ACTIVE"], "both are back")


def _flows(ovs: PrivateOvs) -> set[str]:
    """What the switch has, while it answers."""
    with contextlib.suppress(RuntimeError):
        return {*oracle.flow_ages(ovs)}
    return set()


def test_a_trunk_that_is_prepared_opens_as_a_whole(ovs: PrivateOvs, vifd: Vifd) -> None:
    """As before a live migration: by one word about its parent, and closes by one."""

    def say(verb: str) -> None:
        assert vifd.call("POST", f"/v1/ports/{port_id(1)}/{verb}", None)[0] in (200, 202)

    assert vifd.plug({**parent(1, (2, 101)), "role": "INACTIVE"})[0] == 201
    code, answer = vifd.plug(sub_port(2))
    assert (code, answer["code"]) == (504, "E_TRUNK_WAITS")
    assert "is closed" in answer["message"]
    for _ in range(2):
        say("activate")
        until(lambda: status(vifd, 1, 2) == ["ACTIVE", "ACTIVE"], "both are open")
        assert "dl_vlan=101 actions=pop" in ovs.ofctl("dump-flows", "br-int", "table=0")
        say("deactivate")
        until(lambda: status(vifd, 1, 2) == ["DOWN", "DOWN"], "both are closed")
        until(lambda: "dl_vlan=101 actions=pop" not in ovs.ofctl(
            "dump-flows", "br-int", "table=0"), "nothing is let in")  # fmt: skip


def test_conflicts_are_refused(vifd: Vifd) -> None:
    def refused(raw: dict[str, Any], code: str, text: str) -> None:
        _, answer = put(vifd, raw)
        assert (answer.get("code"), text in str(answer)) == (code, True), answer

    vifd.plug(parent(1, (2, 101)))
    vifd.plug(document(5))
    refused(parent(6, (2, 101)), "E_TRUNK_CONFLICT", "is a sub-port of port")
    refused(parent(6, (5, 101)), "E_TRUNK_CONFLICT", "has a device of its own")
    refused(parent(1, (2, 101), (5, 102)), "E_TRUNK_CONFLICT", "has a device of its own")
    refused(document(2), "E_TRUNK_CONFLICT", "device_owner is not trunk:subport")
    vifd.plug(sub_port(2))
    nested = sub_port(2)
    nested["port"]["trunk_details"] = details(2, (9, 101))
    refused(nested, "E_DOC_INVALID", "trunks are not nested")
    for sub in ((9, 0), (9, 4095)):
        refused(parent(6, sub), "E_DOC_INVALID", "segmentation_id")
    strange = parent(6, (9, 101))
    strange["port"]["trunk_details"]["sub_ports"][0]["segmentation_type"] = "vxlan"
    refused(strange, "E_DOC_INVALID", "none of vlan, inherit")
    refused(document(5, port__device_owner=SUB_PORT_OWNER), "E_STATE_CONFLICT", "device_owner")
    assert status(vifd, 1, 2, 5) == ["ACTIVE"] * 3


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1)])
def test_a_trunk_is_plugged_by_one_call(vifd: Vifd, order: tuple[int, ...]) -> None:
    """Whatever its order; also where its sub-ports came in vain before."""
    raw = {1: parent(1, (2, 101), (3, 102)), 2: sub_port(2), 3: sub_port(3, 8)}
    everything = {"ports": [raw[n] for n in order]}
    for _ in range(5):
        for known in ([], [2], [3, 2]):
            for number in known:
                code, answer = vifd.plug(raw[number])
                assert (code, answer["code"]) == (504, "E_TRUNK_WAITS")
                assert "trunk_details.sub_ports" in answer["remediation"]
            found = vifd.call("POST", "/v1/ports:plug?wait=active&timeout=60", everything)[1]
            assert [p.get("error") for p in found["ports"]] == [None] * 3
            assert [p["port"]["status"] for p in found["ports"]] == ["ACTIVE"] * 3
            vifd.clear()


def test_a_sub_port_is_given_back_by_force_alone(vifd: Vifd) -> None:
    """Nobody else would pass its frames."""
    assert vifd.plug(parent(1, (2, 101)))[0] == 201
    assert vifd.plug(sub_port(2))[0] == 201
    path = f"/v1/ports/{port_id(2)}/release?wait=gone&timeout=60"
    code, answer = vifd.call("POST", path, {})
    assert (code, answer["code"]) == (409, "E_RELEASE_UNFIT")
    assert "flows of vifd alone" in answer["message"]
    assert status(vifd, 1, 2) == ["ACTIVE", "ACTIVE"]
    assert vifd.call("POST", path, {"force": True})[0] == 204


def test_who_asks_for_all_of_a_trunk_hears_of_all_of_it(vifd: Vifd) -> None:
    """The parent's turn comes last: it has to be gone before it comes back."""
    everything = [sub_port(2), sub_port(3, 8), parent(1, (2, 101), (3, 102))]
    assert vifd.plug(parent(1))[0] == 201
    for _ in range(5):
        assert vifd.call("DELETE", f"/v1/ports/{port_id(1)}")[0] in (202, 204)
        code, answer = vifd.call(
            "POST", "/v1/ports:plug?wait=active&timeout=60", {"ports": everything}
        )
        assert code == 200
        assert [item.get("error", {}).get("code") for item in answer["ports"]] == [None] * 3
        assert vifd.unplug(port_id(2))[0] == vifd.unplug(port_id(3))[0] == 204


def test_and_what_waits_is_told_where_the_parent_is_refused(vifd: Vifd) -> None:
    refused = parent(1, (2, 101))
    refused["network"]["segment"] = {"network_type": "vlan", "physical_network": "nowhere",
                                     "segmentation_id": 5}  # fmt: skip
    body = {"ports": [refused, sub_port(2)]}
    _, answer = vifd.call("POST", "/v1/ports:plug?wait=active&timeout=60", body)
    codes = [item["error"]["code"] for item in answer["ports"]]
    assert codes[0] != codes[1] == "E_TRUNK_WAITS"
