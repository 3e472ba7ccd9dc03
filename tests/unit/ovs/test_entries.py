"""Flows with changes beside them are what a dictionary would be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vifd.openflow import action as act
from vifd.openflow.flow import Flow, flow
from vifd_ovs.bridge.entries import Changed, Entries, changed


def made(number: int, out: int) -> Flow:
    return flow(182, 10, 7, [act.output(out)], in_port=number)


STEPS = st.lists(
    st.tuples(st.sets(st.integers(1, 12), max_size=4),
              st.dictionaries(st.integers(1, 12), st.integers(1, 3), max_size=4)),
    max_size=12,
)  # fmt: skip


@given(st.dictionaries(st.integers(1, 12), st.integers(1, 3)), STEPS)
def test_it_is_what_a_dictionary_would_be(
    start: dict[int, int], steps: list[tuple[set[int], dict[int, int]]]
) -> None:
    found: Entries = {f.key: f for f in (made(n, out) for n, out in start.items())}
    model = dict(found)
    for gone, came in steps:
        before, kept = found, dict(found)
        removed = [made(n, 1) for n in gone if n not in came]
        added = [made(n, out) for n, out in came.items()]
        found = changed(found, removed, added)
        for f in removed:
            model.pop(f.key, None)
        model.update((f.key, f) for f in added)
        assert dict(found) == model
        assert found == model
        assert len(found) == len(model)
        assert {key: found.get(key) for key in kept} == {key: model.get(key) for key in kept}
        assert dict(before) == kept


def test_many_changes_are_worked_in() -> None:
    found: Entries = {f.key: f for f in (made(n, 1) for n in range(1, 50))}
    kinds = set()
    for n in range(100, 900):
        found = changed(found, [], [made(n, 1)])
        kinds.add(isinstance(found, Changed))
    assert kinds == {True, False}
    assert len(found) == len({*found}) == 849
