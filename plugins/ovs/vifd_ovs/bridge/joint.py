"""Between two ports with groups of one bridge: the rules of both hold. Pure.

A packet between them is judged twice, in EGRESS and INGRESS, and tracked in one zone of the two,
both ways in the same, whoever sends: which one the numbers of the ports say. A connection is
committed when both have let it begin, in both zones: one of the two may move to another host. Its
mark is the life of the other port. A mark that names the port at the other end says that both let
this connection begin, and either zone is believed about it alone.

What neither says so is asked of both zones. What the sender's zone alone says is enough for a
packet that is judged by its own addresses. It is not for an answer: whether the receiver asked, the
receiver's zone must know, or whoever forges its address to a friend behind the other port would
open it for him.

One that began while the sender was elsewhere the receiver's zone has followed since, and shall go
on to: once the sender is elsewhere again, what it knows of a TCP connection would be out of date,
and all of it refused. The sender's zone remembers such a connection by a mark of its own: both are
asked, both ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from vifd.openflow import action as act
from vifd.openflow.field import IPV4, IPV6, Value
from vifd.openflow.flow import Flow, entry, flow
from vifd.policy.rule import Direction
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.admission import BEGINS, JOINT, committed, judged
from vifd_ovs.bridge.tables import (
    DELIVER,
    EGRESS_ALONE,
    EGRESS_ASKED,
    EGRESS_BEGUN,
    EGRESS_BESIDE,
    EGRESS_FIRST,
    EGRESS_ORDER,
    EGRESS_REFUSED,
    EGRESS_TO,
    EGRESS_VERDICT,
    GIVEN,
    INGRESS,
    INGRESS_STATELESS,
    INGRESS_TRACKED,
    INGRESS_VERDICT,
    JOINT_REGISTER,
    LIFE_REGISTER,
    NETWORK_REGISTER,
    OTHER_REGISTER,
    PORT_REGISTER,
    VERDICT_REGISTER,
    ZONE_REGISTER,
)

#: Values of :data:`~vifd_ovs.bridge.tables.JOINT_REGISTER` besides ``BEGINS``: the last two while
#: the zones are asked: the receiver's comes first; that which came first knows nothing.
KNOWN, JOINS, _RECEIVERS, _NEW = 1, 3, 4, 5
#: The mark of a connection that began while the sender was elsewhere. No life of a port is 1.
_ELSEWHERE_BEGUN = 1
#: Priorities.
_BOTH_BEGAN, _INVALID, _OLDER, _REPLY, _RELATED = 40, 30, 25, 20, 15
_BEGUN_BOTH, _NEW_TO_BOTH, _NEW_TO_ONE, _JOINS, _FORWARD = 13, 13, 12, 12, 10
#: In INGRESS and INGRESS_STATELESS: above those that track.
_JOINT = 15
#: In EGRESS_TO: a MAC that several may have is none of a port here, whoever has it too.
_ANYBODYS, _HERE = 45, 40
#: In EGRESS_ORDER: the receiver is no port here; the lowest bit of the numbers.
_ELSEWHERE, _LOWEST = 50, 40
#: Bits of a port's number.
_BITS = 16


def life(generation: int, ofport: int) -> int:
    """What a connection's mark says of one life of a port."""
    return generation << _BITS | ofport


@lru_cache(maxsize=1)
def common_flows() -> tuple[Flow, ...]:
    """What is the same for every two ports."""
    return (*_order(), *_first(), *_asked(), *_beside(), *_begun(), *_received())


def _received() -> Iterator[Flow]:
    """What the sender has let pass is judged by the rules of the receiver, and committed."""
    for table in (INGRESS, INGRESS_STATELESS):
        for value in (KNOWN, BEGINS, JOINS):
            known: dict[str, Value] = {JOINT_REGISTER: value}
            yield entry(table, _JOINT, cookies.BRIDGE, known, (), INGRESS_TRACKED)
    mark = act.set_field("ct_mark", _ELSEWHERE_BEGUN)
    for value, zones in (
        (BEGINS, committed()),
        (JOINS, [act.ct(commit=True, zone=ZONE_REGISTER, actions=[mark])]),
    ):
        passed: dict[str, Value] = {VERDICT_REGISTER: 1, JOINT_REGISTER: value}
        yield entry(EGRESS_VERDICT, JOINT, cookies.BRIDGE, passed, (), DELIVER)
        for kind in (IPV4, IPV6):
            match: dict[str, Value] = {"eth_type": kind, **passed}
            yield entry(INGRESS_VERDICT, JOINT, cookies.BRIDGE, match, zones, GIVEN)
            yield entry(INGRESS_STATELESS, JOINT, cookies.BRIDGE, match, zones, GIVEN)


