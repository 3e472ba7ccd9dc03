"""Changes of flows as one bundle: all or nothing.

A bundle sent in one go is not atomic: a message that the switch refuses does not stop a commit
that is already on its way. So the commit is sent only once a barrier has proved that every message
was accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vifd.drivers.openflow_connection import Connection, ConnectionLost
from vifd.openflow import message as msg
from vifd.openflow.flow import Flow
from vifd.openflow.message import Command, Control, Message, Type


class CommitLost(ConnectionLost):
    """The connection broke after the commit was sent: it may or may not have been done."""


class Refused(Exception):
    """The switch refused; nothing was changed.

    :param what: the flow or the request, in words
    :param error: what the switch said
    """

    def __init__(self, what: str, error: msg.SwitchError) -> None:
        super().__init__(f"{error} for {what}")
        self.what = what
        self.error = error


@dataclass(frozen=True)
class Changes:
    """What a bundle does, in this order: deletes by cookie, strict deletes, adds."""

    delete_cookies: Sequence[tuple[int, int]]
    delete: Sequence[Flow]
    add: Sequence[Flow]

    def __len__(self) -> int:
        return len(self.delete_cookies) + len(self.delete) + len(self.add)

    def messages(self, bundle: int, first: int) -> list[bytes]:
        """The messages that fill the bundle; ``first`` is the transaction id of the first."""
        sent = [
            msg.delete_by_cookie(xid, cookie, mask, bundle=bundle)
            for xid, (cookie, mask) in enumerate(self.delete_cookies, first)
        ]
        strict = Command.DELETE_STRICT
        sent += [
            msg.flow_mod(xid, flow, strict, mask=msg.EXACT, bundle=bundle)
            for xid, flow in enumerate(self.delete, first + len(sent))
        ]
        sent += [
            msg.flow_mod(xid, flow, bundle=bundle)
            for xid, flow in enumerate(self.add, first + len(sent))
        ]
        return sent

    def describe(self, index: int) -> str:
        """The change at a place in the bundle, in words."""
        if 0 <= index < len(self.delete_cookies):
            cookie, mask = self.delete_cookies[index]
            return f"delete cookie={cookie:#x}/{mask:#x}"
        flows = [*self.delete, *self.add]
        index -= len(self.delete_cookies)
        return str(flows[index]) if 0 <= index < len(flows) else "the bundle"


def commit(
    connection: Connection, changes: Changes, deadline: float, then: bytes = b"", last: int = 0
) -> list[Message]:
    """Apply the changes, all or nothing.

    :param then: requests that the switch answers after that, up to the one numbered ``last``
    :returns: what it answered to the commit and to these, also where it refuses one of these
    :raises Refused: the switch refused a change, and none was made
    :raises CommitLost: the connection broke once the commit was on its way
    :raises ConnectionLost: it broke before; nothing was changed
    """
    for flow in (*changes.delete, *changes.add):
        if not msg.fits(flow):
            raise Refused(str(flow)[:200], msg.SwitchError("OFPBFC_MSG_BAD_LEN", b""))
    count = len(changes)
    opening = connection.xids(count + 4)
    bundle, first, barrier = opening, opening + 1, opening + 1 + count
    request = [
        msg.bundle_control(opening, bundle, Control.OPEN),
        *changes.messages(bundle, first),
        msg.barrier(barrier),
    ]
    error = _first_error(connection.exchange(b"".join(request), barrier, deadline))
    if error is not None:
        discard = msg.bundle_control(barrier + 1, bundle, Control.DISCARD)
        connection.exchange(discard, barrier + 1, deadline)
        raise Refused(changes.describe(error.xid - first), msg.error(error))
    closing = msg.bundle_control(barrier + 2, bundle, Control.COMMIT)
    try:
        replies = connection.exchange(closing + then, last or barrier + 2, deadline)
    except ConnectionLost as lost:
        raise CommitLost(str(lost)) from lost
    error = _first_error([reply for reply in replies if opening <= reply.xid <= barrier + 2])
    if error is not None:
        raise Refused(changes.describe(error.xid - first), msg.error(error))
    return replies


def _first_error(replies: Sequence[Message]) -> Message | None:
    """The error of the earliest request; one for the commit itself only repeats another."""
    errors = [reply for reply in replies if reply.type == Type.ERROR]
    return min(errors, key=lambda error: error.xid, default=None)
