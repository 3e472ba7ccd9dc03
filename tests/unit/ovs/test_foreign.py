"""Numbers that a bridge's ports hold, whoever made them: as they are now, port by port."""

from __future__ import annotations

import pytest

from vifd.drivers import PortSpec
from vifd.testing.ovsdb import FakeOvsdb
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.foreign import ForeignNumbers

NETWORK, SEGMENT = ("net", "vlan", "physnet1", 7), "vlan/physnet1/7"


@pytest.fixture
def ovsdb() -> FakeOvsdb:
    made = FakeOvsdb()
    made.ensure_bridge(
        "br-int", datapath_type="netdev", fail_mode="secure", protocols=(), external_ids={}
    )
    return made


def put(ovsdb: FakeOvsdb, name: str, tag: int, ofport: int, **ids: str) -> None:
    marked = {key.replace("_", "-"): value for key, value in ids.items()}
    ovsdb.ensure_ports("br-int", [PortSpec(name, ofport=ofport, tag=tag, external_ids=marked)])


def mine(port: str, tag: int) -> dict[str, str]:
    ids = {marks.PORT: port, marks.NETWORK: "net", marks.SEGMENT: SEGMENT, marks.TAG: str(tag)}
    return {key.replace("-", "_"): value for key, value in ids.items()}


def test_numbers_follow_every_change(ovsdb: FakeOvsdb) -> None:
    foreign = ForeignNumbers(ovsdb)
    put(ovsdb, "theirs", 5, 50)
    found = foreign.of("br-int")
    assert (found.tags, found.marked, found.networks) == (frozenset({5}), {}, {})
    assert 50 in found.ofports
    assert foreign.of("br-int") is found, "nothing changed"

    put(ovsdb, "tap1", 3, 51, **mine("one", 3))
    found = foreign.of("br-int")
    assert (found.tags, found.marked, found.networks) == (
        frozenset({5, 3}),
        {"one": "tap1"},
        {NETWORK: 3},
    )

    put(ovsdb, "tap1", 4, 51, **mine("one", 4))
    assert foreign.of("br-int").networks == {NETWORK: 4}

    ovsdb.delete_ports("br-int", ["tap1", "theirs"])
    found = foreign.of("br-int")
    assert (found.tags, found.marked, found.networks) == (frozenset(), {}, {})


def test_a_vlan_that_marks_do_not_agree_on_is_nobodys(ovsdb: FakeOvsdb) -> None:
    foreign = ForeignNumbers(ovsdb)
    put(ovsdb, "tap1", 3, 51, **mine("one", 3))
    put(ovsdb, "tap2", 3, 52, **mine("two", 3))
    assert foreign.of("br-int").networks == {NETWORK: 3}
    put(ovsdb, "tap2", 4, 52, **mine("two", 4))
    assert foreign.of("br-int").networks == {}
