"""The next step of a port: every record has one, and following it always comes to rest."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from unit.docs import document
from vifd.engine.plan import covered, delay, next_step
from vifd.model import Evidence, Phase, PortRecord, Report, Role, Status, Wiring, decode
from vifd.model.lifecycle import Step
from vifd.model.status import not_undone, settled, status_of, untouched, wants_open

WIRING = Wiring("fake", "fake", "tap1")
CLEAN = Report([Evidence("x", 1, wanted=1)])
DOCS = {
    (role, up): decode(document(1, role=role, port__admin_state_up=up))
    for role in ("ACTIVE", "INACTIVE")
    for up in (True, False)
}


def record(role: str = "ACTIVE", up: bool = True, **changes: Any) -> PortRecord:
    base = PortRecord(doc=DOCS[role, up], plugin="fake", vif_type="fake", wiring=WIRING,
                      applied=True, report=CLEAN)  # fmt: skip
    return replace(base, **changes)


PROVEN = (Phase.READY, Phase.LIVE, Phase.QUIESCED)
EVERY = list(itertools.product(Phase, ("ACTIVE", "INACTIVE"), (True, False), (True, False),
                               (True, False), (True, False), (True, False)))  # fmt: skip


@pytest.mark.parametrize("phase", Phase)
def test_the_step_of_every_record(phase: Phase) -> None:
    for _, role, up, opened, wired, applied, removing in (e for e in EVERY if e[0] is phase):
        port = record(role, up, phase=phase, open=opened, applied=applied, removing=removing,
                      wiring=WIRING if wired else None)  # fmt: skip
        wanted = role == "ACTIVE" and up
        if removing:
            step = Step.UNPLUG
        elif not wired or not applied or phase not in PROVEN:
            step = Step.PLUG
        elif wanted and not opened:
            step = Step.ACTIVATE
        elif opened and not wanted:
            step = Step.DEACTIVATE
        elif opened != (phase is Phase.LIVE):
            step = Step.PLUG
        else:
            step = Step.CHECK
        assert next_step(port) is step, port


def test_settled_is_proven_and_as_open_as_it_shall_be() -> None:
    for phase, role, up, opened, _, _, removing in EVERY:
        port = record(role, up, phase=phase, open=opened, removing=removing)
        if removing:
            at_rest: tuple[Phase, ...] = ()
        elif role == "ACTIVE" and up:
            at_rest = (Phase.LIVE, Phase.DEGRADED) if opened else ()
        else:
            at_rest = () if opened else (Phase.READY, Phase.QUIESCED)
        assert settled(port) == (phase in at_rest), port


def test_active_is_said_only_of_an_open_and_proven_port() -> None:
    for phase, role, up, opened, *_, removing in EVERY:
        for report in (None, CLEAN):
            port = record(role, up, phase=phase, open=opened, removing=removing, report=report)
            if status_of(port) is Status.ACTIVE:
                assert opened
                assert report is not None
                assert phase in (Phase.LIVE, Phase.DEGRADED)
    assert status_of(record(phase=Phase.LIVE, open=True)) is Status.ACTIVE
    assert status_of(record(phase=Phase.LIVE, open=False)) is Status.BUILD
    assert status_of(record(phase=Phase.FAILED)) is Status.ERROR
    assert status_of(record(phase=Phase.UNPLUGGING, open=True)) is Status.DOWN


def done(port: PortRecord) -> PortRecord | None:
    """What a step that succeeds makes of a record."""
    step = next_step(port)
    if step is Step.UNPLUG:
        return None
    if step is Step.PLUG:
        opened = port.open or wants_open(port)
        phase = Phase.LIVE if opened else Phase.READY
        return replace(port, wiring=WIRING, applied=True, open=opened, phase=phase, report=CLEAN)
    if step is Step.ACTIVATE:
        return replace(port, open=True, phase=Phase.LIVE)
    if step is Step.DEACTIVATE:
        return replace(port, open=False, phase=Phase.QUIESCED)
    return port


PORTS = st.builds(
    record,
    role=st.sampled_from([r.value for r in Role]),
    up=st.booleans(),
    phase=st.sampled_from([p for p in Phase if p is not Phase.UNPLUGGING]),
    open=st.booleans(),
    applied=st.booleans(),
    removing=st.booleans(),
    wiring=st.sampled_from([None, WIRING]),
)


@given(PORTS)
@settings(max_examples=200)
def test_following_the_plan_comes_to_rest_within_three_steps(port: PortRecord) -> None:
    present: PortRecord | None = port
    for _ in range(3):
        if present is None or (settled(present) and next_step(present) is Step.CHECK):
            break
        present = done(present)
    if port.removing:
        assert present is None
    else:
        assert present is not None
        assert settled(present)
        assert present.open == wants_open(present)
        assert next_step(present) is Step.CHECK


@pytest.mark.parametrize(
    ("path", "is_covered"),
    [("role", True), ("network.mtu", True), ("network", False), ("network.segment.id", True),
     ("network.segment.network_type", True), ("network.segmentation", False), ("rolex", False)],
)  # fmt: skip
def test_a_parent_covers_what_is_below_it(path: str, is_covered: bool) -> None:
    assert covered(path, frozenset({"role", "network.mtu", "network.segment"})) is is_covered


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_double_and_are_bounded(attempt: int, jitter: float) -> None:
    pause = delay(attempt, first=1.0, longest=60.0, jitter=jitter)
    assert 1.0 <= pause <= 75.0
    assert delay(attempt + 1) >= delay(attempt)
    assert [delay(n) for n in range(1, 5)] == [1.0, 2.0, 4.0, 8.0]


NAMES = Wiring("fake", "fake", "tap1")
LEFT = {"facts": {"not_undone": ["device"]}}


@pytest.mark.parametrize(
    ("changes", "clean"),
    [
        ({"wiring": None, "names": None, "phase": Phase.BOUND}, True),
        ({"wiring": None, "names": None, "phase": Phase.PLUGGING}, True),
        ({"wiring": None, "names": NAMES, "phase": Phase.PLUGGING}, False),
        ({"wiring": None, "names": NAMES, "phase": Phase.BOUND}, False),
        ({"wiring": None, "names": NAMES, "phase": Phase.FAILED}, True),
        ({"wiring": None, "names": NAMES, "phase": Phase.FAILED, "error": {"facts": {}}}, True),
        ({"wiring": None, "names": NAMES, "phase": Phase.FAILED, "error": LEFT}, False),
        ({"wiring": WIRING, "names": NAMES, "phase": Phase.FAILED}, False),
    ],
)
def test_names_may_be_given_up_only_where_nothing_can_be_left(
    changes: dict[str, Any], clean: bool
) -> None:
    assert untouched(record(**changes)) is clean


def test_what_was_not_undone_is_read_from_the_error() -> None:
    assert not_undone(record(error=LEFT)) == ["device"]
    assert not_undone(record()) == []


def test_a_part_of_one_word_is_covered_by_itself() -> None:
    assert covered("role", frozenset({"role"}))


@pytest.mark.parametrize("role", ["ACTIVE", "INACTIVE"])
def test_a_port_that_is_to_go_is_never_where_it_is_wanted(role: str) -> None:
    """Wherever it is: closed and quiet as well, which is what a port on its way out looks like."""
    where = {"ACTIVE": (Phase.LIVE, True), "INACTIVE": (Phase.QUIESCED, False)}[role]
    there = record(role, phase=where[0], open=where[1])
    assert settled(there)
    assert not settled(replace(there, removing=True))
    closed = record("INACTIVE", phase=Phase.QUIESCED, open=False, removing=True)
    assert not settled(closed)
