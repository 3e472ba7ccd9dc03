"""What each side says of a port, for tests."""

from __future__ import annotations

from typing import Any

from unit.docs import document, port_id
from unit.machine import Machine
from vifd.engine.decision import Request
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import Part, Side
from vifd.model.partreading import said
from vifd.model.sides import Said


def network(number: int = 1, **changes: Any) -> dict[str, Any]:
    """The network's part of port ``number``, with its role."""
    return {k: v for k, v in document(number, **changes).items() if k != "instance"}


def compute(number: int = 1, **more: Any) -> dict[str, Any]:
    """Compute's part of port ``number``."""
    return {"version": "1.0", "instance": document(number)["instance"], **more}


def put(
    machine: Machine,
    side: Side,
    number: int,
    body: dict[str, Any],
    revision: int | None = None,
    *,
    taking: bool = False,
    alone: bool | None = None,
    ahead: bool | None = None,
) -> Ticket:
    """Say one side's part."""
    read = said(side, body, port_id(number))
    part = Part(f"{side} owner", read, revision, 1.0)
    said_ = Said(port_id(number), side, part, revision, alone, ahead=ahead)
    return machine.agent.say(said_, "req-1", taking=taking)


def drop(machine: Machine, side: Side, number: int, revision: int | None = None) -> Ticket:
    """Take one side's part away."""
    return machine.agent.say(Said(port_id(number), side, None, revision), "req-2")


def lapse(machine: Machine, number: int) -> Ticket:
    """No instance came for a port that was made ahead."""
    said_ = Said(port_id(number), Side.NETWORK, unused=True)
    ticket = Ticket(port_id(number), "req-3")
    machine.engine.submit([Request(Kind.PLUG, ticket, said=said_)])
    return ticket
