"""The replica's indices, whatever the order in which changes come."""

import threading
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vifd.drivers.ovsdb_replica import Change, Replica
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
