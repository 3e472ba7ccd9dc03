"""The stages that security groups pass a frame through, and a port's own flows in them. Pure.

EGRESS and INGRESS do the same for the port in the register: what every guest needs passes, what
rules without state let pass passes, the rest is tracked in the zone of the port. Then POLICY, a
subroutine, asks RULES for each group of the port, and the verdict is read. A packet is judged by
what its connection began with, whichever way it goes: a reply by the rules for the direction in
which the first packet went. So a rule that goes ends what only it allowed, both ways, with the
switch's next look at its tables; nobody need find the connections.

Between two ports with groups on one bridge a packet is judged twice: :mod:`vifd_ovs.bridge.joint`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from vifd.openflow import action as act
from vifd.openflow.field import IPV4, IPV6, Value
from vifd.openflow.flow import Flow, entry, flow
from vifd.policy.groups import BASE
from vifd.policy.logged import NOTHING, Logged
from vifd.policy.rule import Direction
from vifd_ovs.bridge import cookies, logflows
from vifd_ovs.bridge.policy_match import fields
from vifd_ovs.bridge.tables import (
    DELIVER,
    DIRECTION_REGISTER,
    EGRESS,
    EGRESS_ALONE,
    EGRESS_REFUSED,
    EGRESS_STATELESS,
    EGRESS_TO,
    EGRESS_VERDICT,
    GIVEN,
    GROUP_REGISTER,
    INGRESS,
    INGRESS_REFUSED,
    INGRESS_STATELESS,
    INGRESS_TRACKED,
    INGRESS_VERDICT,
    JOINT_REGISTER,
    LIFE_REGISTER,
    OTHER_REGISTER,
    POLICY,
    PORT_REGISTER,
    RULES,
    VERDICT_REGISTER,
    ZONE_REGISTER,
)

EGRESS_RULES, INGRESS_RULES = 1, 2  #: values of :data:`DIRECTION_REGISTER`
_NUMBERS = {Direction.EGRESS: EGRESS_RULES, Direction.INGRESS: INGRESS_RULES}
#: A value of :data:`JOINT_REGISTER`: the packet begins a connection between two ports here.
BEGINS = 2
#: Priorities: what every guest needs, rules without state, what is tracked already, the rest.
_BASE, _STATELESS, _TRACK = 100, 50, 10
_INVALID, _REPLY, _FORWARD = 30, 20, 10
JOINT, COMMIT, PASS = 30, 20, 10
#: Above these, of a port whose accepted packets are logged.
TOLD = 1

#: The action that lets the packet of a rule pass.
PASSES = act.set_field(VERDICT_REGISTER, 1)


class Policy(NamedTuple):
    """The groups of a port, by their numbers on the bridge: those whose rules count in a direction;
    none where it stays closed."""

    egress: tuple[int, ...] = ()
    ingress: tuple[int, ...] = ()
    stateless_egress: tuple[int, ...] = ()
    stateless_ingress: tuple[int, ...] = ()


def rules_of(number: int, direction: Direction) -> int:
    """What :data:`GROUP_REGISTER` holds while a direction of a group is judged."""
    return number << 1 | (direction is Direction.INGRESS)


def stateless_pass() -> int:
    """The priority at which the verdict of rules without state is that a packet passes."""
    return PASS + _TRACK


class _Stage(NamedTuple):
    """One pass: its tables, and the one that a frame leaves it to.

    :param alone: where it is judged by the zone of the port
    :param refused: where it is counted as refused
    """

    direction: Direction
    first: int
    stateless: int
    alone: int
    verdict: int
    goto: int
    refused: int


_STAGES = (
    _Stage(Direction.EGRESS, EGRESS, EGRESS_STATELESS, EGRESS_ALONE, EGRESS_VERDICT, DELIVER,
           EGRESS_REFUSED),
    _Stage(Direction.INGRESS, INGRESS, INGRESS_STATELESS, INGRESS_TRACKED, INGRESS_VERDICT, GIVEN,
           INGRESS_REFUSED),
)  # fmt: skip


@lru_cache(maxsize=1)
def common_flows() -> tuple[Flow, ...]:
    """What is the same for every port: a port without groups leads here by no flow."""
    return (*(f for stage in _STAGES for f in _stage(stage)),)


def _stage(stage: _Stage) -> Iterator[Flow]:
    for rule in BASE[stage.direction]:
        match: dict[str, Value] = fields(rule.match)
        yield entry(stage.first, _BASE, cookies.BRIDGE, match, goto=stage.goto)
    track, to = [act.ct(zone=PORT_REGISTER, table=stage.alone)], None
    if stage.direction is Direction.EGRESS:
        track, to = [], EGRESS_TO
    for table in (stage.first, stage.stateless):
        for kind in (IPV4, IPV6):
            yield flow(table, _TRACK, cookies.BRIDGE, track, to, eth_type=kind)
        yield flow(table, 0, cookies.BRIDGE, goto=stage.refused)
    passed: dict[str, Value] = {VERDICT_REGISTER: 1}
    yield entry(stage.stateless, stateless_pass(), cookies.BRIDGE, passed, goto=stage.goto)
    yield from _tracked(stage)
    commit = act.ct(commit=True, zone=PORT_REGISTER)
    for kind in (IPV4, IPV6):
        match = {"eth_type": kind, "ct_state": "+new+trk", **passed}
        yield entry(
            stage.verdict, COMMIT, cookies.BRIDGE, match, [commit], stage.goto
        )  # fmt: skip
    yield entry(stage.verdict, PASS, cookies.BRIDGE, passed, goto=stage.goto)
    yield flow(stage.verdict, 0, cookies.BRIDGE, goto=stage.refused)


def _tracked(stage: _Stage) -> Iterator[Flow]:
    """Who began the connection decides which rules are asked: the port, or the other side."""
    other = Direction.INGRESS if stage.direction is Direction.EGRESS else Direction.EGRESS
    yield flow(stage.alone, _INVALID, cookies.BRIDGE, goto=stage.refused, ct_state="+inv")
    for priority, direction, state in (
        (_REPLY, other, "+trk+rpl"), (_FORWARD, stage.direction, "+trk-rpl"),
    ):  # fmt: skip
        yield flow(
            stage.alone, priority, cookies.BRIDGE, judged(direction), stage.verdict,
            ct_state=state,
        )  # fmt: skip
    yield flow(stage.alone, 0, cookies.BRIDGE, goto=stage.refused)


def judged(direction: Direction) -> list[act.Action]:
    """Ask the rules of a direction of the port."""
    return [
        act.set_field(VERDICT_REGISTER, 0), act.set_field(DIRECTION_REGISTER, _NUMBERS[direction]),
        act.resubmit(table=POLICY),
    ]  # fmt: skip


def committed() -> list[act.Action]:
    """Commit what begins: in the zone of each, marked with the other."""
    return [
        act.ct(commit=True, zone=zone, actions=[act.move(mark, "ct_mark")])
        for zone, mark in ((ZONE_REGISTER, OTHER_REGISTER), (PORT_REGISTER, LIFE_REGISTER))
    ]


# --- a port ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def port_flows(
    cookie: int, ofport: int, policy: Policy, logged: Logged = NOTHING
) -> tuple[Flow, ...]:
    """The flows of a port with security groups: which groups it has, and what is logged of it."""
    return (*_port_flows(cookie, ofport, policy, logged), *_told(cookie, ofport, policy, logged))


def _port_flows(cookie: int, ofport: int, policy: Policy, logged: Logged) -> Iterator[Flow]:
    by_direction = (policy.egress, policy.ingress)
    for direction, groups in zip((Direction.EGRESS, Direction.INGRESS), by_direction, strict=True):
        which: dict[str, Value] = {PORT_REGISTER: ofport, DIRECTION_REGISTER: _NUMBERS[direction]}
        yield entry(POLICY, PASS, cookie, which, _asked(groups, direction))
    for stage, groups in zip(
        _STAGES, (policy.stateless_egress, policy.stateless_ingress), strict=True
    ):
        for kind in (IPV4, IPV6) if groups else ():
            asked = [act.set_field(VERDICT_REGISTER, 0), *_asked(groups, stage.direction)]
            match = {"eth_type": kind, PORT_REGISTER: ofport}
            yield entry(stage.first, _STATELESS, cookie, match, asked, stage.stateless)
        # a drop that counts
        told = [logflows.tell(stage.direction, accepted=False)] if logged.dropped else []
        yield entry(stage.refused, PASS, cookie, {PORT_REGISTER: ofport}, told)


def _told(cookie: int, ofport: int, policy: Policy, logged: Logged) -> Iterator[Flow]:
    """What is written down of a port: as the flows of all ports, a priority above."""
    if logged != NOTHING:
        yield from logflows.handing(cookie, ofport)
    if not logged.accepted:
        return
    mine: dict[str, Value] = {VERDICT_REGISTER: 1, PORT_REGISTER: ofport}
    begins: dict[str, Value] = {**mine, JOINT_REGISTER: BEGINS}
    stateless = (policy.stateless_egress, policy.stateless_ingress)
    for stage, groups in zip(_STAGES, stateless, strict=True):
        tell = logflows.tell(stage.direction, accepted=True)
        commit = [tell, act.ct(commit=True, zone=PORT_REGISTER)]
        for kind in (IPV4, IPV6):
            match = {"eth_type": kind, "ct_state": "+new+trk", **mine}
            yield entry(stage.verdict, COMMIT + TOLD, cookie, match, commit, stage.goto)
        if groups:
            above = stateless_pass() + TOLD
            yield entry(stage.stateless, above, cookie, mine, [tell], stage.goto)
        if stage.direction is Direction.EGRESS:
            yield entry(stage.verdict, JOINT + TOLD, cookie, begins, [tell], stage.goto)
            continue
        for table in (stage.verdict, *((stage.stateless,) if groups else ())):
            for kind in (IPV4, IPV6):
                match = {"eth_type": kind, **begins}
                yield entry(table, JOINT + TOLD, cookie, match, [tell, *committed()], stage.goto)


def _asked(groups: Sequence[int], direction: Direction) -> list[act.Action]:
    """Ask the rules of each group."""
    return [
        action
        for number in groups
        for action in (
            act.set_field(GROUP_REGISTER, rules_of(number, direction)), act.resubmit(table=RULES),
        )
    ]  # fmt: skip
