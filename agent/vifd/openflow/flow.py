"""A flow as a value.

Match fields and actions are written by name; :mod:`vifd.openflow.match` and
:mod:`vifd.openflow.action` know their bytes. Two flows are equal when the switch would treat them
the same: match fields are kept in one canonical order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vifd.openflow import action as act
from vifd.openflow import match as mt
from vifd.openflow import metered, steps


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry of a flow table.

    :param match: canonical bytes of the match (the OXM list without its header)
    :param actions: canonical bytes of the apply-actions list; empty drops
    :param goto: the table to go on with after the actions
    :param idle_timeout: seconds without a packet after which it is removed; 0 keeps it
    :param hard_timeout: seconds after which it is removed; 0 keeps it
    :param instructions: bytes of instructions of any other kind, as a foreign flow may have them
    :param packets: how many packets the switch counted; no part of the flow's identity
    :param octets: their bytes
    """

    table: int
    priority: int
    cookie: int
    match: bytes = b""
    actions: bytes = b""
    goto: int | None = None
    idle_timeout: int = 0
    hard_timeout: int = 0
    instructions: bytes = b""
    packets: int = field(default=0, compare=False)
    octets: int = field(default=0, compare=False)

    @property
    def key(self) -> tuple[int, int, bytes]:
        """What makes a flow the same entry of the switch."""
        return (self.table, self.priority, self.match)

    def __str__(self) -> str:
        """The flow in the words of ovs-ofctl."""
        match = mt.text(self.match)
        actions = steps.text(self.actions, self.goto)
        if (meter := metered.named(self.instructions)) is not None:
            actions = f"meter:{meter}" if actions == "drop" else f"meter:{meter},{actions}"
        elif self.instructions:
            actions += f",instructions:{self.instructions.hex()}"
        head = f"cookie={self.cookie:#x}, table={self.table}, priority={self.priority}"
        return f"{head}{',' + match if match else ''} actions={actions}"


def by_key(flows: Iterable[Flow]) -> dict[tuple[int, int, bytes], Flow]:
    """Flows by what makes each the same entry of the switch; of two such the later one."""
    return {(f.table, f.priority, f.match): f for f in flows}


def flow(
    table: int,
    priority: int,
    cookie: int,
    actions: Sequence[act.Action] = (),
    goto: int | None = None,
    **match: mt.Value,
) -> Flow:
    """Build a flow from names: ``flow(0, 100, c, [act.output(3)], in_port=1, eth_dst=mac)``.

    :param match: field name to value, or to a (value, mask) pair; addresses as text or integers
    """
    return entry(table, priority, cookie, match, actions, goto)


def entry(
    table: int, priority: int, cookie: int, match: Mapping[str, mt.Value],
    actions: Sequence[act.Action] = (), goto: int | None = None,
) -> Flow:  # fmt: skip
    """The same from a match that is a mapping already."""
    return Flow(
        table=table,
        priority=priority,
        cookie=cookie,
        match=mt.encode(match),
        actions=b"".join(actions),
        goto=goto,
    )


def through(meter: int | None, flow: Flow) -> Flow:
    """The flow with its packets sent through a meter before anything is done with them."""
    return flow if meter is None else replace(flow, instructions=metered.through(meter))
