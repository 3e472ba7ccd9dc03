"""Two daemons with journals of their own on one bridge: the second is refused in words that name
the first, and touches nothing; it may have the bridge once the first does not run any more."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from functional import test_ovn as wired
from functional.test_daemon import FAST, all_live, flow_ages, guests_of, hello
from support import ovn
from unit.docs import document, port_id
from vifd.errors import BridgeTaken
from vifd.plugin import identity
from vifd.testing.daemon import Vifd
from vifd.testing.guests import assert_reaches
from vifd.testing.machines import FakeMachine
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until
from vifd_ovs.bridge import tenancy


@pytest.fixture
def first(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "a", ovs, FAST) as daemon:
        yield daemon


@pytest.fixture
def second(first: Vifd, ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "b", ovs, FAST)
    yield daemon
    # whoever runs last takes the ports away: they are found by their marks
    first.stop()
    daemon.process.start(60)
    daemon.ready()
    daemon.call("POST", "/v1/host/refresh")
    for number in (1, 2):
        daemon.plug(document(number))
        daemon.unplug(port_id(number))
    daemon.close()


def state(vifd: Vifd, name: str = "ovs") -> tuple[str, str]:
    vifd.call("POST", "/v1/host/refresh")
    (plugin,) = [p for p in vifd.get("/v1/plugins")["plugins"] if p["name"] == name]
    return plugin["state"], "; ".join(plugin["reasons"])


def test_the_second_is_refused_and_touches_nothing(
    ovs: PrivateOvs, first: Vifd, second: Vifd
) -> None:
    for number in (1, 2):
        assert first.plug(document(number))[0] == 201
    ages = flow_ages(ovs)
    second.start()
    until(lambda: state(second)[0] == "unavailable", "it is noticed")
    reasons = state(second)[1]
    assert str(first.directory / "state") in reasons
    assert f"process {first.process.pid}" in reasons
    assert second.get("/v1/ports")["ports"] == [], "nor does it take their marks for its own"
    status, error = second.call("GET", f"/v1/ports/{port_id(1)}/explain")
    assert (status, error["code"]) == (404, "E_STATE_NOT_FOUND")
    assert str(first.directory / "state") in error["message"], "it says why it cannot tell"
    assert "Traceback" not in second.log
    status, error = second.plug(document(3))
    assert status == 409, error
    assert str(first.directory / "state") in json.dumps(error)
    ovs.revalidated()
    assert all(age >= ages[flow] for flow, age in flow_ages(ovs).items()), "no flow was touched"
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))
        # a restart of the first keeps the bridge
        first.stop()
        first.start()
        first.ready()
        assert state(first)[0] == "ready"
        assert state(second)[0] == "unavailable"
        # the first is gone: the second may have it, with its ports as they stand
        first.stop()
        until(lambda: state(second)[0] == "ready", "the bridge is free")
        until(lambda: all_live(second, 2), "it took them over")
        assert second.plug(document(3))[0] == 201
        assert_reaches(one, two, hello(1, 2))
        assert_reaches(two, one, hello(2, 1))
        first.start()
        until(lambda: state(first)[0] == "unavailable", "now the other one is the second")
    assert second.unplug(port_id(3))[0] in (200, 204)


@pytest.fixture
def chassis(ovs: PrivateOvs) -> Iterator[wired.Host]:
    if reason := ovn.lacking():
        pytest.skip(f"needs ovn: {reason}")
    with tempfile.TemporaryDirectory(prefix="vo-") as directory:
        made = wired.Host(ovs, Path(directory))
        made.start()
        yield made
        made.close()


@pytest.mark.needs("tun")
def test_on_the_bridge_of_ovn(chassis: wired.Host, ovs: PrivateOvs, tmp_path: Path) -> None:
    """Flows are OVN's, yet marks, garbage and statuses are one daemon's."""
    chassis.plug(1)
    with Vifd(tmp_path / "b", ovs, wired.OPTIONS) as second:
        second.configure(chassis.chassis.options())
        second.start()
        until(lambda: state(second, "ovn")[0] == "unavailable", "it is noticed")
        assert str(chassis.vifd.directory / "state") in state(second, "ovn")[1]
        assert second.get("/v1/ports")["ports"] == []
        assert second.get("/v1/garbage")["orphans"] == []
        status, error = second.plug(wired.doc(2))
        assert status == 409, error
        assert str(chassis.vifd.directory / "state") in json.dumps(error)
        assert chassis.status(1) == "ACTIVE"


def test_every_way_to_the_bridge_says_the_same(tmp_path: Path) -> None:
    ovsdb, own = FakeMachine().ovsdb, identity.here(tmp_path)
    ovsdb.ensure_bridge(
        "br-int", datapath_type="netdev", fail_mode="secure", protocols=[], external_ids={}
    )
    parent = os.getppid()
    other = replace(own, id="x", pid=parent, started=identity._started(parent) or 0, state="/there")
    tenancy.claim(ovsdb, "br-int", other)
    for way in (tenancy.require, tenancy.claim):
        with pytest.raises(BridgeTaken) as refused:
            way(ovsdb, "br-int", own)
        assert refused.value.facts["state_path"] == "/there"
    tenancy.renew(ovsdb, "br-int", own)
    row = ovsdb.port("br-int")
    assert row is not None
    assert identity.parse(row.external_ids[tenancy.AGENT]) == other


def test_who_is_at_work(tmp_path: Path) -> None:
    own = identity.here(tmp_path)
    assert identity.here(tmp_path) == own, "the same in the same process"
    assert identity.parse(own.text()) == own
    assert identity.parse("nonsense") is None
    assert not identity.rivals(own, own)
    assert not identity.rivals(replace(own, boot="another"), own), "before the host booted"
    assert not identity.rivals(replace(own, started=own.started + 1), own), "its number was reused"
    parent = os.getppid()
    began = identity._started(parent)
    assert began is not None
    assert identity.rivals(replace(own, pid=parent, started=began), own)
    far = replace(own, pids="pid:[1]")
    assert not identity.rivals(far, own), "this state directory in a container before this one"
    assert identity.rivals(replace(far, id="x"), own), "nobody here can tell"


def test_what_another_daemon_has_on_its_own_bridges_is_no_orphan(
    ovs: PrivateOvs, first: Vifd, tmp_path: Path
) -> None:
    ovs.vsctl("add-br", "br-phys", "--", "set", "bridge", "br-phys", OF_DATAPATH)
    own = {"integration_bridge": "br-two", "bridge_mappings": "physnet1:br-phys"}
    apart: dict[str, dict[str, object]] = {"engine": {"retry_first": 0.05}, "ovs": {**own}}
    second = Vifd(tmp_path / "b", ovs, apart)
    try:
        second.start()
        second.ready()
        assert first.plug(document(1))[0] == 201
        segment = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}
        assert second.plug(document(2, network__segment=segment))[0] == 201
        for daemon in (first, second):
            assert daemon.get("/v1/garbage")["orphans"] == []
        # Not even while it does not run.
        second.stop()
        assert first.get("/v1/garbage")["orphans"] == []
        second.start()
        second.ready()
        second.unplug(port_id(2))
        first.unplug(port_id(1))
    finally:
        second.close()