def _order() -> Iterator[Flow]:
    """Of two ports that one comes first whose number has the lowest bit in which they differ:
    whoever sends, it is the same one."""
    yield flow(EGRESS_TO, 0, cookies.BRIDGE, goto=EGRESS_ORDER)
    for kind in (IPV4, IPV6):
        elsewhere: dict[str, Value] = {"eth_type": kind, ZONE_REGISTER: 0}
        alone = act.ct(zone=PORT_REGISTER, table=EGRESS_ALONE)
        yield entry(EGRESS_ORDER, _ELSEWHERE, cookies.BRIDGE, elsewhere, [alone])
    receivers = act.set_field(JOINT_REGISTER, _RECEIVERS)
    for number in range(_BITS):
        bit = 1 << number
        for sent, actions in ((bit, []), (0, [receivers])):
            match: dict[str, Value] = {PORT_REGISTER: (sent, bit), ZONE_REGISTER: (bit - sent, bit)}
            yield entry(
                EGRESS_ORDER, _LOWEST - number, cookies.BRIDGE, match, actions, EGRESS_FIRST
            )
    yield flow(EGRESS_ORDER, 0, cookies.BRIDGE, goto=EGRESS_FIRST)


def _first() -> Iterator[Flow]:
    """The zone of that one is asked first."""
    for kind in (IPV4, IPV6):
        match: dict[str, Value] = {"eth_type": kind, JOINT_REGISTER: _RECEIVERS}
        asked = act.ct(zone=ZONE_REGISTER, table=EGRESS_ASKED)
        yield entry(EGRESS_FIRST, _REPLY, cookies.BRIDGE, match, [asked])
        own = act.ct(zone=PORT_REGISTER, table=EGRESS_BESIDE)
        yield flow(EGRESS_FIRST, _FORWARD, cookies.BRIDGE, [own], eth_type=kind)


def _asked() -> Iterator[Flow]:
    """The zone of the receiver was asked first."""
    known = [act.set_field(JOINT_REGISTER, KNOWN), *judged(Direction.INGRESS)]
    own = act.ct(zone=PORT_REGISTER, table=EGRESS_BESIDE)
    began: dict[str, Value] = {"ct_state": "+trk+est-rel+rpl"}
    yield entry(EGRESS_ASKED, _REPLY, cookies.BRIDGE, began, known, EGRESS_VERDICT)
    for kind in (IPV4, IPV6):
        older: dict[str, Value] = {"eth_type": kind, **began, "ct_mark": _ELSEWHERE_BEGUN}
        yield entry(EGRESS_ASKED, _OLDER, cookies.BRIDGE, older, [own])
        new = [act.set_field(JOINT_REGISTER, _NEW), own]
        yield flow(EGRESS_ASKED, _NEW_TO_ONE, cookies.BRIDGE, new, eth_type=kind,
                   ct_state="+trk+new")  # fmt: skip
        yield flow(EGRESS_ASKED, _FORWARD, cookies.BRIDGE, [own], eth_type=kind)


