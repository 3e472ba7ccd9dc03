"""Whether ovn-controller runs here and has its database."""

from __future__ import annotations

from vifd_ovn.jsonrpc import Unanswered, ask, control_socket

DAEMON = "ovn-controller"
CONNECTED = "connected"
#: Seconds: it answers between two rounds of its work.
_TIMEOUT = 0.5


def state(rundir: str) -> str:
    """``connected``, ``not connected`` to its database, or why it cannot be asked."""
    try:
        answer = ask(control_socket(rundir, DAEMON), "connection-status", [], _TIMEOUT)
    except Unanswered as error:
        return f"does not answer ({error})"
    return str(answer).strip()
