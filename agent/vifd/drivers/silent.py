"""In what words it is said that a process is there and gives no answer. Pure."""

from __future__ import annotations

NO_ANSWER = "no answer within"
STOPPED = ": its process is stopped"


def hangs(problem: str) -> bool:
    """Whether a process is there and gives no answer: one that does not run is known to do nothing,
    of one that hangs nothing is known."""
    return problem.startswith(NO_ANSWER)


def stopped(problem: str) -> bool:
    """Whether the process does nothing at all."""
    return problem.endswith(STOPPED)
