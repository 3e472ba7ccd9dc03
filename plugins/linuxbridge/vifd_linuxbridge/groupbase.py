"""What holds ports to their security groups: the chains and sets that all such ports share, and the
chains of one. Pure.

===============  ===================================================================================
``zones``        map from a bridge to the chain that says which connections its frames belong to
``sends``        map from a tap with groups to the chain that judges what it sends
``receives``     map from such a tap to the chain that judges what it gets
``track``        before connections are looked up: whose they are
``egress``       judges what ports with groups send
``ingress``      judges what they get, broadcast and multicast included
``zone-BRIDGE``  the zone of a bridge, or of each VLAN of it
===============  ===================================================================================

A zone for each network: a frame is looked up once on its way through a bridge. Whose port began a
connection stands in its mark, so that nobody else's packet makes an answer of what it is none of.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain as concat

from vifd.drivers.nft.expr import (
    ACCEPT,
    DROP,
    Base,
    Code,
    Compare,
    Connection,
    Counter,
    Expr,
    Key,
    Load,
    Lookup,
    Mask,
    Meta,
    Note,
    Payload,
    Tracked,
    Untracked,
    Verdict,
    canonical,
)
from vifd.drivers.nft.objects import Chain, Element, Hook, Rule, Set
from vifd.policy.groups import BASE
from vifd.policy.logged import NOTHING, Logged
from vifd.policy.rule import IPV4, IPV6, Direction
from vifd_linuxbridge.grouprules import chain_name
from vifd_linuxbridge.policy_match import expressions

ZONES, SENDS, RECEIVES = "zones", "sends", "receives"
SETS = (Set(ZONES, vmap=True), Set(SENDS, vmap=True), Set(RECEIVES, vmap=True))
#: What every guest needs to send, and to get.
SENT, GOT = "basics-sent", "basics-got"
_ZONE_PREFIX = "zone-"
#: Before connections are looked up (-200), behind anti-spoofing; and after it.
_BEFORE, _AFTER = -250, -150
_KINDS = {4: IPV4, 6: IPV6}
_BEGAN, _ANSWERS = b"\0", b"\1"
_RETURN = Verdict(Code.RETURN)
_TAG, _VLAN = (Payload(Base.LINK, 14, 2), Mask(b"\x0f\xff")), Meta(Key.VLAN)
_TAGGED = b"\x81\0"


def _rule(*exprs: Expr) -> Rule:
    return Rule(tuple(map(canonical, exprs)))


@lru_cache(maxsize=1)
def base() -> tuple[Chain, ...]:
    """What is in force for all ports with groups."""
    tracked = Rule((Meta(Key.BRIDGE), Lookup(ZONES, vmap=True)))
    sends = Rule((Meta(Key.IIFNAME), Lookup(SENDS, vmap=True)))
    receives = Rule((Meta(Key.OIFNAME), Lookup(RECEIVES, vmap=True)))
    return (
        Chain(SENT, _basics(Direction.EGRESS)),
        Chain(GOT, _basics(Direction.INGRESS)),
        Chain("track", (tracked,), Hook.PREROUTING, _BEFORE),
        Chain("egress", (sends,), Hook.PREROUTING, _AFTER),
        Chain("ingress", (receives,), Hook.POSTROUTING, _AFTER),
    )


def _basics(direction: Direction) -> tuple[Rule, ...]:
    return tuple(_rule(*expressions(rule.match), ACCEPT) for rule in BASE[direction])


# --- zones ----------------------------------------------------------------------------------------

#: Zones of networks; switches and their agents take low numbers.
FIRST_ZONE, LAST_ZONE = 0xF000, 0xFFFF


def host(number: int, size: int) -> bytes:
    """A number in the byte order of the host."""
    return number.to_bytes(size, sys.byteorder)


def zone_chain(bridge: str, zones: Mapping[int | None, int]) -> Chain:
    """What says which zone the frames of a bridge are in.

    :param zones: by VLAN of a VLAN-aware bridge, or of the bridge as a whole (``None``); nothing
        else of it is followed
    """
    rules = [
        Rule((*frames, Load(host(zone, 2)), Note(Tracked.ZONE), _RETURN))
        for vlan, zone in sorted(zones.items(), key=str)
        for frames in (((),) if vlan is None else _of_vlan(vlan))
    ]
    rest = [] if None in zones else [Rule((Untracked(),))]
    return Chain(zone_chain_name(bridge), (*rules, *rest))


def _of_vlan(vlan: int) -> Iterator[tuple[Expr, ...]]:
    """The frames of a VLAN: tagged with it, or untagged from a port that it is the VLAN of."""
    tagged = Payload(Base.LINK, 12, 2)
    yield (tagged, Compare(_TAGGED), *_TAG, Compare(vlan.to_bytes(2, "big")))
    yield (tagged, Compare(_TAGGED, equal=False), _VLAN, Compare(host(vlan, 2)))


def zone_chain_name(bridge: str) -> str:
    """The chain of a bridge's zones."""
    return f"{_ZONE_PREFIX}{bridge}"


