"""The stages that security groups pass a frame through, and a port's own flows in them. Pure.

EGRESS and INGRESS do the same for the port in the register: what every guest needs passes, what
rules without state let pass passes, the rest is tracked in the zone of the port. Then POLICY, a
subroutine, asks RULES for each group of the port, and the verdict is read. A packet is judged by
what its connection began with, whichever way it goes: a reply by the rules for the direction in
which the first packet went. So a rule that goes ends what only it allowed, both ways, with the
switch's next look at its tables; nobody need find the connections.

Between two ports with groups on one bridge a packet is judged twice and tracked in the zone of who
began: the sender's, if that knows the connection as the sender's own; else the receiver's is asked.
What the sender's zone alone says is enough for a packet that is judged by its own addresses. It is
not for an answer: whether the receiver asked, the receiver's zone must know, or whoever forges its
address to a friend behind the other port would open it for him. So of what looks like an answer by
its ports the receiver's zone is asked at once: whether it is one is for that zone to say, and where
it does not, the packet takes the same way as any other. A connection is committed when both have
let it begin, in both zones: one of the two may move to another host.

One that began while the sender was elsewhere the receiver's zone has followed since, and shall go
on to: once the sender is elsewhere again, what it knows of a TCP connection would be out of date,
and all of it refused. The sender's zone remembers such a connection by a mark: both are asked, both
ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from vifd.openflow import action as act
from vifd.openflow.field import IPV4, IPV6, TCP, UDP, Value
from vifd.openflow.flow import Flow, entry, flow
from vifd.policy.groups import BASE
from vifd.policy.logged import NOTHING, Logged
from vifd.policy.rule import ICMP, ICMPV6, Direction
from vifd_ovs.bridge import cookies, logflows
from vifd_ovs.bridge.policy_match import fields
from vifd_ovs.bridge.tables import (
    DELIVER,
    DIRECTION_REGISTER,
    EGRESS,
    EGRESS_ALONE,
    EGRESS_ANSWERS,
    EGRESS_BEGUN,
    EGRESS_BESIDE,
    EGRESS_FIRST,
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
    NETWORK_REGISTER,
    POLICY,
    PORT_REGISTER,
    RULES,
    VERDICT_REGISTER,
    ZONE_REGISTER,
)

EGRESS_RULES, INGRESS_RULES = 1, 2  #: values of :data:`DIRECTION_REGISTER`
_NUMBERS = {Direction.EGRESS: EGRESS_RULES, Direction.INGRESS: INGRESS_RULES}
#: Values of :data:`JOINT_REGISTER`.
KNOWN, BEGINS, JOINS = 1, 2, 3
#: The mark of a connection that began while the sender was elsewhere.
_ELSEWHERE_BEGUN = 1
#: Priorities: what every guest needs, rules without state, what is tracked already, the rest.
_BASE, _STATELESS, _JOINT, _TRACK = 100, 50, 15, 10
_INVALID, _REPLY, _RELATED, _FORWARD = 30, 20, 15, 10
_BOTH, _JOINS = 13, 12
JOINT, COMMIT, PASS = 30, 20, 10
#: Above these, of a port whose accepted packets are logged.
TOLD = 1
#: In EGRESS_TO: a MAC that several may have is none of a port here, whoever has it too.
_ANYBODYS, _HERE = 45, 40
#: In EGRESS_FIRST: the receiver is no port here, what looks like an answer, the rest.
_ELSEWHERE, _ANSWERS, _OTHERWISE = 40, 30, 10
#: Ports that clients are given lie above this one, those that servers wait at mostly below
#: (RFC 6335, 6; Linux and Windows give less of them still).
_GIVEN_TO_CLIENTS = 0x8000

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
    return (*(f for stage in _STAGES for f in _stage(stage)), *_joint())


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
            stage.alone, priority, cookies.BRIDGE, _judged(direction), stage.verdict,
            ct_state=state,
        )  # fmt: skip
    yield flow(stage.alone, 0, cookies.BRIDGE, goto=stage.refused)


def _judged(direction: Direction) -> list[act.Action]:
    """Ask the rules of a direction of the port."""
    return [
        act.set_field(VERDICT_REGISTER, 0), act.set_field(DIRECTION_REGISTER, _NUMBERS[direction]),
        act.resubmit(table=POLICY),
    ]  # fmt: skip


# --- between two ports of the bridge --------------------------------------------------------------


def _joint() -> Iterator[Flow]:
    """What passes between two ports with groups."""
    yield flow(EGRESS_TO, 0, cookies.BRIDGE, goto=EGRESS_FIRST)
    yield from _first()
    yield from _answers()
    yield from _beside()
    yield from _begun()
    for table in (INGRESS, INGRESS_STATELESS):
        for value in (KNOWN, BEGINS, JOINS):
            known: dict[str, Value] = {JOINT_REGISTER: value}
            yield entry(table, _JOINT, cookies.BRIDGE, known, (), INGRESS_TRACKED)
    mark = act.set_field("ct_mark", _ELSEWHERE_BEGUN)
    for value, zones in (
        (BEGINS, [act.ct(commit=True, zone=z) for z in (ZONE_REGISTER, PORT_REGISTER)]),
        (JOINS, [act.ct(commit=True, zone=ZONE_REGISTER, actions=[mark])]),
    ):
        passed: dict[str, Value] = {VERDICT_REGISTER: 1, JOINT_REGISTER: value}
        yield entry(EGRESS_VERDICT, JOINT, cookies.BRIDGE, passed, (), DELIVER)
        for kind in (IPV4, IPV6):
            match: dict[str, Value] = {"eth_type": kind, **passed}
            yield entry(INGRESS_VERDICT, JOINT, cookies.BRIDGE, match, zones, GIVEN)
            yield entry(INGRESS_STATELESS, JOINT, cookies.BRIDGE, match, zones, GIVEN)


def _first() -> Iterator[Flow]:
    """Whose zone is asked first. A guess costs a lookup where it is wrong, and decides nothing. It
    is made of no fragment: all of a packet must go one way, or it is never put together."""
    alone, own = (act.ct(zone=PORT_REGISTER, table=t) for t in (EGRESS_ALONE, EGRESS_BESIDE))
    answer = act.ct(zone=ZONE_REGISTER, table=EGRESS_ANSWERS)
    elsewhere: dict[str, Value] = {ZONE_REGISTER: 0}
    for kind, protocol, echo in ((IPV4, ICMP, {"icmpv4_type": 0}),
                                 (IPV6, ICMPV6, {"icmpv6_type": 129})):  # fmt: skip
        yield entry(
            EGRESS_FIRST, _ELSEWHERE, cookies.BRIDGE, {"eth_type": kind, **elsewhere}, [alone]
        )
        yield flow(EGRESS_FIRST, _OTHERWISE, cookies.BRIDGE, [own], eth_type=kind)
        looks: list[dict[str, Value]] = [{"ip_proto": protocol, **echo}]
        looks += [
            {"ip_proto": number, f"{name}_src": (0, _GIVEN_TO_CLIENTS),
             f"{name}_dst": (_GIVEN_TO_CLIENTS, _GIVEN_TO_CLIENTS)}
            for number, name in ((TCP, "tcp"), (UDP, "udp"))
        ]  # fmt: skip
        for look in looks:
            match = {"eth_type": kind, "ip_frag": 0, **look}
            yield entry(EGRESS_FIRST, _ANSWERS, cookies.BRIDGE, match, [answer])


def _answers() -> Iterator[Flow]:
    """The zone of the receiver was asked first, as the packet looks like an answer."""
    known = [act.set_field(JOINT_REGISTER, KNOWN), *_judged(Direction.INGRESS)]
    match: dict[str, Value] = {"ct_state": "+trk+est-rel+rpl", "ct_mark": 0}
    yield entry(EGRESS_ANSWERS, _REPLY, cookies.BRIDGE, match, known, EGRESS_VERDICT)
    own = act.ct(zone=PORT_REGISTER, table=EGRESS_BESIDE)
    for kind in (IPV4, IPV6):
        yield flow(EGRESS_ANSWERS, _FORWARD, cookies.BRIDGE, [own], eth_type=kind)


def _beside() -> Iterator[Flow]:
    """The zone of the sender was asked. An error says of itself only what it is about: whether that
    is a connection of the receiver, the receiver's zone must know."""
    known = act.set_field(JOINT_REGISTER, KNOWN)
    own: dict[str, Value] = {"ct_state": "+trk+est-rel-rpl"}
    alone = {**own, "ct_mark": 0}
    asked = [known, *_judged(Direction.EGRESS)]
    yield entry(EGRESS_BESIDE, _REPLY, cookies.BRIDGE, alone, asked, EGRESS_VERDICT)
    track = act.ct(zone=ZONE_REGISTER, table=EGRESS_BEGUN)
    for kind in (IPV4, IPV6):
        both = {"eth_type": kind, **own}
        yield entry(EGRESS_BESIDE, _RELATED, cookies.BRIDGE, both, [known, track])
        yield flow(EGRESS_BESIDE, _FORWARD, cookies.BRIDGE, [track], eth_type=kind)
    yield flow(EGRESS_BESIDE, 0, cookies.BRIDGE, goto=EGRESS_REFUSED)