def _beside() -> Iterator[Flow]:
    """The zone of the sender was asked. An error says of itself only what it is about: whether that
    is a connection of the receiver, the receiver's zone must know. Where the sender's zone has
    another connection of the same addresses, what begins here is not marked as begun by both."""
    known = act.set_field(JOINT_REGISTER, KNOWN)
    own: dict[str, Value] = {"ct_state": "+trk+est-rel-rpl"}
    asked = [known, *judged(Direction.EGRESS)]
    yield entry(EGRESS_BESIDE, _RELATED, cookies.BRIDGE, own, asked, EGRESS_VERDICT)
    unmarked = [act.set_field(r, 0) for r in (LIFE_REGISTER, OTHER_REGISTER)]
    both: dict[str, Value] = {"ct_state": "+trk+new", JOINT_REGISTER: _NEW}
    yield entry(EGRESS_BESIDE, _NEW_TO_BOTH, cookies.BRIDGE, both, _begins(), EGRESS_VERDICT)
    track = act.ct(zone=ZONE_REGISTER, table=EGRESS_BEGUN)
    for kind in (IPV4, IPV6):
        older: dict[str, Value] = {"eth_type": kind, **own, "ct_mark": _ELSEWHERE_BEGUN}
        yield entry(EGRESS_BESIDE, _REPLY, cookies.BRIDGE, older, [known, track])
        yield flow(EGRESS_BESIDE, _NEW_TO_ONE, cookies.BRIDGE, [track], eth_type=kind,
                   ct_state="+trk+new")  # fmt: skip
        yield flow(EGRESS_BESIDE, _FORWARD, cookies.BRIDGE, [*unmarked, track], eth_type=kind)
    yield flow(EGRESS_BESIDE, 0, cookies.BRIDGE, goto=EGRESS_REFUSED)


def _begins() -> list[act.Action]:
    """The sender begins a connection, if its rules let it."""
    begins, zone = act.set_field(JOINT_REGISTER, BEGINS), act.move(PORT_REGISTER, ZONE_REGISTER)
    return [begins, zone, *judged(Direction.EGRESS)]


def _begun() -> Iterator[Flow]:
    """The zone of the receiver was asked as well: it began the connection, or the sender does. Or
    either was, and says that both began it."""
    known, joins = (act.set_field(JOINT_REGISTER, n) for n in (KNOWN, JOINS))
    zone = act.move(PORT_REGISTER, ZONE_REGISTER)
    both: dict[str, Value] = {JOINT_REGISTER: KNOWN, "ct_state": "+trk+est-rpl"}
    yield flow(EGRESS_BEGUN, _INVALID, cookies.BRIDGE, goto=EGRESS_REFUSED, ct_state="+inv")
    for priority, match, actions in (
        (_REPLY, {"ct_state": "+trk+rpl"}, [known, *judged(Direction.INGRESS)]),
        (_RELATED, {"ct_state": "+trk+rel-rpl"}, [known, *judged(Direction.EGRESS)]),
        (_BEGUN_BOTH, both, judged(Direction.EGRESS)),
        (_JOINS, {"ct_state": "+trk+est-rpl"}, [joins, zone, *judged(Direction.EGRESS)]),
        (_FORWARD, {"ct_state": "+trk-rpl"}, _begins()),
    ):
        yield entry(EGRESS_BEGUN, priority, cookies.BRIDGE, match, actions, EGRESS_VERDICT)
    yield flow(EGRESS_BEGUN, 0, cookies.BRIDGE, goto=EGRESS_REFUSED)


def port_flows(cookie: int, tag: int, mac: str, ofport: int, life: int) -> Iterator[Flow]:
    """What is between a port with groups that is here and other such ports: how it is reached, and
    whose connections with it both began.

    :param life: of the port, see :func:`life`
    """
    here = [act.set_field(ZONE_REGISTER, ofport), act.set_field(OTHER_REGISTER, life)]
    match: dict[str, Value] = {NETWORK_REGISTER: tag, "eth_dst": mac}
    yield entry(EGRESS_TO, _HERE, cookie, match, here, EGRESS_ORDER)
    known = act.set_field(JOINT_REGISTER, KNOWN)
    for table, register in ((EGRESS_ASKED, PORT_REGISTER), (EGRESS_BESIDE, ZONE_REGISTER)):
        both: dict[str, Value] = {register: ofport, "ct_state": "+trk-new-inv", "ct_mark": life}
        yield entry(table, _BOTH_BEGAN, cookie, both, [known], EGRESS_BEGUN)


def anybodys(cookie: int, tag: int, mac: str) -> Flow:
    """What is sent to a MAC address that several ports may have: each tracks what it gets."""
    match: dict[str, Value] = {NETWORK_REGISTER: tag, "eth_dst": mac}
    return entry(EGRESS_TO, _ANYBODYS, cookie, match, (), EGRESS_ORDER)
