"""The table of phases: every move it has, none that it has not, and the page made from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vifd import errors
from vifd.model import Phase, Role, Status
from vifd.model.lifecycle import TABLE, Move, Step, moved, proven
from vifd.model.lifecycle_page import diagram, page

PAGE = Path(__file__).parents[2] / "docs" / "design" / "lifecycle.md"
ALL = [(phase, move, role) for phase in Phase for move in Move for role in Role]


def test_every_phase_is_in_the_table() -> None:
    assert set(TABLE) == set(Phase)


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == page(), "run `make docs/lifecycle`"


def test_the_diagram_has_every_move_and_no_other() -> None:
    """Read back from the page's text, and not by the code that wrote it."""
    drawn = set()
    for before, after, names in re.findall(r"^    (\w+) --> (\w+): (.+)$", diagram(), re.M):
        drawn |= {(before, name.split(",")[0], after) for name in names.split(" / ")}
    table = {
        (phase.value, move.value, moved(phase, move, role).value)
        for phase, move, role in ALL
        if move in TABLE[phase].moves and moved(phase, move, role) is not phase
    }
    assert drawn == table
    assert PAGE.read_text().count(diagram()) == 1


@pytest.mark.parametrize(("phase", "move", "role"), ALL)
def test_a_move_that_is_not_in_the_table_is_a_coded_error(
    phase: Phase, move: Move, role: Role
) -> None:
    if move in TABLE[phase].moves:
        assert moved(phase, move, role) in Phase
        return
    with pytest.raises(errors.IllegalMove) as caught:
        moved(phase, move, role)
    assert caught.value.code == "E_STATE_MOVE"
    assert caught.value.facts["phase"] == phase
    assert caught.value.facts["move"] == move


def test_the_error_names_what_can_happen_instead() -> None:
    with pytest.raises(errors.IllegalMove) as waiting:
        moved(Phase.WAITING, Move.BEGIN)
    assert waiting.value.facts["legal"] == "none"
    with pytest.raises(errors.IllegalMove) as going:
        moved(Phase.UNPLUGGING, Move.OPENED)
    assert going.value.facts["legal"] == "fail, remove, gone"


def test_nothing_comes_back_before_it_is_gone() -> None:
    for move in Move:
        if move in TABLE[Phase.UNPLUGGING].moves and move is not Move.GONE:
            assert moved(Phase.UNPLUGGING, move) is Phase.UNPLUGGING


def test_closed_after_a_life_is_quiesced_for_the_other_role_alone() -> None:
    for phase in (Phase.LIVE, Phase.DEGRADED, Phase.QUIESCED):
        assert moved(phase, Move.CLOSED, Role.INACTIVE) is Phase.QUIESCED
        assert moved(phase, Move.CLOSED, Role.ACTIVE) is Phase.READY
    for phase in (Phase.READY, Phase.PLUGGING, Phase.BOUND):
        assert moved(phase, Move.CLOSED, Role.INACTIVE) is Phase.READY


def test_a_rollback_is_an_activation_of_what_is_kept() -> None:
    """QUIESCED, opened again: no plug in between, whatever the network service forgot."""
    steps = TABLE[Phase.QUIESCED].steps
    assert steps.of(opened=False, wanted=True) is Step.ACTIVATE
    assert moved(Phase.QUIESCED, Move.OPENED) is Phase.LIVE
    assert TABLE[Phase.LIVE].steps.of(opened=True, wanted=False) is Step.DEACTIVATE


def test_active_and_error_are_said_in_few_phases() -> None:
    assert {p for p in Phase if TABLE[p].status is Status.ACTIVE} == {Phase.LIVE, Phase.DEGRADED}
    assert {p for p in Phase if TABLE[p].status is Status.ERROR} == {Phase.FAILED}
    assert {p for p in Phase if proven(p)} == {Phase.READY, Phase.LIVE, Phase.QUIESCED}


def test_every_port_can_fail_and_be_removed() -> None:
    for phase in set(Phase) - {Phase.WAITING}:
        assert moved(phase, Move.REMOVE) is Phase.UNPLUGGING
        assert Move.FAIL in TABLE[phase].moves
        assert moved(phase, Move.GONE) is Phase.BOUND
