"""The contract, on the fake; and what only the fake can do."""

from collections.abc import Callable

import pytest

from support.links_suite import a_tap
from support.ovsdb_suite import BRIDGE, OvsdbContract, ensure
from vifd.drivers import PortSpec
from vifd.errors import BackendError, BackendUnavailable
from vifd.testing.links import FakeLinks
from vifd.testing.ovsdb import FakeOvsdb


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
def ovsdb(links: FakeLinks) -> FakeOvsdb:
    return FakeOvsdb(links)


@pytest.fixture
def taps(links: FakeLinks) -> Callable[..., object]:
    return lambda *numbers: links.create_taps([a_tap(number) for number in numbers])


class TestFakeOvsdb(OvsdbContract):
    pass


def test_an_outage_is_told_and_refuses_writes_only(ovsdb: FakeOvsdb) -> None:
    heard: list[str] = []
    ovsdb.subscribe(lambda kind, name: heard.append(kind))
    ensure(ovsdb)
    heard.clear()
    ovsdb.stop()
    assert not ovsdb.connected()
    assert ovsdb.bridge(BRIDGE) is not None
    with pytest.raises(BackendUnavailable):
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1")])
    ovsdb.start()
    assert ovsdb.connected()
    assert heard == ["disconnected", "connected"]


def test_without_a_switch_nothing_is_decided_until_it_comes(ovsdb: FakeOvsdb) -> None:
    ovsdb.stop_switch()
    ensure(ovsdb)
    with pytest.raises(BackendUnavailable, match="ovs-vswitchd"):
        ovsdb.wait_ports([BRIDGE], 5.0)
    ovsdb.start_switch()
    assert ovsdb.wait_ports([BRIDGE], 5.0)[BRIDGE].ofport == 65534


def test_faults_come_before_or_after_the_effect(ovsdb: FakeOvsdb) -> None:
    ensure(ovsdb)
    ovsdb.fail_next("ensure_ports", BackendError("boom"))
    ovsdb.fail_next("ensure_ports", BackendError("boom"), after=True)
    for present in (False, True):
        with pytest.raises(BackendError, match="boom"):
            ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1")])
        assert (ovsdb.port("tap1") is not None) is present


def test_a_device_that_vanishes_shows_in_the_row(ovsdb: FakeOvsdb, links: FakeLinks) -> None:
    links.create_taps([a_tap()])
    ensure(ovsdb)
    ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", ofport=4)])
    links.drop("tap1")
    row = ovsdb.wait_ports(["tap1"], 1.0)["tap1"]
    assert row.ofport == -1
    assert "No such device" in row.error


def test_the_same_again_is_no_transaction(ovsdb: FakeOvsdb) -> None:
    ensure(ovsdb)
    spec = PortSpec("pa", type="patch", ofport=3)
    ovsdb.ensure_ports(BRIDGE, [spec])
    count = ovsdb.transactions
    ovsdb.ensure_ports(BRIDGE, [spec])
    assert ovsdb.transactions == count
