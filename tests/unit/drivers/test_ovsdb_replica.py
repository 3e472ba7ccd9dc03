"""The replica's indices, whatever the order in which changes come."""

import threading
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vifd.drivers import FlowTable, Mirror, Policing, Qos, Queue
from vifd.drivers.aside import Change
from vifd.drivers.ovsdb_replica import Replica
from vifd.testing.wait import PATIENCE

ROOT, BRIDGE, PORT, INTERFACE, OTHER = (UUID(int=n) for n in range(1, 6))

FULL: list[Change] = [
    ("Open_vSwitch", ROOT, {"bridges": frozenset({BRIDGE}), "ovs_version": "3"}),
    ("Bridge", BRIDGE, {"name": "br", "ports": frozenset({PORT}), "fail_mode": None}),
    ("Port", PORT, {"name": "p", "interfaces": frozenset({INTERFACE}), "tag": 4}),
    ("Interface", INTERFACE, {"name": "p", "ofport": 1, "external_ids": {"a": "b"}}),
]


def filled() -> Replica:
    replica = Replica()
    replica.apply(FULL, anew=True)
    return replica


@given(st.permutations(FULL))
def test_the_order_of_changes_does_not_matter(changes: list[Change]) -> None:
    replica = Replica()
    assert replica.apply(changes) == {("bridge", "br"), ("port", "p")}
    row = replica.port("p")
    assert row is not None
    assert (row.bridge, row.tag, row.ofport, row.external_ids) == ("br", 4, 1, {"a": "b"})
    assert replica.ports("br") == [row]
    bridge = replica.bridge("br")
    assert bridge is not None
    assert bridge.fail_mode == ""


@given(st.permutations([(table, uuid, None) for table, uuid, _ in FULL]))
def test_removal_in_any_order_leaves_nothing(changes: list[Change]) -> None:
    replica = filled()
    assert ("bridge", "br") in replica.apply(changes)
    assert (replica.port("p"), replica.bridge("br"), replica.ports("br")) == (None, None, [])
    assert replica.root() == {}
    assert (replica.owner(PORT), replica.owner(INTERFACE)) == (None, None)


@given(st.booleans())
def test_a_port_replaced_by_one_of_its_name_is_the_new_one(new_first: bool) -> None:
    replica = filled()
    gone: list[Change] = [("Port", PORT, None)]
    come: list[Change] = [("Port", OTHER, {"name": "p", "interfaces": frozenset({INTERFACE})})]
    bridge: list[Change] = [("Bridge", BRIDGE, {"ports": frozenset({OTHER})})]
    replica.apply((come + gone if new_first else gone + come) + bridge)
    assert replica.uuid("Port", "p") == OTHER
    row = replica.port("p")
    assert row is not None
    assert row.ofport == 1
    assert replica.owner(OTHER) == BRIDGE
    assert replica.owner(INTERFACE) == OTHER


def test_a_change_concerns_the_port_of_the_interface() -> None:
    replica = filled()
    assert replica.apply([("Interface", INTERFACE, {"ofport": 9})]) == {("port", "p")}
    assert replica.apply([("Interface", OTHER, {"name": "stray"})]) == set()


def test_anew_forgets_what_was_there() -> None:
    replica = filled()
    replica.apply([("Bridge", OTHER, {"name": "b2", "ports": frozenset()})], anew=True)
    assert (replica.bridge("br"), replica.port("p")) == (None, None)
    assert replica.bridge("b2") is not None


def test_values_that_were_handed_out_never_change() -> None:
    replica = filled()
    row = replica.port("p")
    replica.apply([("Interface", INTERFACE, {"external_ids": {"a": "c"}})])
    assert row is not None
    assert row.external_ids == {"a": "b"}


def test_a_waiter_wakes_on_the_change_and_not_before() -> None:
    replica = filled()
    looks: list[Any] = []
    looked = threading.Event()

    def look() -> bool | None:
        row = replica.port("p")
        looks.append(row.ofport if row else None)
        looked.set()
        return True if looks[-1] == 9 else None

    def change() -> None:
        looked.wait(PATIENCE)
        replica.apply([("Interface", INTERFACE, {"ofport": 9})])

    thread = threading.Thread(target=change)
    thread.start()
    assert replica.wait(look, PATIENCE) is True
    thread.join()
    assert looks == [1, 9]


