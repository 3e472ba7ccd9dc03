"""The anti-spoofing rules of :mod:`vifd.policy.spoofing` as flows. Pure.

Every frame of a secured port enters PROTOCOL: what nobody may send is refused, what the port claims
of itself is judged as a whole; other IP goes on to SOURCE, which knows the allowed (MAC, IP) pairs;
what has no IP address yet goes to HARDWARE, which knows the allowed MACs. What none of them lets
through ends in SPOOFED, in a drop flow of the port that it came from, which counts it.

The rules that are the same for all ports are bridge flows. They stand in tables that nothing but
our own flows leads to, so they never meet the frame of a foreign port.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from vifd.openflow.field import IPV4, IPV6, TAGGED, Value
from vifd.openflow.flow import Flow, entry, flow
from vifd.policy import spoofing
from vifd.policy.addresses import Allowed
from vifd.policy.claims import claims
from vifd.policy.rule import VLAN_TAGS, Rule, Verdict
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.policy_match import expressible, fields
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.tables import (
    DELIVER,
    EGRESS,
    HARDWARE,
    PROTOCOL,
    SOURCE,
    SPOOFED,
    TAGS,
    TAGS_REGISTER,
)

#: Priorities in PROTOCOL: of the first rule of each part, and one less for each further one.
_STILL_TAGGED, _REFUSED, _PROBE, _CLAIM, _UNPROVEN, _UNADDRESSED, _ADDRESSED = (
    400, 300, 90, 80, 79, 60, 55
)  # fmt: skip
_TABLES = {
    Verdict.REFUSE: SPOOFED,
    Verdict.ACCEPT: DELIVER,
    Verdict.BY_HARDWARE: HARDWARE,
    Verdict.BY_ADDRESS: SOURCE,
}


@lru_cache(maxsize=1)
def common_flows() -> tuple[Flow, ...]:
    """The rules that are the same for every port."""
    return (*_tags(), *_protocol(), *_rest())


def _protocol() -> Iterator[Flow]:
    yield from _ordered(_REFUSED, spoofing.REFUSED)
    yield from _ordered(_UNPROVEN, spoofing.UNPROVEN)
    yield from (_flow(_UNADDRESSED, rule, cookies.BRIDGE) for rule in spoofing.UNADDRESSED)
    yield from _ordered(_ADDRESSED, spoofing.ADDRESSED)


def _ordered(first: int, rules: tuple[Rule, ...]) -> Iterator[Flow]:
    """Each rule stands below the one before it."""
    said = [rule for rule in rules if expressible(rule.match)]
    return (_flow(first - i, rule, cookies.BRIDGE) for i, rule in enumerate(said))


def _flow(priority: int, rule: Rule, cookie: int, in_port: int | None = None) -> Flow:
    match = fields(rule.match)
    if in_port is not None:
        match["in_port"] = in_port
    return flow(PROTOCOL, priority, cookie, (), _TABLES[rule.verdict], **match)


def _tags() -> Iterator[Flow]:
    """A tag that is still there once a priority tag was taken off: no guest may send it, but where
    its network carries it. An Ethernet type of a tag is what the switch sees of one below those
    that it looks at: what is beneath cannot be judged."""
    uncarried: dict[str, Value] = {"vlan_vid": TAGGED, TAGS_REGISTER: 0}
    yield entry(PROTOCOL, _STILL_TAGGED, cookies.BRIDGE, uncarried, goto=SPOOFED)
    yield flow(TAGS, 100, cookies.BRIDGE, vlan_vid=TAGGED)
    for kind in VLAN_TAGS:
        yield flow(TAGS, 90, cookies.BRIDGE, eth_type=kind)
    yield flow(TAGS, 0, cookies.BRIDGE, goto=DELIVER)


def _rest() -> Iterator[Flow]:
    for table in (PROTOCOL, SOURCE, HARDWARE):
        yield flow(table, 0, cookies.BRIDGE, goto=SPOOFED)


def port_flows(port: SwitchPort) -> Iterator[Flow]:
    """The rules of one secured port."""
    yield flow(SPOOFED, 50, port.cookie, in_port=port.ofport)
    for rule in claims(port.allowed):
        # a prefix of every address holds the address of a probe as well
        nobody = rule.match.arp_op is not None or rule.match.src == "::"
        priority = _PROBE if nobody else _CLAIM
        yield _flow(priority, rule, port.cookie, port.ofport)
    for pair in port.allowed:
        yield from _sources(port, pair)
        yield flow(
            HARDWARE, 50, port.cookie, goto=_onward(port), in_port=port.ofport, eth_src=pair.mac
        )


def _onward(port: SwitchPort) -> int:
    """Where a frame goes on that may come from the port; one without groups skips their tables."""
    return DELIVER if port.groups is None else EGRESS


def _sources(port: SwitchPort, pair: Allowed) -> Iterator[Flow]:
    for prefix in pair.ipv4:
        yield flow(
            SOURCE, 50, port.cookie, goto=_onward(port), in_port=port.ofport, eth_type=IPV4,
            eth_src=pair.mac, ipv4_src=prefix,
        )  # fmt: skip
    for prefix in pair.ipv6:
        yield flow(
            SOURCE, 50, port.cookie, goto=_onward(port), in_port=port.ofport, eth_type=IPV6,
            eth_src=pair.mac, ipv6_src=prefix,
        )  # fmt: skip
