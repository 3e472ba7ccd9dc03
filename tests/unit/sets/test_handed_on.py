"""The forwarding of a network, changed in pieces, is what its pieces are; what a change does not
touch stays the same object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vifd.model.setrecord import SetRecord, name_of, patched
from vifd.model.sets import Behind, Endpoint, Forwarding, Reachable, SetKey, SetKind

KEY = SetKey(SetKind.FORWARDING, "0d1e0000-0000-4000-8000-000000000001")
ports = st.builds(
    lambda mac, ip: Reachable(mac_address=f"fa:16:3e:00:00:0{mac}", ip_addresses=(f"10.0.0.{ip}",)),
    st.integers(1, 4), st.integers(1, 2),
)  # fmt: skip
pieces = st.builds(Behind, st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
                   st.none() | ports)  # fmt: skip
changes = st.lists(
    st.tuples(st.lists(pieces, max_size=3), st.lists(pieces, max_size=3)), max_size=8
)


def meaning(body: object) -> dict[str, set[Reachable]]:
    assert isinstance(body, Forwarding)
    found = {endpoint.address: {*endpoint.ports} for endpoint in body.endpoints}
    assert len(found) == len(body.endpoints)
    assert sum(map(len, found.values())) == sum(len(e.ports) for e in body.endpoints)
    return found


@given(changes)
def test_it_is_what_its_pieces_are(steps: list[tuple[list[Behind], list[Behind]]]) -> None:
    record = SetRecord(KEY, "test")
    for put, drop in steps:
        before = record.body
        assert isinstance(before, Forwarding)
        update = patched(record, {name_of(p): p for p in put}, map(name_of, drop), owner="test")
        assert update.after is not None
        record = update.after
        assert "body" in vars(record), "it is handed on"
        anew = SetRecord(KEY, "test", pieces=record.pieces).body
        assert meaning(record.body) == meaning(anew)
        touched = {p.endpoint for p in (*update.added, *update.removed) if isinstance(p, Behind)}
        kept = {id(e) for e in before.endpoints if e.address not in touched}
        assert isinstance(record.body, Forwarding)
        assert kept <= {id(e) for e in record.body.endpoints}


def test_an_endpoint_that_was_said_stays_when_nobody_is_behind_it() -> None:
    alone, behind = (
        Behind("192.0.2.1"),
        Behind("192.0.2.2", Reachable(mac_address="fa:16:3e:00:00:01")),
    )
    there = {name_of(p): p for p in (alone, Behind("192.0.2.1", behind.port))}
    record = SetRecord(KEY, "test", pieces=there)
    assert [e.address for e in record.body.endpoints] == ["192.0.2.1"]  # type: ignore[union-attr]
    after = patched(record, {name_of(behind): behind}, [], owner="test").after
    assert after is not None
    assert isinstance(after.body, Forwarding)
    assert behind.port is not None
    assert after.body.endpoints == (
        Endpoint(address="192.0.2.1"), Endpoint(address="192.0.2.2", ports=(behind.port,)),
    )  # fmt: skip
