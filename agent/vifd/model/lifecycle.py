"""The life of a port as one table: in each phase, what is said of it, what is done next, and what
may happen to it. Pure; ``docs/design/lifecycle.md`` is made from it.

Role and phase are two axes. The role is what the network service says of this host's binding; with
the port's admin state it says whether traffic *shall* pass. The phase is what is true on the host.
Nobody sets a phase but by a move of this table, and the next step is read from it as well, so that
plan and table cannot differ. Two look-ups need no library for state machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from vifd.errors import IllegalMove
from vifd.model.values import Phase, Role, Status


class Step(StrEnum):
    """The next step for a port."""

    PLUG = "plug"  #: make it, bring it to its document, or repair it
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    CHECK = "check"
    UNPLUG = "unplug"
    RELEASE = "release"  #: leave it as it stands, without a mark of ours


class Move(StrEnum):
    """What happens to a port."""

    BEGIN = "begin"  #: its names are on disk, the plugin is at work
    OPENED = "opened"  #: it was opened, and proven open
    CLOSED = "closed"  #: it is closed, and proven
    DRIFT = "drift"  #: it was proven, and something was found otherwise
    ENDURE = "endure"  #: an attempt failed, and its traffic passes all the same
    FAIL = "fail"  #: an attempt failed
    REMOVE = "remove"  #: nobody wants it any more
    GONE = "gone"  #: nothing of it is on the host; one that is wanted again starts anew


@dataclass(frozen=True)
class Steps:
    """What is done next for a port that is not being removed, by whether it is open.

    :param rest: it is closed, and shall be
    :param close: it is open, and shall not be
    :param open: it is closed, and shall be open
    :param pass_: it is open, and shall be
    """

    rest: Step
    close: Step
    open: Step
    pass_: Step

    def of(self, *, opened: bool, wanted: bool) -> Step:
        """The step.

        :param opened: whether traffic passes
        :param wanted: whether it shall
        """
        if wanted:
            return self.pass_ if opened else self.open
        return self.close if opened else self.rest


#: The host may hold less, or something else, than is on record.
_UNPROVEN = Steps(Step.PLUG, Step.PLUG, Step.PLUG, Step.PLUG)
#: A record that does not add up (open, but said to be closed) is brought to its document.
_AT_REST = Steps(Step.CHECK, Step.DEACTIVATE, Step.ACTIVATE, Step.PLUG)
_IN_USE = Steps(Step.PLUG, Step.DEACTIVATE, Step.ACTIVATE, Step.CHECK)

#: What may happen to a port that somebody works on, or that has yet to be.
_MAKING = MappingProxyType(
    {
        Move.BEGIN: Phase.PLUGGING,
        Move.OPENED: Phase.LIVE,
        Move.CLOSED: Phase.READY,
        Move.ENDURE: Phase.DEGRADED,
        Move.FAIL: Phase.FAILED,
        Move.REMOVE: Phase.UNPLUGGING,
        Move.GONE: Phase.BOUND,
    }
)
#: The same of one that was proven: it can drift.
_MADE = MappingProxyType({**_MAKING, Move.DRIFT: Phase.DEGRADED})


@dataclass(frozen=True)
class State:
    """One phase.

    :param status: what the network service is told, where open ports are open and reports say so
    :param steps: what is done next
    :param moves: what may happen, and the phase that it leads to
    :param lived: whether the guest had its traffic here: closed for the other role it is QUIESCED
    """

    status: Status
    steps: Steps
    moves: Mapping[Move, Phase]
    lived: bool = False


TABLE: Mapping[Phase, State] = MappingProxyType(
    {
        # a port that lacks a part of its document has no record: nothing can happen to it
        Phase.WAITING: State(Status.DOWN, _UNPROVEN, {}),
        Phase.BOUND: State(Status.BUILD, _UNPROVEN, _MAKING),
        Phase.PLUGGING: State(Status.BUILD, _UNPROVEN, _MAKING),
        Phase.ISOLATED: State(Status.BUILD, _UNPROVEN, _MAKING),
        Phase.READY: State(Status.DOWN, _AT_REST, _MADE),
        Phase.LIVE: State(Status.ACTIVE, _IN_USE, _MADE, lived=True),
        Phase.QUIESCED: State(Status.DOWN, _AT_REST, _MADE, lived=True),
        Phase.DEGRADED: State(Status.ACTIVE, _UNPROVEN, _MAKING, lived=True),
        Phase.FAILED: State(Status.ERROR, _UNPROVEN, _MAKING),
        Phase.UNKNOWN: State(Status.BUILD, _UNPROVEN, _MAKING),
        # what is to go does not come back before it is gone: a request for it waits until then
        Phase.UNPLUGGING: State(
            Status.DOWN,
            _UNPROVEN,
            {
                Move.FAIL: Phase.UNPLUGGING,
                Move.REMOVE: Phase.UNPLUGGING,
                Move.GONE: Phase.BOUND,
            },
        ),
    }
)


def moved(phase: Phase, move: Move, role: Role = Role.ACTIVE) -> Phase:
    """The phase that a move leads to.

    :raises IllegalMove: it cannot happen in this phase
    """
    state = TABLE[phase]
    if move not in state.moves:
        legal = ", ".join(state.moves) or "none"
        facts = {"phase": phase.value, "move": move.value, "legal": legal}
        raise IllegalMove(facts=facts, stage="lifecycle")
    if move is Move.CLOSED and state.lived and role is Role.INACTIVE:
        return Phase.QUIESCED
    return state.moves[move]


def proven(phase: Phase) -> bool:
    """Whether the port was read back as it shall be, and nothing else was found since."""
    return Move.DRIFT in TABLE[phase].moves
