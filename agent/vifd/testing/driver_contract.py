"""What every implementation of a driver must do: one suite for the real ones and the fakes.

Subclass in a test module and supply the fixtures that are named in each class.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vifd.drivers import MARK, Link, Links, Ovsdb, PortSpec, Tap
from vifd.errors import BackendError, BridgeMissing, DeviceError, NameClash
from vifd.testing.wait import PATIENCE, until

BRIDGE = "br-int"

Make = Callable[[str], object]
Taps = Callable[..., object]


def a_tap(number: int = 1, **changes: object) -> Tap:
    """A tap that can be made."""
    settings: dict[str, object] = {
        "name": f"tap{number}",
        "mac": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
        "mtu": 1450,
        "alias": f"{MARK}port-{number}",
    }
    return Tap(**{**settings, **changes})  # type: ignore[arg-type]


def made(outcome: Link | Exception) -> Link:
    """The device; a failure is raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class LinksContract:
    """Fixtures: ``links``, and ``foreign(name)``, which makes a device that is not ours."""

    def test_a_tap_is_what_was_asked_for(self, links: Links) -> None:
        link = made(links.create_taps([a_tap()])["tap1"])
        assert (link.mac, link.mtu, link.alias) == ("fa:16:3e:00:00:01", 1450, "vifd:port-1")
        assert (link.up, link.kind, link.multi_queue, link.ipv6) == (True, "tun", False, False)
        assert (link.owner, link.group) == (None, None)
        assert links.get(["tap1"]) == {"tap1": link}

    @pytest.mark.parametrize("multi_queue", [False, True])
    def test_the_queue_flag_is_set_and_shown(self, links: Links, multi_queue: bool) -> None:
        tap = a_tap(multi_queue=multi_queue)
        assert made(links.create_taps([tap])["tap1"]).multi_queue is multi_queue

    def test_owner_and_group_are_set_and_shown(self, links: Links) -> None:
        link = made(links.create_taps([a_tap(owner=0, group=0)])["tap1"])
        assert (link.owner, link.group) == (0, 0)

    def test_capital_letters_in_a_mac_do_not_matter(self, links: Links) -> None:
        link = made(links.create_taps([a_tap(mac="FA:16:3E:00:00:0A")])["tap1"])
        assert link.mac == "fa:16:3e:00:00:0a"

    def test_making_it_again_leaves_the_same_device(self, links: Links) -> None:
        first = links.create_taps([a_tap()])
        assert links.create_taps([a_tap()]) == first

    def test_one_of_ours_is_brought_to_the_wanted_state(self, links: Links) -> None:
        first = made(links.create_taps([a_tap()])["tap1"])
        links.set("tap1", up=False)
        link = made(links.create_taps([a_tap(mtu=1400, mac="fa:16:3e:00:00:99")])["tap1"])
        assert (link.mtu, link.mac, link.up) == (1400, "fa:16:3e:00:00:99", True)
        assert link.ifindex == first.ifindex

    def test_another_queue_flag_on_one_of_ours_is_an_error(self, links: Links) -> None:
        links.create_taps([a_tap()])
        error = links.create_taps([a_tap(multi_queue=True)])["tap1"]
        assert isinstance(error, DeviceError)
        assert error.facts["field"] == "multi_queue"
        assert links.get(["tap1"])["tap1"].multi_queue is False

    def test_a_foreign_device_is_refused_and_left_alone(self, links: Links, foreign: Make) -> None:
        foreign("tap1")
        before = links.get(["tap1"])
        error = links.create_taps([a_tap()])["tap1"]
        assert isinstance(error, NameClash)
        assert error.facts["name"] == "tap1"
        assert error.facts["have_alias"] == ""
        assert links.get(["tap1"]) == before

    def test_the_tap_of_another_port_is_refused(self, links: Links) -> None:
        links.create_taps([a_tap()])
        error = links.create_taps([a_tap(alias=f"{MARK}other")])["tap1"]
        assert isinstance(error, NameClash)
        assert error.facts["have_alias"] == "vifd:port-1"

    def test_a_mark_is_put_back_on_the_very_tap_alone(self, links: Links, foreign: Make) -> None:
        foreign("tap1")
        foreign("tap2")
        first = made(links.create_taps([a_tap(3)])["tap3"])
        before = links.get(["tap1", "tap2", "tap3"])
        other = f"{MARK}other"
        taken = {name: (link.ifindex, other) for name, link in before.items()}
        links.remark({**taken, "tap9": (9, other)})
        assert links.get(["tap1", "tap2", "tap3"]) == before, "no tap, and one of another port"
        assert first.alias == "vifd:port-3"

    @pytest.mark.parametrize(
        "name",
        ["sixteen-letters-", "", ".", "..", "a/b", "a b", "a:b", "tap%d", "é" * 8],
    )
    def test_a_name_that_the_kernel_does_not_take_is_an_error(
        self, links: Links, name: str
    ) -> None:
        before = links.marked("")
        assert isinstance(links.create_taps([a_tap(name=name)])[name], DeviceError)
        assert links.get([name]) == {}
        assert links.marked("") == before

    @pytest.mark.parametrize(
        "bad", [{"mac": "01:00:00:00:00:01"}, {"mac": "nonsense"}, {"mtu": 70000}, {"alias": "x"}]
    )
    def test_one_failure_in_the_middle_of_a_batch_leaves_the_others(
        self, links: Links, bad: dict[str, object]
    ) -> None:
        taps = [a_tap(number) for number in range(1, 101)]
        taps[49] = a_tap(50, **bad)
        outcome = links.create_taps(taps)
        failed = [name for name, result in outcome.items() if isinstance(result, Exception)]
        assert failed == ["tap50"]
        assert isinstance(outcome["tap50"], DeviceError)
        assert len(links.marked(MARK)) == 99
        assert "tap50" not in links.get([tap.name for tap in taps])

    def test_a_name_twice_in_a_batch_is_refused_without_effect(self, links: Links) -> None:
        with pytest.raises(ValueError, match="twice"):
            links.create_taps([a_tap(), a_tap()])
        assert links.marked(MARK) == []

    def test_an_empty_batch_is_nothing(self, links: Links) -> None:
        assert links.create_taps([]) == {}
        assert links.get([]) == {}
        links.delete([])

    def test_get_knows_only_what_exists(self, links: Links) -> None:
        links.create_taps([a_tap(1), a_tap(2)])
        assert sorted(links.get(["tap1", "nosuch", "tap2"])) == ["tap1", "tap2"]

    def test_marked_lists_by_the_beginning_of_the_alias(self, links: Links, foreign: Make) -> None:
        foreign("other0")
        links.create_taps([a_tap(1), a_tap(2)])
        assert sorted(link.name for link in links.marked(MARK)) == ["tap1", "tap2"]
        assert [link.name for link in links.marked("vifd:port-2")] == ["tap2"]
        assert links.marked("port-2") == []

    def test_set_changes_what_is_named_and_reads_it_back(self, links: Links) -> None:
        first = made(links.create_taps([a_tap()])["tap1"])
        assert links.set("tap1", mtu=9000).mtu == 9000
        assert links.set("tap1", up=False).up is False
        link = links.set("tap1", mac="fa:16:3e:00:00:07", up=True)
        assert (link.mac, link.mtu, link.up) == ("fa:16:3e:00:00:07", 9000, True)
        assert link.ifindex == first.ifindex

    def test_set_of_an_absent_device_is_an_error(self, links: Links) -> None:
        with pytest.raises(DeviceError):
            links.set("nosuch", mtu=1400)

    def test_delete_removes_and_may_be_repeated(self, links: Links) -> None:
        links.create_taps([a_tap()])
        links.delete(["tap1"])
        links.delete(["tap1"])
        assert links.get(["tap1"]) == {}

    def test_bulk_delete_leaves_others_untouched(self, links: Links, foreign: Make) -> None:
        foreign("other0")
        taps = [a_tap(number) for number in range(1, 102)]
        links.create_taps(taps)
        before = links.get(["tap101", "other0"])
        links.delete([tap.name for tap in taps[:100]] + ["nosuch"])
        assert [link.name for link in links.marked(MARK)] == ["tap101"]
        assert links.get(["tap101", "other0"]) == before

    def test_delete_refuses_a_foreign_device_and_removes_the_rest(
        self,
        links: Links,
        foreign: Make,
    ) -> None:
        foreign("other0")
        links.create_taps([a_tap(1), a_tap(2)])
        with pytest.raises(NameClash) as caught:
            links.delete(["tap1", "other0", "tap2"])
        assert caught.value.facts["name"] == "other0"
        assert list(links.get(["tap1", "other0", "tap2"])) == ["other0"]

    def test_changes_are_announced(self, links: Links) -> None:
        heard: list[tuple[str, bool]] = []
        links.subscribe(lambda name, exists: heard.append((name, exists)))
        links.create_taps([a_tap()])
        until(lambda: ("tap1", True) in heard, "the tap is announced")
        heard.clear()
        links.set("tap1", mtu=1400)
        until(lambda: ("tap1", True) in heard, "the change is announced")
        links.delete(["tap1"])
        until(lambda: ("tap1", False) in heard, "the removal is announced")

    def test_a_failing_subscriber_does_not_silence_the_others(self, links: Links) -> None:
        heard: list[str] = []

        def fails(name: str, exists: bool) -> None:
            heard.append("failed")
            raise RuntimeError(name)

        links.subscribe(fails)
        links.subscribe(lambda name, exists: heard.append(name))
        links.create_taps([a_tap()])
        until(lambda: "tap1" in heard and "failed" in heard, "both were called")


def ensure(ovsdb: Ovsdb, name: str = BRIDGE, protocols: tuple[str, ...] = ("OpenFlow14",)) -> bool:
    """Make the bridge of the tests."""
    return ovsdb.ensure_bridge(
        name,
        datapath_type="netdev",
        fail_mode="secure",
        protocols=protocols,
        external_ids={"vifd-bridge": "yes"},
    )


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
        assert bridge.ports == (BRIDGE,)
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
        assert ovsdb.bridge(BRIDGE) is None
        assert ovsdb.port("tap1") is None
        assert ovsdb.ports(BRIDGE) == []

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
