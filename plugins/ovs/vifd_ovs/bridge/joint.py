"""Between two ports with groups of one bridge: the rules of both hold. Pure.

A packet between them is judged twice, in EGRESS and INGRESS, and tracked in the zone of who
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

from collections.abc import Iterator
from functools import lru_cache

from vifd.openflow import action as act
from vifd.openflow.field import IPV4, IPV6, TCP, UDP, Value
from vifd.openflow.flow import Flow, entry, flow
from vifd.policy.rule import ICMP, ICMPV6, Direction
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.admission import BEGINS, JOINT, judged
from vifd_ovs.bridge.tables import (
    DELIVER,
    EGRESS_ALONE,
    EGRESS_ANSWERS,
    EGRESS_BEGUN,
    EGRESS_BESIDE,
    EGRESS_FIRST,
    EGRESS_REFUSED,
    EGRESS_TO,
    EGRESS_VERDICT,
    GIVEN,
    INGRESS,
    INGRESS_STATELESS,
    INGRESS_TRACKED,
    INGRESS_VERDICT,
    JOINT_REGISTER,
    NETWORK_REGISTER,
    PORT_REGISTER,
    VERDICT_REGISTER,
    ZONE_REGISTER,
)

#: Values of :data:`~vifd_ovs.bridge.tables.JOINT_REGISTER` besides ``BEGINS``.
KNOWN, JOINS = 1, 3
#: The mark of a connection that began while the sender was elsewhere.
_ELSEWHERE_BEGUN = 1
#: Priorities.
_INVALID, _REPLY, _RELATED, _BOTH, _JOINS, _FORWARD = 30, 20, 15, 13, 12, 10
#: In INGRESS and INGRESS_STATELESS: above those that track.
_JOINT = 15
#: In EGRESS_TO: a MAC that several may have is none of a port here, whoever has it too.
_ANYBODYS, _HERE = 45, 40
#: In EGRESS_FIRST: the receiver is no port here, what looks like an answer, the rest.
_ELSEWHERE, _ANSWERS, _OTHERWISE = 40, 30, 10
#: Ports that clients are given lie above this one, those that servers wait at mostly below
#: (RFC 6335, 6; Linux and Windows give less of them still).
_GIVEN_TO_CLIENTS = 0x8000


@lru_cache(maxsize=1)
def common_flows() -> tuple[Flow, ...]:
    """What is the same for every two ports."""
    return (*_first(), *_answers(), *_beside(), *_begun(), *_received())


def _received() -> Iterator[Flow]:
    """What the sender has let pass is judged by the rules of the receiver, and committed."""
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
    yield flow(EGRESS_TO, 0, cookies.BRIDGE, goto=EGRESS_FIRST)
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
    known = [act.set_field(JOINT_REGISTER, KNOWN), *judged(Direction.INGRESS)]
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
    asked = [known, *judged(Direction.EGRESS)]
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
            EGRESS_BEGUN, priority, cookies.BRIDGE, match, [*before, *judged(direction)],
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
