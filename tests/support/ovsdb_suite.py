"""What the driver of the switch's database must do: one suite for the real one and the fake.

Subclass in a test module and supply the fixtures that are named in the class.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from vifd.drivers import Ovsdb, PortSpec
from vifd.errors import BackendError, BridgeMissing, NameClash
from vifd.testing.wait import PATIENCE, until

BRIDGE = "br-int"

Taps = Callable[..., object]


def ensure(ovsdb: Ovsdb, name: str = BRIDGE, protocols: tuple[str, ...] = ("OpenFlow14",)) -> bool:
    """Make the bridge of the tests."""
    return ovsdb.ensure_bridge(
        name,
        datapath_type="netdev",
        fail_mode="secure",
        protocols=protocols,
        external_ids={"vifd-bridge": "yes"},
    )


def _fails(ovsdb: Ovsdb, mode: str) -> bool:
    bridge = ovsdb.bridge(BRIDGE)
    return bridge is not None and bridge.fail_mode == mode


class OvsdbContract:
    """Fixtures: ``ovsdb`` on an empty database, and ``taps(*numbers)``, which makes devices."""

    def test_the_facts_are_known(self, ovsdb: Ovsdb) -> None:
        until(lambda: ovsdb.facts().get("datapath_types"), "the switch has said what it is")
        facts = ovsdb.facts()
        assert facts["ovs_version"][0].isdigit()
        assert "netdev" in facts["datapath_types"]
        assert "patch" in facts["iface_types"]
        assert facts["dpdk_initialized"] is False
        assert facts["system_id"]

    def test_a_bridge_is_made_with_its_local_port(self, ovsdb: Ovsdb) -> None:
        assert ovsdb.bridge(BRIDGE) is None
        assert ensure(ovsdb)
        bridge = ovsdb.bridge(BRIDGE)
        assert bridge is not None
        assert (bridge.datapath_type, bridge.fail_mode) == ("netdev", "secure")
        assert bridge.protocols == ("OpenFlow14",)
        assert bridge.external_ids == {"vifd-bridge": "yes"}
        assert [row.name for row in ovsdb.ports(BRIDGE)] == [BRIDGE]
        assert ovsdb.wait_ports([BRIDGE], PATIENCE)[BRIDGE].ofport == 65534

    def test_an_existing_bridge_is_left_but_for_missing_protocols(self, ovsdb: Ovsdb) -> None:
        ensure(ovsdb)
        again = ovsdb.ensure_bridge(
            BRIDGE,
            datapath_type="system",
            fail_mode="standalone",
            protocols=["OpenFlow15"],
            external_ids={"other": "x"},
        )
        bridge = ovsdb.bridge(BRIDGE)
        assert not again
        assert bridge is not None
        assert (bridge.datapath_type, bridge.fail_mode) == ("netdev", "secure")
        assert bridge.protocols == ("OpenFlow14", "OpenFlow15")
        assert bridge.external_ids == {"vifd-bridge": "yes"}

    def test_naming_a_protocol_keeps_those_that_no_name_means(self, ovsdb: Ovsdb) -> None:
        ensure(ovsdb, protocols=())
        ensure(ovsdb, protocols=("OpenFlow14",))
        bridge = ovsdb.bridge(BRIDGE)
        assert bridge is not None
        assert {"OpenFlow10", "OpenFlow13", "OpenFlow14"} <= set(bridge.protocols)

    def test_a_bridge_of_ours_gets_its_fail_mode_back(self, ovsdb: Ovsdb) -> None:
        """Seen here from the other side: the one that it was made with is what somebody set."""
        ensure(ovsdb)
        made = {"datapath_type": "netdev", "protocols": ["OpenFlow14"]}
        for ids, mode in (({"other": "x"}, "secure"), ({"vifd-bridge": "yes"}, "standalone")):
            ovsdb.ensure_bridge(BRIDGE, fail_mode="standalone", external_ids=ids, **made)  # type: ignore[arg-type]
            bridge = ovsdb.bridge(BRIDGE)
            assert bridge is not None
            assert bridge.fail_mode == mode

    def test_a_bridge_is_removed_with_its_ports(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1)
        ensure(ovsdb)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1")])
        ovsdb.delete_bridge(BRIDGE)
        ovsdb.delete_bridge(BRIDGE)
        ovsdb.set_fail_mode(BRIDGE, "secure")

    def test_a_bridge_of_others_can_be_closed(self, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge(
            BRIDGE, datapath_type="netdev", fail_mode="standalone", protocols=(), external_ids={}
        )
        for mode in ("secure", "secure", "standalone"):
            ovsdb.set_fail_mode(BRIDGE, mode)
            until(partial(_fails, ovsdb, mode), f"the bridge is {mode}")

    def test_a_port_gets_what_was_asked_for(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1)
        ensure(ovsdb)
        spec = PortSpec("tap1", ofport=77, tag=5, external_ids={"iface-id": "p", "vifd-port": "p"})
        ovsdb.ensure_ports(BRIDGE, [spec])
        row = ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"]
        assert (row.name, row.bridge, row.ofport, row.ofport_request) == ("tap1", BRIDGE, 77, 77)
        assert (row.tag, row.error, row.type) == (5, "", "")
        assert row.external_ids == {"iface-id": "p", "vifd-port": "p"}
        assert row.ifindex is not None
        assert row.ifindex > 0
        assert ovsdb.port("tap1") == row
        assert [port.name for port in ovsdb.ports(BRIDGE)] == [BRIDGE, "tap1"]

    def test_many_ports_go_in_one_transaction(self, ovsdb: Ovsdb, taps: Taps) -> None:
        numbers = range(1, 101)
        taps(*numbers)
        ensure(ovsdb)
        ovsdb.ensure_ports(BRIDGE, [PortSpec(f"tap{n}", ofport=1000 + n) for n in numbers])
        rows = ovsdb.wait_ports([f"tap{n}" for n in numbers], PATIENCE)
        assert {row.ofport for row in rows.values()} == {1000 + n for n in numbers}
        assert len(ovsdb.ports(BRIDGE)) == 101
        ovsdb.delete_ports(BRIDGE, list(rows))
        assert [port.name for port in ovsdb.ports(BRIDGE)] == [BRIDGE]

    def test_a_number_that_is_taken_is_replaced_by_another(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1, 2)
        ensure(ovsdb)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", ofport=9)])
        ovsdb.wait_ports(["tap1"], PATIENCE)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap2", ofport=9)])
        row = ovsdb.wait_ports(["tap2"], PATIENCE)["tap2"]
        assert row.ofport_request == 9
        assert row.ofport is not None
        assert row.ofport > 0
        assert row.ofport != 9

    def test_a_missing_device_is_an_error_in_the_row(self, ovsdb: Ovsdb) -> None:
        ensure(ovsdb)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("nosuch", ofport=9)])
        row = ovsdb.wait_ports(["nosuch"], PATIENCE)["nosuch"]
        assert row.ofport == -1
        assert "nosuch" in row.error

    def test_a_device_that_comes_later_is_taken_then(self, ovsdb: Ovsdb, taps: Taps) -> None:
        ensure(ovsdb)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", ofport=9)])
        assert ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"].ofport == -1
        taps(1)

        def taken() -> bool:
            row = ovsdb.port("tap1")
            return row is not None and (row.ofport, row.error) == (9, "")

        until(taken, "the switch takes the device", PATIENCE)

    def test_a_patch_port_needs_no_device(self, ovsdb: Ovsdb) -> None:
        ensure(ovsdb)
        ensure(ovsdb, "br-ex")
        ends = (BRIDGE, "pa", "pb"), ("br-ex", "pb", "pa")
        for bridge, name, peer in ends:
            spec = PortSpec(name, type="patch", options={"peer": peer}, external_ids={"a": "b"})
            ovsdb.ensure_ports(bridge, [spec])
        rows = ovsdb.wait_ports(["pa", "pb"], PATIENCE)
        assert {row.bridge for row in rows.values()} == {BRIDGE, "br-ex"}
        assert rows["pa"].options == {"peer": "pb"}
        assert (rows["pa"].ofport or 0) > 0

    def test_an_existing_port_is_brought_to_what_is_wanted(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1)
        ensure(ovsdb)
        ids = {"iface-id": "p", "keep": "me"}
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", ofport=9, tag=5, external_ids=ids)])
        ovsdb.wait_ports(["tap1"], PATIENCE)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", ofport=9, external_ids={"iface-id": "q"})])
        row = ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"]
        assert (row.ofport, row.tag) == (9, None)
        assert row.external_ids == {"iface-id": "q", "keep": "me"}

    def test_the_same_again_changes_nothing(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1)
        ensure(ovsdb)
        spec = PortSpec("tap1", ofport=9, tag=5, external_ids={"iface-id": "p"})
        ovsdb.ensure_ports(BRIDGE, [spec])
        before = ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"]
        ovsdb.ensure_ports(BRIDGE, [spec])
        after = ovsdb.wait_ports(["tap1"], PATIENCE)["tap1"]
        assert (after.ofport, after.tag, after.external_ids) == (9, 5, before.external_ids)

    def test_a_port_of_another_bridge_is_refused(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1, 2)
        ensure(ovsdb)
        ensure(ovsdb, "br-ex")
        ovsdb.ensure_ports("br-ex", [PortSpec("tap1")])
        with pytest.raises(NameClash) as caught:
            ovsdb.ensure_ports(BRIDGE, [PortSpec("tap2"), PortSpec("tap1")])
        assert caught.value.facts["name"] == "tap1"
        assert caught.value.facts["bridge"] == "br-ex"
        assert [port.name for port in ovsdb.ports(BRIDGE)] == [BRIDGE]

    def test_ports_of_a_missing_bridge_are_refused(self, ovsdb: Ovsdb) -> None:
        with pytest.raises(BridgeMissing):
            ovsdb.ensure_ports("nosuch", [PortSpec("tap1")])
        ovsdb.delete_ports("nosuch", ["tap1"])

    def test_a_name_twice_in_a_batch_is_refused(self, ovsdb: Ovsdb) -> None:
        ensure(ovsdb)
        with pytest.raises(ValueError, match="twice"):
            ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1"), PortSpec("tap1")])

    def test_delete_is_for_the_named_bridge_and_may_be_repeated(
        self, ovsdb: Ovsdb, taps: Taps
    ) -> None:
        taps(1, 2)
        ensure(ovsdb)
        ensure(ovsdb, "br-ex")
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1")])
        ovsdb.ensure_ports("br-ex", [PortSpec("tap2")])
        for _ in range(2):
            ovsdb.delete_ports(BRIDGE, ["tap1", "tap2", "nosuch"])
        assert ovsdb.port("tap1") is None
        assert ovsdb.port("tap2") is not None

    def test_external_ids_are_set_and_removed_by_key(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1, 2)
        ensure(ovsdb)
        specs = [PortSpec(f"tap{n}", external_ids={"a": "1", "b": "2"}) for n in (1, 2)]
        ovsdb.ensure_ports(BRIDGE, specs)
        ovsdb.set_external_ids({"tap1": {"a": None, "b": "3", "c": "4"}, "tap2": {"d": None}})
        rows = {port.name: port.external_ids for port in ovsdb.ports(BRIDGE)}
        assert rows["tap1"] == {"b": "3", "c": "4"}
        assert rows["tap2"] == {"a": "1", "b": "2"}

    def test_external_ids_of_a_missing_port_are_refused_without_effect(
        self,
        ovsdb: Ovsdb,
        taps: Taps,
    ) -> None:
        taps(1)
        ensure(ovsdb)
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1")])
        with pytest.raises(BackendError, match="nosuch"):
            ovsdb.set_external_ids({"tap1": {"a": "1"}, "nosuch": {"a": "1"}})
        port = ovsdb.port("tap1")
        assert port is not None
        assert port.external_ids == {}

    def test_waiting_for_a_port_that_does_not_exist_fails_at_once(self, ovsdb: Ovsdb) -> None:
        with pytest.raises(BackendError, match="nosuch"):
            ovsdb.wait_ports(["nosuch"], 3600.0)

    def test_changes_are_announced(self, ovsdb: Ovsdb, taps: Taps) -> None:
        taps(1)
        heard: list[tuple[str, str]] = []
        ovsdb.subscribe(lambda kind, name: heard.append((kind, name)))
        ensure(ovsdb)
        until(lambda: ("bridge", BRIDGE) in heard, "the bridge is announced")
        ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1")])
        until(lambda: ("port", "tap1") in heard, "the port is announced")
        ovsdb.wait_ports(["tap1"], PATIENCE)
        heard.clear()
        ovsdb.delete_ports(BRIDGE, ["tap1"])
        until(lambda: ("port", "tap1") in heard, "its removal is announced")