def zones_of(chain: Chain) -> tuple[str, dict[int | None, int]] | None:
    """The bridge and the zones that a chain says; ``None``: it says none."""
    if not chain.name.startswith(_ZONE_PREFIX):
        return None
    found: dict[int | None, int] = {}
    for rule in chain.rules:
        zone = next((e.value for e in rule.exprs if isinstance(e, Load)), None)
        tags = [e.value for e in rule.exprs if isinstance(e, Compare)]
        if zone is not None and (not tags or tags[0] == _TAGGED) and _VLAN not in rule.exprs:
            vlan = int.from_bytes(tags[-1], "big") if tags else None
            found[vlan] = int.from_bytes(zone, sys.byteorder)
    return chain.name.removeprefix(_ZONE_PREFIX), found


def zone_element(bridge: str) -> Element:
    """Where the frames of a bridge are told their zone."""
    return Element(ZONES, bridge, Verdict(Code.GOTO, zone_chain_name(bridge)))


# --- a port ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """The groups of a port, by whether they have state; none of those of a closed direction.

    :param mark: of the connections that it began
    :param port: its id
    :param logged: which of its packets logs are about
    :param rate: packets a second of it that are handed over for them at most
    :param burst: that may come at once
    """

    mark: int
    stateful: Mapping[Direction, tuple[str, ...]]
    stateless: Mapping[Direction, tuple[str, ...]]
    port: str = ""
    logged: Logged = NOTHING
    rate: int = 1
    burst: int = 1

    def with_logs(self, port: str, logged: Logged, rate: int, burst: int) -> Judged:
        """The same, with what is logged of it."""
        return replace(self, port=port, logged=logged, rate=rate, burst=burst)

    @property
    def groups(self) -> frozenset[str]:
        """Every group that is asked."""
        every = (*self.stateful.values(), *self.stateless.values())
        return frozenset(concat.from_iterable(every))


def egress_chain(device: str) -> str:
    """The chain that judges what a port sends."""
    return f"{device}-out"


def ingress_chain(device: str) -> str:
    """The chain that judges what a port gets."""
    return f"{device}-in"


def elements(device: str) -> tuple[Element, Element]:
    """What has a port judged by its chains."""
    return (
        Element(SENDS, device, Verdict(Code.GOTO, egress_chain(device))),
        Element(RECEIVES, device, Verdict(Code.GOTO, ingress_chain(device))),
    )


def port_rules(device: str, judged: Judged) -> dict[str, tuple[Rule, ...]]:
    """The chains of a port with groups."""
    return {egress_chain(device): _egress(judged), ingress_chain(device): _ingress(judged)}


def _egress(judged: Judged) -> tuple[Rule, ...]:
    out, back = Direction.EGRESS, Direction.INGRESS
    mine = (Load(host(judged.mark, 4)), Note(Tracked.MARK))
    began = _rule(Connection(Tracked.DIRECTION), Compare(_BEGAN), *mine)
    return (
        _rule(Verdict(Code.JUMP, SENT)),
        *_asked(judged.stateless[out], out),
        *((began,) if judged.stateful[out] else ()),
        *_asked(judged.stateful[out], out, Connection(Tracked.DIRECTION), Compare(_BEGAN)),
        *_asked(judged.stateful[back], back, Connection(Tracked.DIRECTION), Compare(_ANSWERS)),
        _rule(Counter(), DROP),
    )


def _ingress(judged: Judged) -> tuple[Rule, ...]:
    out, back = Direction.EGRESS, Direction.INGRESS
    answers = Connection(Tracked.DIRECTION), Compare(_ANSWERS)
    mine = Connection(Tracked.MARK), Compare(host(judged.mark, 4))
    return (
        _rule(Verdict(Code.JUMP, GOT)),
        *_asked(judged.stateless[back], back),
        *_asked(judged.stateful[back], back, Connection(Tracked.DIRECTION), Compare(_BEGAN)),
        *_asked(judged.stateful[out], out, *answers, *mine),
        _rule(Counter(), DROP),
    )


def _asked(groups: Iterable[str], direction: Direction, *when: Expr) -> list[Rule]:
    """Ask groups what they say of a direction."""
    return [
        _rule(Meta(Key.PROTOCOL), Compare(kind.to_bytes(2, "big")), *when,
              Verdict(Code.JUMP, chain_name(group, direction, version)))
        for group in groups
        for version, kind in _KINDS.items()
    ]  # fmt: skip
