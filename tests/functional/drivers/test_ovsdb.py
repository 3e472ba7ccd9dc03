"""The OVSDB driver on a private Open vSwitch: the contract, outages, and threads."""

import contextlib
import json
import os
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.links_suite import a_tap
from support.ovsdb_suite import BRIDGE, OvsdbContract, ensure
from vifd.drivers import MARK, PortSpec
from vifd.drivers.links import Links
from vifd.drivers.ovsdb import Ovsdb
from vifd.errors import BackendError, BackendUnavailable
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import PATIENCE, until


@pytest.fixture
def ovsdb(ovs: PrivateOvs) -> Iterator[Ovsdb]:
    with contextlib.closing(Ovsdb(ovs.db, timeout=PATIENCE)) as driver:
        until(driver.connected, "the driver is connected")
        yield driver


@pytest.fixture
def taps() -> Iterator[Callable[..., object]]:
    with contextlib.closing(Links()) as links:
        yield lambda *numbers: links.create_taps([a_tap(number) for number in numbers])
        links.delete([link.name for link in links.marked(MARK)])


class TestOvsdb(OvsdbContract):
    pass


def test_what_is_written_is_in_the_database(
    ovsdb: Ovsdb, ovs: PrivateOvs, taps: Callable[..., object]
) -> None:
    taps(1)
    ensure(ovsdb)
    spec = PortSpec("tap1", ofport=7, tag=3, mtu=1400, external_ids={"iface-id": "a b\"{'"})
    ovsdb.ensure_ports(BRIDGE, [spec])
    ovsdb.wait_ports(["tap1"], PATIENCE)
    assert ovs.vsctl("get", "interface", "tap1", "ofport").strip() == "7"
    assert ovs.vsctl("get", "interface", "tap1", "mtu_request").strip() == "1400"
    assert ovs.vsctl("get", "port", "tap1", "tag").strip() == "3"
    assert ovs.vsctl("port-to-br", "tap1").strip() == BRIDGE
    port = ovsdb.port("tap1")
    assert port is not None
    assert port.external_ids == {"iface-id": "a b\"{'"}