def test_a_waiter_gives_up_in_time() -> None:
    assert filled().wait(lambda: None, 0.0) is None


QOS, QUEUE, MIRROR, BOUND = (UUID(int=n) for n in range(11, 15))
BESIDE: list[Change] = [
    ("Open_vSwitch", ROOT, {"bridges": frozenset({BRIDGE})}),
    ("Bridge", BRIDGE, {"name": "br", "ports": frozenset({PORT}), "mirrors": frozenset({MIRROR}),
                        "flow_tables": {0: BOUND}}),
    ("Port", PORT, {"name": "p", "interfaces": frozenset({INTERFACE}), "qos": QOS}),
    ("Interface", INTERFACE, {"name": "p", "ingress_policing_rate": 8}),
    ("QoS", QOS, {"type": "linux-htb", "queues": {1: QUEUE}}),
    ("Queue", QUEUE, {"other_config": {"max-rate": "7"}}),
    ("Mirror", MIRROR, {"name": "m", "select_all": True, "output_port": PORT}),
    ("Flow_Table", BOUND, {"flow_limit": 3}),
]  # fmt: skip


@given(st.permutations(BESIDE), st.booleans())
def test_what_stands_beside_a_port_is_found_in_any_order(
    changes: list[Change], looked: bool
) -> None:
    replica = Replica()
    for change in changes:
        replica.apply([change])
        if looked:  # what was handed out before is not handed out again
            assert replica.port("p") is None or replica.bridge("br") is not None
    port, bridge = replica.port("p"), replica.bridge("br")
    assert port is not None
    assert bridge is not None
    assert port.policing == Policing(rate=8)
    assert port.qos == Qos(QOS, "linux-htb", queues={1: Queue({"max-rate": "7"})})
    assert bridge.mirrors == (Mirror("m", all=True, output="p"),)
    assert bridge.flow_tables == {0: FlowTable(3)}


def test_a_change_beside_a_port_concerns_it() -> None:
    replica = Replica()
    replica.apply(BESIDE)
    assert replica.apply([("Queue", QUEUE, {"dscp": 1})]) == {("port", "p")}
    assert replica.apply([("QoS", QOS, {"type": "linux-noop"})]) == {("port", "p")}
    assert replica.apply([("Mirror", MIRROR, {"select_all": False})]) == {("bridge", "br")}
    assert replica.apply([("Flow_Table", BOUND, {"flow_limit": 4})]) == {("bridge", "br")}
    assert replica.apply([("QoS", OTHER, {"type": "linux-htb"})]) == set()


def test_a_member_that_is_limited_limits_its_bond() -> None:
    replica = Replica()
    replica.apply([
        ("Bridge", BRIDGE, {"name": "br", "ports": frozenset({PORT})}),
        ("Port", PORT, {"name": "bond", "interfaces": frozenset({INTERFACE, OTHER})}),
        ("Interface", INTERFACE, {"name": "a"}),
        ("Interface", OTHER, {"name": "b", "ingress_policing_kpkts_rate": 2}),
    ])  # fmt: skip
    row = replica.port("bond")
    assert row is not None
    assert row.policing == Policing(packets=2)


def test_what_a_spanning_tree_lets_pass_and_no_count_of_seconds() -> None:
    replica = Replica()
    replica.apply(BESIDE)
    blocked = {"stp_state": "listening", "stp_sec_in_state": "1"}
    assert replica.apply([("Port", PORT, {"status": blocked})]) == {("port", "p")}
    later = {**blocked, "stp_sec_in_state": "6"}
    assert replica.apply([("Port", PORT, {"status": later})]) == set()
    row = replica.port("p")
    assert row is not None
    assert row.tree_state == "listening"
    replica.apply([("Port", PORT, {"status": {**later, "stp_state": "forwarding"}})])
    row = replica.port("p")
    assert row is not None
    assert row.tree_state == ""
    replica.apply([("Port", PORT, {"rstp_status": {"rstp_port_state": "Discarding"}})])
    row = replica.port("p")
    assert row is not None
    assert row.tree_state == "Discarding"
