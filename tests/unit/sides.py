"""What each side says of a port, for tests."""

from __future__ import annotations

from typing import Any

from unit.docs import document, port_id
from unit.machine import Machine
from vifd.engine.ticket import Ticket
from vifd.model import Part, Side
from vifd.model.parts import said
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
) -> Ticket:
    """Say one side's part."""
    read = said(side, body, port_id(number))
    part = Part(f"{side} owner", read, revision, 1.0)
    return machine.agent.say(
        Said(port_id(number), side, part, revision, alone), "req-1", taking=taking
    )


def drop(machine: Machine, side: Side, number: int, revision: int | None = None) -> Ticket:
    """Take one side's part away."""
    return machine.agent.say(Said(port_id(number), side, None, revision), "req-2")