def _begun() -> Iterator[Flow]:
    """The zone of the receiver was asked: it began the connection, or the sender does."""
    known, joins, begins = (act.set_field(JOINT_REGISTER, n) for n in (KNOWN, JOINS, BEGINS))
    zone = act.move(PORT_REGISTER, ZONE_REGISTER)
    both: dict[str, Value] = {JOINT_REGISTER: KNOWN, "ct_state": "+trk+est-rpl"}
    yield flow(EGRESS_BEGUN, _INVALID, cookies.BRIDGE, goto=EGRESS_REFUSED, ct_state="+inv")
    for priority, match, direction, before in (
        (_REPLY, {"ct_state": "+trk+rpl"}, Direction.INGRESS, [known]),
        (_RELATED, {"ct_state": "+trk+rel-rpl"}, Direction.EGRESS, [known]),
        (_BOTH, both, Direction.EGRESS, []),
        (_JOINS, {"ct_state": "+trk+est-rpl"}, Direction.EGRESS, [joins, zone]),
        (_FORWARD, {"ct_state": "+trk-rpl"}, Direction.EGRESS, [begins, zone]),
    ):
        yield entry(
            EGRESS_BEGUN, priority, cookies.BRIDGE, match, [*before, *_judged(direction)],
            EGRESS_VERDICT,
        )  # fmt: skip
    yield flow(EGRESS_BEGUN, 0, cookies.BRIDGE, goto=EGRESS_REFUSED)


