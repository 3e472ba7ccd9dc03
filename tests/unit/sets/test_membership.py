"""Who is in a set, told change by change, is what a look at the whole set says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vifd.model import Wiring
from vifd.model.sets import Member, SecurityGroup, SetKey, SetKind
from vifd.plugin import Entry, Host
from vifd.plugin.membership import Membership
from vifd.testing.attachments import attachment, ipv4
from vifd.testing.machines import FakeMachine
from vifd.testing.sets import MemorySets

KEY = SetKey(SetKind.SECURITY_GROUP, "11111111-0000-4000-8000-000000000001")
MEMBERS = st.lists(
    st.builds(
        Member,
        ip_address=st.sampled_from([f"10.0.0.{n}" for n in range(1, 7)]),
        mac_address=st.sampled_from([None, "fa:16:3e:00:00:01"]),
    ),
    max_size=6, unique=True,
)  # fmt: skip


def group(members: list[Member]) -> SecurityGroup:
    return SecurityGroup(id=KEY.id, members=tuple(members))


@given(st.lists(st.tuples(MEMBERS, st.booleans()), min_size=1, max_size=8))
def test_told_or_looked_at_it_is_the_same(steps: list[tuple[list[Member], bool]]) -> None:
    """A change that is not told in time is made up for by the next look."""
    sets = MemorySets()
    told = Membership(Host(FakeMachine().drivers, dict, sets=sets))
    sets.change(KEY, group([]))
    for members, tell in steps:
        version, before = told.version(KEY), set(told.addresses(KEY))
        change = sets.change(KEY, group(members))
        if tell:
            told.told([change])
        now = {m.ip_address for m in members}
        assert set(told.addresses(KEY)) == now
        since = told.since(KEY, version)
        assert since is not None
        for delta in since:
            before = before - {*delta.removed} | {*delta.added}
        assert before == now


def entry(number: int) -> Entry:
    port = attachment(number, security_groups=[KEY.id])
    return Entry(port, Wiring("ovs", "ovs", f"tap{number}"), True)


def test_who_came_and_who_went_untold() -> None:
    """Nobody is told of a port of another plugin that joined a group which no rule names, or of one
    that left it; a rule that names it comes later."""
    ports = {"p": entry(1)}
    membership = Membership(Host(FakeMachine().drivers, lambda: {**ports}, sets=MemorySets()))
    assert {*membership.addresses(KEY)} >= {ipv4(1)}
    ports["q"] = entry(2)
    assert membership.update(()) == {KEY}
    assert {*membership.addresses(KEY)} >= {ipv4(1), ipv4(2)}
    ports["q"] = entry(3)
    del ports["p"]
    assert membership.update(()) == {KEY}
    assert {*membership.addresses(KEY)} & {ipv4(1), ipv4(2), ipv4(3)} == {ipv4(3)}
    assert not membership.update(())
