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


def test_a_port_that_went_is_no_member() -> None:
    """Nobody is told that it left a group which no rule names; one that names it comes later."""
    ports = {
        "p": Entry(attachment(1, security_groups=[KEY.id]), Wiring("ovs", "ovs", "tap1"), True)
    }
    membership = Membership(Host(FakeMachine().drivers, lambda: ports, sets=MemorySets()))
    assert ipv4(1) in membership.addresses(KEY)
    ports.clear()
    assert membership.update(()) == {KEY}
    assert not membership.addresses(KEY)