def beside(cookie: int, tag: int, mac: str, ofport: int) -> Flow:
    """What is sent to a port with groups that is here, from another such port."""
    zone = act.set_field(ZONE_REGISTER, ofport)
    match: dict[str, Value] = {NETWORK_REGISTER: tag, "eth_dst": mac}
    return entry(EGRESS_TO, _HERE, cookie, match, [zone], EGRESS_FIRST)


def anybodys(cookie: int, tag: int, mac: str) -> Flow:
    """What is sent to a MAC address that several ports may have: each tracks what it gets."""
    match: dict[str, Value] = {NETWORK_REGISTER: tag, "eth_dst": mac}
    return entry(EGRESS_TO, _ANYBODYS, cookie, match, (), EGRESS_FIRST)


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
    zones = [act.ct(commit=True, zone=register) for register in (ZONE_REGISTER, PORT_REGISTER)]
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
                yield entry(table, JOINT + TOLD, cookie, match, [tell, *zones], stage.goto)


def _asked(groups: Sequence[int], direction: Direction) -> list[act.Action]:
    """Ask the rules of each group."""
    return [
        action
        for number in groups
        for action in (
            act.set_field(GROUP_REGISTER, rules_of(number, direction)), act.resubmit(table=RULES),
        )
    ]  # fmt: skip
