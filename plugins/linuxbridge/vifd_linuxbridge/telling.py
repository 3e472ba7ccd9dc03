"""Which packets of a port are handed to vifd because logs of its security groups are about them, as
rules. Pure.

==============  ====================================================================================
``logged``      map from a tap of which accepted packets are logged to the chain for them
``log-from``    behind the rules of groups, of what guests send; ``log-to`` of what they get
``DEV-logd``    hands over what no rule lets pass; the port's own chains jump there before they drop
``DEV-loga``    hands over what passed, of each connection the packet that begins it
==============  ====================================================================================

A chain hands over as much as the limit of a log lets it; what is above is counted by the rule that
keeps it back. Nothing of it is there while nothing is logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from vifd.drivers.nft.expr import (
    CONFIRMED,
    Code,
    Compare,
    Connection,
    Counter,
    Expr,
    Key,
    Log,
    Lookup,
    Mask,
    Meta,
    Over,
    Tracked,
    Verdict,
    canonical,
    interface,
)
from vifd.drivers.nft.objects import (
    COPIED,
    GROUP,
    Chain,
    Change,
    Element,
    Hook,
    Overheard,
    Rule,
    Set,
)
from vifd.policy.rule import Direction
from vifd_linuxbridge import groupbase
from vifd_linuxbridge.groupbase import Judged, host

LOGGED = "logged"
SETS = (Set(LOGGED, vmap=True),)
#: Behind the rules of security groups (-150), before limits (-140).
_PRIORITY = -145
_FROM, _TO = "log-from", "log-to"
BASE = (_FROM, _TO)
_DIRECTIONS = {Hook.PREROUTING: Direction.EGRESS, Hook.POSTROUTING: Direction.INGRESS}
_RETURN = Verdict(Code.RETURN)
_BIT = host(CONFIRMED, 4)
_STATUS = (Connection(Tracked.STATUS), Mask(_BIT))
_BEGAN, _GOES_ON = Compare(bytes(4)), Compare(_BIT)


class Word(StrEnum):
    """What a rule says of what it hands over.

    :cvar MAYBE: it passed, in a connection that has begun; whether by a rule without state, which
        would have each packet of it logged, the rules tell
    """

    ACCEPT = "ACCEPT"
    DROP = "DROP"
    MAYBE = "PASSED"


class Told(NamedTuple):
    """A frame that was handed over for a log."""

    port: str
    word: Word
    direction: Direction


_SAID = re.compile(r"vifd (ACCEPT|DROP|PASSED) ([0-9a-f-]{36})")


def said(word: Word, port_id: str) -> str:
    """What a rule of a port says."""
    return f"vifd {word} {port_id}"


def told(heard: Overheard) -> Told | None:
    """What a frame is that was handed over; ``None``: none of these."""
    found = _SAID.fullmatch(heard.prefix)
    direction = _DIRECTIONS.get(heard.hook) if heard.hook is not None else None
    if found is None or direction is None:
        return None
    return Told(found[2], Word(found[1]), direction)


def _rule(*exprs: Expr) -> Rule:
    return Rule(tuple(map(canonical, exprs)))


@lru_cache(maxsize=1)
def base() -> tuple[Chain, ...]:
    """What all ports share of which accepted packets are logged."""
    sent = _rule(Meta(Key.IIFNAME), Lookup(LOGGED, vmap=True))
    given = _rule(Meta(Key.OIFNAME), Lookup(LOGGED, vmap=True))
    return (
        Chain(_FROM, (sent,), Hook.PREROUTING, _PRIORITY),
        Chain(_TO, (given,), Hook.POSTROUTING, _PRIORITY),
    )


def gone() -> Change:
    """Take away what all ports share."""
    return Change(delete_chains=BASE, delete_sets=[made.name for made in SETS])


# --- a port ---------------------------------------------------------------------------------------


def dropped_chain(device: str) -> str:
    """The chain that hands over what no rule lets pass."""
    return f"{device}-logd"


def accepted_chain(device: str) -> str:
    """The chain that hands over what passed."""
    return f"{device}-loga"


def chain_names(device: str) -> tuple[str, str]:
    """The chains that a port can have for logs."""
    return dropped_chain(device), accepted_chain(device)


def element(device: str) -> Element:
    """What has accepted packets of a port looked at."""
    return Element(LOGGED, device, Verdict(Code.GOTO, accepted_chain(device)))


def port_rules(device: str, judged: Judged) -> dict[str, tuple[Rule, ...]]:
    """The chains of a port with groups, with what is handed over of it."""
    chains = groupbase.port_rules(device, judged)
    if judged.logged.dropped:
        jump = _rule(Verdict(Code.JUMP, dropped_chain(device)))
        # before the last rule, which drops
        chains = {name: (*rules[:-1], jump, rules[-1]) for name, rules in chains.items()}
        handed = _hand(judged, Word.DROP)
        chains[dropped_chain(device)] = (_limit(judged), _rule(handed))
    if judged.logged.accepted:
        chains[accepted_chain(device)] = tuple(_accepted(device, judged))
    return chains


def _accepted(device: str, judged: Judged) -> Iterator[Rule]:
    """What every guest needs is no matter of groups, and left out."""
    own = Compare(interface(device))
    for key, basics in ((Key.IIFNAME, groupbase.SENT), (Key.OIFNAME, groupbase.GOT)):
        yield _rule(Meta(key), own, Verdict(Code.JUMP, basics))
    stateful, stateless = (any(groups.values()) for groups in (judged.stateful, judged.stateless))
    if not stateless:
        yield _rule(*_STATUS, _GOES_ON, _RETURN)
    yield _limit(judged)
    if stateless and stateful:
        yield _rule(*_STATUS, _BEGAN, _hand(judged, Word.ACCEPT), _RETURN)
        yield _rule(_hand(judged, Word.MAYBE))
    else:
        yield _rule(_hand(judged, Word.ACCEPT))


def _limit(judged: Judged) -> Rule:
    return _rule(Over(judged.rate, judged.burst, packets=True), Counter(), _RETURN)


def _hand(judged: Judged, word: Word) -> Log:
    return Log(GROUP, said(word, judged.port), COPIED)
