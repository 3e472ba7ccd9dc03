"""What follows from the times of a migration."""

from __future__ import annotations

import pytest

from vifd.migration.timeline import STEPS, Migration, Moment, overrun, spans


def migration(*steps: float, guest: tuple[Moment, ...] = ()) -> Migration:
    made = tuple(Moment(step, at) for step, at in zip(STEPS, steps, strict=False))
    return Migration(1, "port", "instance", "api", (Moment("api", 10.0),), made, guest)


def test_the_spans_join_the_steps() -> None:
    found = list(spans(migration(10.0, 10.5, 11.0, 11.25, 12.0)))
    assert [s.step for s in found] == list(STEPS[1:])
    assert [s.seconds for s in found] == [0.5, 0.5, 0.25, 0.75]


def test_one_that_was_not_announced_is_measured_to_its_opening() -> None:
    one = migration(10.0, 10.5, 11.0)
    assert one.opening == 1.0
    assert not one.ended


@pytest.mark.parametrize(
    ("arrived", "added"), [(None, None), (10.9, 0.1), (11.5, 0.0)],
    ids=["nobody said", "before the port", "after the port"],
)  # fmt: skip
def test_what_is_added_is_known_where_the_arrival_is(
    arrived: float | None, added: float | None
) -> None:
    guest = () if arrived is None else (Moment("resumed: migrated", arrived),)
    got = migration(10.0, 10.5, 11.0, 11.25, 12.0, guest=guest).added
    assert got == (None if added is None else pytest.approx(added))


def test_an_overrun_names_the_step_that_took_most_until_it_was_open() -> None:
    one = migration(10.0, 10.5, 11.5, 11.75, 20.0)
    slowest = overrun(one, 0.1)
    assert slowest is not None
    assert slowest.step == "opened"
    assert overrun(one, 2.0) is None
    assert overrun(one, 0.0) is None
