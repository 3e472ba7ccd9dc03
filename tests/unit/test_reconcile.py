"""The host-wide comparison: three set operations, and what is never garbage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vifd.engine.garbage.reconcile import Plan, plan
from vifd.plugin.marked import NETWORK_DEVICE, Key, Marked, Wanted
from vifd_ovs.bridge.kinds import Kind

A, B = "aaaaaaaa-port", "bbbbbbbb-port"


def device(name: str, owner: str = "", identity: str = "", **more) -> Marked:
    return Marked(kind=Kind.DEVICE, name=name, owner=owner, identity=identity, **more)


def compare(desired, observed, **more) -> Plan:
    facts = {"known": (), "settled": (), "guests": {}, **more}
    return plan(desired, observed, **facts)


def key(name: str) -> Key:
    return Key(Kind.DEVICE, "", name)


def test_what_is_as_wanted_is_nobodys_business():
    found = compare(
        {key("tapa"): Wanted(A, "7")}, {"ovs": [device("tapa", A, "7")]}, known={A}, settled={A}
    )
    assert found == Plan()


def test_what_lacks_is_missing_of_ports_that_are_settled_only():
    desired = {key("tapa"): Wanted(A), key("tapb"): Wanted(B)}
    found = compare(desired, {"ovs": []}, known={A, B}, settled={A})
    assert found.missing == {A: (key("tapa"),)}
    assert found.dirty == {A}


def test_what_is_another_one_is_changed():
    desired = {key("tapa"): Wanted(A, "7")}
    for wrong in (device("tapa", A, "8"), device("tapa", B, "7")):
        found = compare(desired, {"ovs": [wrong]}, known={A}, settled={A})
        assert found.changed == {A: (key("tapa"),)}
        assert not found.orphans


def test_shared_objects_that_lack_concern_no_port():
    found = compare({key("brq1"): Wanted()}, {"linuxbridge": []}, known={A}, settled={A})
    assert found == Plan()


def test_objects_of_one_port_are_one_orphan_with_all_that_belongs_to_it():
    row = Marked(kind=Kind.SWITCH_PORT, name="tapa", where="br-int", owner=A)
    found = compare({}, {"ovs": [row, device("tapa", A)]})
    (orphan,) = found.orphans
    assert (orphan.id, orphan.plugin, orphan.port) == (f"ovs/{A}", "ovs", A)
    assert orphan.objects == (row, device("tapa", A))


def test_flows_of_nobody_are_an_orphan_of_their_own():
    flows = Marked(kind=Kind.FLOWS, name="0x7601000000000001", where="br-int")
    (orphan,) = compare({}, {"ovs": [flows], "vhostuser": [flows]}).orphans
    assert orphan.id == "ovs/flows/br-int/0x7601000000000001"
    assert orphan.port == ""


def test_what_bears_the_id_of_a_port_is_a_suspect_and_no_orphan():
    stray = device("tapother", A)
    found = compare({key("tapa"): Wanted(A)}, {"ovs": [stray]}, known={A})
    assert found.suspects == (stray,)
    assert not found.orphans


def test_an_open_device_holds_all_that_belongs_to_its_port():
    row = Marked(kind=Kind.SWITCH_PORT, name="tapa", where="br-int", owner=A)
    chain = Marked(kind="chain", name="tapa", where="vifd", owner=A)
    tap = device("tapa", A, holder="it is open")
    found = compare({}, {"ovs": [row, tap], "linuxbridge": [chain]})
    assert [o.holder for o in found.orphans] == ["device tapa: it is open"] * 2


def test_a_guest_that_uses_the_socket_holds_the_port():
    row = Marked(
        kind=Kind.SWITCH_PORT, name="vhua", where="br-int", owner=A, uses=("vhua", "/run/vhua")
    )
    (orphan,) = compare({}, {"vhostuser": [row]}, guests={"/run/vhua": "guest g uses it"}).orphans
    assert orphan.holder == "switch port vhua on br-int: guest g uses it"


names = st.sampled_from([f"tap{n}" for n in range(6)])
owners = st.sampled_from(["", *(f"port{n}" for n in range(6))])
objects = st.builds(
    lambda name, owner, identity, holder: device(name, owner, identity, holder=holder),
    names, owners, st.sampled_from(["", "1", "2"]), st.sampled_from(["", "", "open"]),
)  # fmt: skip
wanted = st.dictionaries(
    names.map(key), st.builds(Wanted, owners, st.sampled_from(["", "1", "2"])), max_size=5
)


@given(
    desired=wanted,
    observed=st.dictionaries(
        st.sampled_from(["ovs", "linuxbridge"]), st.lists(objects, max_size=6), max_size=2
    ),
    known=st.sets(owners.filter(bool)),
    settled=st.sets(owners.filter(bool)),
    used=st.sets(names, max_size=2),
)
def test_laws(desired, observed, known, settled, used):
    found = compare(
        desired, observed, known=known, settled=settled, guests=dict.fromkeys(used, "guest")
    )
    listed = {m.key for objects_ in observed.values() for m in objects_}
    orphaned = [m for o in found.orphans for m in o.objects]
    for marked in orphaned:
        assert marked.key not in desired, "what a record wants is never an orphan"
        assert marked.owner not in known, "what bears the id of a record is never an orphan"
    assert len({m.key for m in orphaned}) == len(orphaned)
    assert {m.key for m in orphaned} <= listed
    held = {o.port or o.id for o in found.orphans if o.holder}
    for orphan in found.orphans:
        if any(m.holder or m.name in used for m in orphan.objects):
            assert (orphan.port or orphan.id) in held
    assert set(found.missing) | set(found.changed) <= settled
    strays = {m.key for m in orphaned} | {m.key for m in found.suspects}
    assert strays == listed - desired.keys(), "nothing that is listed is overlooked"


def test_a_network_is_held_as_long_as_a_port_that_stands_on_it():
    tap = device("tapa", A, stands_on=("brq1",), holder="its device is open")
    networks = [Marked(kind=NETWORK_DEVICE, name=n, identity="5") for n in ("brq1", "brq2")]
    found = compare({}, {"linuxbridge": [tap, *networks]})
    held = {o.objects[0].name: o.holder for o in found.orphans}
    assert held["tapa"]
    assert held["brq1"] == "device tapa stands on it"
    assert held["brq2"] == ""