def test_changes_by_others_arrive(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ovs.vsctl("add-br", "br-x", "--", "set", "bridge", "br-x", OF_DATAPATH)
    until(lambda: ovsdb.bridge("br-x"), "the bridge is seen")
    ovs.vsctl(
        "add-port",
        "br-x",
        "pa",
        "tag=9",
        "--",
        "set",
        "interface",
        "pa",
        "type=patch",
        "options:peer=pb",
    )
    until(lambda: (p := ovsdb.port("pa")) and p.tag == 9 and p.options == {"peer": "pb"}, "port")
    ovs.vsctl("del-port", "pa")
    until(lambda: ovsdb.port("pa") is None, "the port is gone")
    ovs.vsctl("del-br", "br-x")
    until(lambda: ovsdb.bridge("br-x") is None, "the bridge is gone")


def test_a_bond_is_one_port(ovsdb: Ovsdb, ovs: PrivateOvs, taps: Callable[..., object]) -> None:
    taps(1, 2)
    ensure(ovsdb)
    ovs.vsctl("add-bond", BRIDGE, "bond0", "tap1", "tap2")
    until(lambda: ovsdb.port("bond0"), "the bond is seen")
    assert [port.name for port in ovsdb.ports(BRIDGE)] == ["bond0", BRIDGE]
    assert ovsdb.port("tap1") is None
    ovsdb.delete_ports(BRIDGE, ["bond0"])
    assert [port.name for port in ovsdb.ports(BRIDGE)] == [BRIDGE]


def test_the_same_again_is_not_even_sent(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ensure(ovsdb)
    spec = PortSpec("pa", type="patch", ofport=3, options={"peer": "pb"}, external_ids={"a": "b"})
    ovsdb.ensure_ports(BRIDGE, [spec])
    ovsdb.wait_ports(["pa"], PATIENCE)
    ovs.ovsdb.pause()
    try:
        # A server that answers nothing would keep any transaction waiting.
        ovsdb.ensure_ports(BRIDGE, [spec])
        assert (
            ovsdb.ensure_bridge(
                BRIDGE,
                datapath_type="system",
                fail_mode="standalone",
                protocols=["OpenFlow14"],
                external_ids={},
            )
            is False
        )
        ovsdb.delete_ports(BRIDGE, ["nosuch"])
        ovsdb.set_external_ids({"pa": {"a": "b", "c": None}})
    finally:
        ovs.ovsdb.resume()


def test_a_server_that_hangs_costs_the_deadline(ovs: PrivateOvs) -> None:
    with contextlib.closing(Ovsdb(ovs.db, timeout=2)) as driver:
        until(driver.connected, "connected")
        ovs.ovsdb.pause()
        try:
            with pytest.raises(BackendUnavailable, match="no answer within 2 s"):
                ensure(driver)
            assert driver.bridge(BRIDGE) is None
        finally:
            ovs.ovsdb.resume()
        until(lambda: driver.bridge(BRIDGE), "the server carries it out after all")
        driver.delete_bridge(BRIDGE)


def test_the_server_may_come_after_the_driver(ovs: PrivateOvs) -> None:
    ovs.stop()
    heard: list[str] = []
    with contextlib.closing(Ovsdb(ovs.db)) as driver:
        driver.subscribe(lambda kind, name: heard.append(kind))
        assert not driver.connected()
        assert driver.facts() == {}
        assert driver.port("tap1") is None
        with pytest.raises(BackendUnavailable):
            ensure(driver)
        ovs.start()
        until(lambda: "connected" in heard, "the connection is told")
        assert driver.connected()
        assert ensure(driver)


def test_a_slow_switch_is_waited_for_before_a_port_is_added_again(
    ovsdb: Ovsdb, ovs: PrivateOvs, taps: Callable[..., object]
) -> None:
    """Seen at once, removal and addition are no change to it: it would keep the old device."""
    spec = PortSpec("tap1", ofport=7)
    taps(1, 2)
    ensure(ovsdb)
    ovsdb.ensure_ports(BRIDGE, [spec])
    assert ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"].ofport == 7
    ovs.vswitchd.pause()
    ovsdb.delete_ports(BRIDGE, ["tap1"])
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(ovsdb.ensure_ports, BRIDGE, [spec])
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap2")])  # others do not wait
        assert "tap1" not in ovs.vsctl("--no-wait", "list-ports", BRIDGE)
        assert not again.done()
        ovs.vswitchd.resume()
        again.result(PATIENCE)
    assert ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"].ofport == 7


def test_closing_a_driver_that_never_connected(ovs: PrivateOvs) -> None:
    Ovsdb(f"unix:{ovs.rundir}/nosuch.sock").close()


def test_a_server_that_is_killed_and_comes_back(
    ovsdb: Ovsdb, ovs: PrivateOvs, taps: Callable[..., object]
) -> None:
    taps(1, 2)
    ensure(ovsdb)
    ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", ofport=7), PortSpec("tap2", ofport=8)])
    before = ovsdb.wait_ports(["tap1", "tap2"], PATIENCE)
    heard: list[str] = []
    ovsdb.subscribe(lambda kind, name: heard.append(kind))
    ovs.ovsdb.kill()
    until(lambda: "disconnected" in heard, "the loss is told")
    assert not ovsdb.connected()
    assert ovsdb.port("tap1") == before["tap1"]
    with pytest.raises(BackendUnavailable):
        ovsdb.delete_ports(BRIDGE, ["tap1"])
    ovs.ovsdb.start()
    ovs.vsctl("--no-wait", "del-port", "tap2")
    until(lambda: "connected" in heard, "the connection is told")
    until(lambda: ovsdb.port("tap2") is None, "what changed meanwhile is seen")
    row = ovsdb.port("tap1")
    assert row is not None
    assert (row.ofport, row.bridge) == (7, BRIDGE)
    ovsdb.ensure_ports(BRIDGE, [PortSpec("tap2", ofport=9)])
    assert ovsdb.wait_ports(["tap2"], PATIENCE)["tap2"].ofport == 9


def test_a_write_during_an_outage_and_back_is_either_done_or_an_error(
    ovsdb: Ovsdb, ovs: PrivateOvs
) -> None:
    ensure(ovsdb)
    for _ in range(3):
        outcome: list[object] = []

        def write(done: list[object] = outcome) -> None:
            try:
                ovsdb.ensure_ports(BRIDGE, [PortSpec("pa", type="patch")])
                done.append("done")
            except BackendError as error:
                done.append(error)

        ovs.ovsdb.pause()
        thread = threading.Thread(target=write)
        thread.start()
        ovs.ovsdb.kill()
        ovs.ovsdb.start()
        thread.join(PATIENCE)
        assert len(outcome) == 1
        until(ovsdb.connected, "connected again")
        if outcome == ["done"]:
            assert ovsdb.port("pa") is not None
        ovsdb.delete_ports(BRIDGE, ["pa"])


def test_without_a_switch_waiting_ends_with_a_clear_error(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ensure(ovsdb)
    ovsdb.wait_ports([BRIDGE], PATIENCE)
    ovs.vswitchd.kill()
    ovsdb.ensure_ports(BRIDGE, [PortSpec("pa", type="patch", ofport=3, options={"peer": "pb"})])
    with pytest.raises(BackendUnavailable, match=r"ovs-vswitchd cannot be reached.*pa") as caught:
        ovsdb.wait_ports(["pa", BRIDGE], 0.05)
    assert caught.value.facts["ports"] == ["pa"]
    ovs.vswitchd.start()
    assert ovsdb.wait_ports(["pa"], PATIENCE)["pa"].ofport == 3


@pytest.mark.parametrize(
    "bad",
    [
        PortSpec("pb", tag=5000),
        PortSpec("pb", ofport=70000),
        PortSpec("pb", external_ids={"a": 1}),  # type: ignore[dict-item]
    ],
)
def test_a_value_that_cannot_be_stored_is_an_error_without_effect(
    ovsdb: Ovsdb, ovs: PrivateOvs, bad: PortSpec
) -> None:
    ensure(ovsdb)
    with pytest.raises(BackendError, match=r"constraint violation|syntax error"):
        ovsdb.ensure_ports(BRIDGE, [PortSpec("pa", type="patch"), bad])
    assert [port.name for port in ovsdb.ports(BRIDGE)] == [BRIDGE]
    assert ovs.vsctl("list-ports", BRIDGE) == ""


def test_a_bad_value_for_an_existing_port_is_an_error_without_effect(ovsdb: Ovsdb) -> None:
    ensure(ovsdb)
    ovsdb.ensure_ports(BRIDGE, [PortSpec("pa", type="patch", tag=4)])
    for bad in (
        PortSpec("pa", type="patch", tag=5000),
        PortSpec("pa", type="patch", tag=4, external_ids={"a": 1}),  # type: ignore[dict-item]
    ):
        with pytest.raises(BackendError, match="constraint violation"):
            ovsdb.ensure_ports(BRIDGE, [bad])
    row = ovsdb.port("pa")
    assert row is not None
    assert (row.tag, row.external_ids) == (4, {})


def test_a_refusal_of_the_server_is_an_error_with_its_words(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ensure(ovsdb)
    with pytest.raises(BackendError, match=r"5000 is not in.*constraint violation"):
        ovsdb.ensure_ports(BRIDGE, [PortSpec("pa", type="patch"), PortSpec("pb", tag=5000)])
    assert ovsdb.port("pa") is None


def test_two_writers_do_not_disturb_each_other(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ensure(ovsdb)
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(8):
                name = f"p{number}-{turn}"
                ovsdb.ensure_ports(BRIDGE, [PortSpec(name, type="patch", options={"peer": "x"})])
                assert ovsdb.port(name) is not None
                ovsdb.set_external_ids({name: {"k": str(turn)}})
                row = ovsdb.port(name)
                assert row is not None
                assert row.external_ids == {"k": str(turn)}
                ovsdb.delete_ports(BRIDGE, [name])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        # A reader never meets half a transaction.
        for port in ovsdb.ports(BRIDGE):
            assert port.bridge == BRIDGE
            assert port.type in ("patch", "internal")
    for thread in threads:
        thread.join()
    assert errors == []
    assert [port.name for port in ovsdb.ports(BRIDGE)] == [BRIDGE]


def test_a_callback_may_read_and_write(ovsdb: Ovsdb) -> None:
    done = threading.Event()

    def callback(kind: str, name: str) -> None:
        if (kind, name) == ("bridge", BRIDGE) and ovsdb.port("pa") is None:
            ovsdb.ensure_ports(BRIDGE, [PortSpec("pa", type="patch")])
            done.set()

    ovsdb.subscribe(callback)
    ensure(ovsdb)
    assert done.wait(PATIENCE)
    assert ovsdb.port("pa") is not None


def test_columns_that_a_server_lacks_are_done_without(
    ovs: PrivateOvs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vifd.drivers import ovsdb_idl

    fetch = ovsdb_idl._fetch_schema

    def older(remote: str) -> dict[str, object]:
        schema: dict[str, Any] = json.loads(json.dumps(fetch(remote)))
        for column in ("mtu_request", "ifindex", "error"):
            del schema["tables"]["Interface"]["columns"][column]
        for column in ("datapath_types", "dpdk_initialized"):
            del schema["tables"]["Open_vSwitch"]["columns"][column]
        return schema

    monkeypatch.setattr(ovsdb_idl, "_fetch_schema", older)
    with contextlib.closing(Ovsdb(ovs.db)) as driver:
        until(driver.connected, "connected")
        ensure(driver)
        row = driver.wait_ports([BRIDGE], PATIENCE)[BRIDGE]
        assert (row.ifindex, row.error, row.ofport) == (None, "", 65534)
        assert driver.facts()["datapath_types"] == []
        with pytest.raises(BackendError, match="no column mtu_request"):
            driver.ensure_ports(BRIDGE, [PortSpec("pa", type="patch", mtu=1400)])
        assert driver.port("pa") is None


def test_two_drivers_in_one_process(ovs: PrivateOvs, ovsdb: Ovsdb) -> None:
    with contextlib.closing(Ovsdb(ovs.db)) as other:
        until(other.connected, "connected")
        ensure(ovsdb)
        until(lambda: other.bridge(BRIDGE), "the other sees it")
    assert ovsdb.connected()
    ovsdb.delete_bridge(BRIDGE)


def test_descriptors_beyond_what_select_takes(ovs: PrivateOvs) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        with contextlib.closing(Ovsdb(ovs.db)) as driver:
            until(driver.connected, "connected")
            assert ensure(driver)
            driver.delete_bridge(BRIDGE)
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
