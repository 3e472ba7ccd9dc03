"""The page on the life of a port: ``python -m vifd.model.lifecycle_page`` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from vifd.model.lifecycle import TABLE, Move, moved
from vifd.model.values import Phase, Role

_HEAD = """\
# The life of a port

Written from `vifd.model.lifecycle`; `make docs/lifecycle` writes it anew. Role and phase are two
axes: the role (`ACTIVE`, `INACTIVE`) is what the network service says of this host's binding, the
phase is what is true on the host. A move that is not in the table is refused with `E_STATE_MOVE`.
`activate` and `deactivate` change the role, in any phase; what follows is the table's next step.
"""

_MOVES = {
    Move.BEGIN: "its names are on disk, the plugin is at work",
    Move.OPENED: "it was opened, and proven open",
    Move.CLOSED: "it is closed, and proven",
    Move.DRIFT: "it was proven, and something was found otherwise",
    Move.ENDURE: "an attempt failed, and its traffic passes all the same",
    Move.FAIL: "an attempt failed",
    Move.REMOVE: "nobody wants it any more",
    Move.GONE: "nothing of it is on the host: its record goes; one wanted again starts anew",
}


def edges() -> Iterator[tuple[Phase, Phase, str]]:
    """From where to where by which moves; a move that changes nothing is none."""
    found: dict[tuple[Phase, Phase], list[str]] = {}
    for phase, state in TABLE.items():
        for move in state.moves:
            for role in Role:
                after = moved(phase, move, role)
                named = move.value
                if moved(phase, move, Role.ACTIVE) is not moved(phase, move, Role.INACTIVE):
                    named = f"{move.value}, {role.value}"
                names = found.setdefault((phase, after), [])
                if after is not phase and named not in names:
                    names.append(named)
    for (before, after), names in found.items():
        if names:
            yield before, after, " / ".join(names)


def diagram() -> str:
    """The table as a Mermaid diagram."""
    lines = ["stateDiagram-v2", "    [*] --> BOUND: accepted"]
    lines += [f"    {a.value} --> {b.value}: {names}" for a, b, names in edges()]
    lines.append("    UNPLUGGING --> [*]: gone")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    steps = [
        f"| {phase.value} | {state.status.value} | {state.steps.rest} | {state.steps.close} "
        f"| {state.steps.open} | {state.steps.pass_} |"
        for phase, state in TABLE.items()
    ]
    moves = [f"| `{move.value}` | {text} |" for move, text in _MOVES.items()]
    return "\n".join(
        [
            _HEAD,
            "## What is said, and what is done next",
            "",
            "The status is that of a port whose report says so; the step is that of a port that is",
            "not being removed, has its device and its latest document. *closed → open*: it is",
            "closed and shall be open: the role is ACTIVE and the port administratively up.",
            "",
            "| phase | status | stays closed | open → closed | closed → open | stays open |",
            "|---|---|---|---|---|---|",
            *steps,
            "",
            "## What may happen",
            "",
            "| move | meaning |",
            "|---|---|",
            *moves,
            "",
            "```mermaid",
            diagram(),
            "```",
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(page())
