"""The table ``vifd`` of the bridge family: what is in force for all ports, and for one. Pure.

================  ==================================================================================
``ports``         set of the taps that we guard
``secured``       set of those to which the anti-spoofing rules apply
``carrying``      set of those whose guests may set VLAN tags of their own
``open``          set of those that traffic passes; a guarded port that is not in it is cut off
``from``          map from a tap to the chain that judges what comes from it
``prerouting``    judges frames before the bridge learns from them
``input``         keeps guests from the host
``postrouting``   judges frames to guests
================  ==================================================================================

Sets are hash tables, so a frame costs the same with one port and with a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vifd.drivers.nft.expr import (
    ACCEPT,
    DROP,
    Base,
    Code,
    Compare,
    Counter,
    Key,
    Lookup,
    Mask,
    Meta,
    Payload,
    Verdict,
)
from vifd.drivers.nft.objects import GUARDED, TABLE, Chain, Change, Element, Hook, Rule, Set
from vifd.model import Attachment
from vifd.policy import owntags
from vifd.policy.addresses import Allowed, allowed
from vifd.policy.qos import Shape, shape_of
from vifd_linuxbridge import groupbase, marks, shaping, telling
from vifd_linuxbridge.antispoof import (
    AUTHENTICATED,
    BROKEN,
    CUT,
    REFUSED,
    TAGGED,
    UNADDRESSED,
    authenticated,
    broken,
    cut,
    discovery_chain,
    port_rules,
    refused,
    tagged,
    without_address,
)
from vifd_linuxbridge.groupbase import Judged

__all__ = ["FROM", "OPEN", "PORTS", "SECURED", "SETS", "TABLE", "Filter", "base", "port_filter"]

PORTS, SECURED, OPEN, FROM = GUARDED, "secured", "open", "from"
CARRYING = "carrying"
SETS = (Set(PORTS), Set(SECURED), Set(CARRYING), Set(OPEN), Set(FROM, vmap=True))
#: Every set and map that a port can be in; it is taken out of them in this order.
OF_PORTS = (
    OPEN, FROM, SECURED, CARRYING, groupbase.SENDS, groupbase.RECEIVES, shaping.FROM, shaping.TO,
    telling.LOGGED, PORTS,
)  # fmt: skip
#: Before the tables of others: what is dropped here concerns nobody.
PRIORITY = -350

_IN, _OUT = Meta(Key.IIFNAME), Meta(Key.OIFNAME)
#: Destinations that bridges keep to themselves (IEEE 802.1Q, table 8-1).
_LINK_LOCAL = (
    Payload(Base.LINK, 0, 6),
    Mask(b"\xff\xff\xff\xff\xff\xf0"),
    Compare(b"\x01\x80\xc2\0\0\0"),
)


@lru_cache(maxsize=2)
def base(guests_reach_host: bool) -> tuple[Chain, ...]:
    """What is in force for all ports."""
    judged = (
        Rule((_IN, Lookup(PORTS), Verdict(Code.JUMP, TAGGED))),
        Rule((_IN, Lookup(SECURED), Verdict(Code.JUMP, REFUSED))),
        Rule((_IN, Lookup(OPEN), _IN, Lookup(FROM, vmap=True))),
        Rule((_IN, Lookup(OPEN), _IN, Lookup(SECURED), Verdict(Code.JUMP, UNADDRESSED))),
        Rule((_IN, Lookup(PORTS), Counter(), DROP)),
    )
    # what bridges keep to themselves comes by here and not by prerouting
    kept = _LINK_LOCAL if guests_reach_host else ()
    return (
        Chain(TAGGED, (Rule((_IN, Lookup(CARRYING), Verdict(Code.RETURN))), *tagged())),
        Chain(AUTHENTICATED, tuple(authenticated())),
        Chain(BROKEN, tuple(broken())),
        Chain(CUT, tuple(cut())),
        Chain(REFUSED, refused()),
        Chain(UNADDRESSED, without_address()),
        Chain("prerouting", judged, Hook.PREROUTING, PRIORITY),
        Chain("input", (Rule((_IN, Lookup(PORTS), *kept, DROP)),), Hook.INPUT, PRIORITY),
        Chain(
            "postrouting",
            (Rule((_OUT, Lookup(OPEN), ACCEPT)), Rule((_OUT, Lookup(PORTS), DROP))),
            Hook.POSTROUTING,
            PRIORITY,
        ),
    )


@dataclass(frozen=True)
class Filter:
    """The part of one port.

    :param pairs: the addresses it may use; ``None`` for a port that is not secured
    :param opened: whether traffic shall pass
    :param judged: by its security groups; ``None`` for none
    :param tracked: whether this kernel can hold ports to such groups at all
    :param shape: what its QoS policy holds it to; ``None`` for nothing
    :param carrying: whether its network carries VLAN tags that its guest sets itself
    :param logging: whether there are ports of which accepted packets are logged
    """

    attachment: Attachment
    device: str
    pairs: tuple[Allowed, ...] | None
    opened: bool
    judged: Judged | None = None
    tracked: bool = False
    shape: Shape | None = None
    carrying: bool = False
    logging: bool = False

    @property
    def plain(self) -> bool:
        """Whether only the port's own MAC may be seen behind it."""
        return self.pairs is not None and all(p.mac == self.attachment.mac for p in self.pairs)

    @property
    def rules(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules by chain; the first chain has the device's name."""
        shape = {} if self.shape is None else shaping.port_rules(self.device, self.shape)
        if self.pairs is None:
            return {self.device: (Rule((ACCEPT,)),), **shape}
        groups = {} if self.judged is None else telling.port_rules(self.device, self.judged)
        return {**port_rules(self.device, self.pairs), **groups, **shape}

    def chains(self) -> tuple[Chain, ...]:
        """The chains as they are installed, with the document in the notes of the first one."""
        comment = marks.port_alias(self.attachment.id)
        return tuple(
            Chain(
                name,
                marks.annotate(rules, self.attachment) if name == self.device else rules,
                comment=comment,
            )
            for name, rules in self.rules.items()
        )

    @property
    def elements(self) -> tuple[tuple[Element, bool], ...]:
        """Every element that a port can have, and whether this one has it."""
        return (
            (Element(PORTS, self.device), True),
            (Element(SECURED, self.device), self.pairs is not None),
            (Element(CARRYING, self.device), self.carrying),
            *((e, self.judged is not None) for e in self._groups),
            *shaping.elements(self.device, self.shape),
            *self._told,
            (self.judge, True),
            (self.gate, self.opened),
        )

    @property
    def _groups(self) -> tuple[Element, ...]:
        return groupbase.elements(self.device) if self.tracked else ()

    @property
    def _told(self) -> tuple[tuple[Element, bool], ...]:
        wanted = self.judged is not None and self.judged.logged.accepted
        return ((telling.element(self.device), wanted),) if wanted or self.logging else ()

    @property
    def judge(self) -> Element:
        """Where frames from the port are sent to."""
        return Element(FROM, self.device, Verdict(Code.JUMP, self.device))

    @property
    def gate(self) -> Element:
        """What lets traffic pass."""
        return Element(OPEN, self.device)


def port_filter(
    attachment: Attachment, device: str, *, opened: bool, judged: Judged | None = None,
    tracked: bool = False, limiting: bool = True, carrying: bool = True, logging: bool = False,
) -> Filter:  # fmt: skip
    """The filter as it shall be: a port whose ``admin_state_up`` is false is never open.

    :param limiting: whether this kernel can hold ports to a rate
    :param carrying: whether tags that guests set themselves pass bridges here
    """
    secured = attachment.port.port_security_enabled
    passes = opened and attachment.port.admin_state_up
    pairs = allowed(attachment) if secured else None
    shape = shape_of(attachment) if limiting else None
    tags = carrying and owntags.over(attachment.network) == owntags.C_TAG
    return Filter(
        attachment, device, pairs, passes, judged, tracked, shape, tags, logging
    )  # fmt: skip


def install(filters: Sequence[Filter], foundation: Sequence[Chain] = ()) -> Change:
    """Put ports in, open or cut off as they shall be.

    :param foundation: the base chains, where they are missing or not as they shall be
    """
    chains = [chain for f in filters for chain in f.chains()]
    kept = {chain.name for chain in chains}
    return Change(
        sets=SETS if foundation else (),
        chains=[*foundation, *chains],
        add=[e for f in filters for e, wanted in f.elements if wanted],
        delete=[e for f in filters for e, wanted in f.elements if not wanted],
        delete_chains=[n for f in filters for n in chain_names(f.device) if n not in kept],
    )


def chain_names(device: str) -> tuple[str, ...]:
    """Every chain that a port can have; the first one has the device's name."""
    groups = groupbase.egress_chain(device), groupbase.ingress_chain(device)
    limits = shaping.sent_chain(device), shaping.given_chain(device)
    return (device, discovery_chain(device), *groups, *limits, *telling.chain_names(device))


def further(names: Iterable[str]) -> set[str]:
    """Of the names of chains, those that would be another one of a port that has a first one."""
    return {more for name in names for more in chain_names(name)[1:]}


def remove(devices: Sequence[str]) -> Change:
    """Take ports out: gate, judge and guard in the same instant."""
    return Change(
        delete=[Element(name, d) for d in devices for name in OF_PORTS],
        delete_chains=[name for d in devices for name in chain_names(d)],
    )


def gates(filters: Sequence[Filter]) -> Change:
    """Open or close ports and leave everything else."""
    return Change(
        add=[f.gate for f in filters if f.opened],
        delete=[f.gate for f in filters if not f.opened],
    )


def same(have: Sequence[Rule], wanted: Sequence[Rule]) -> bool:
    """Whether rules mean the same as those that are wanted: notes may differ, and rules that only
    carry a note may follow the last one."""
    carriers = have[len(wanted) :]
    return [rule.exprs for rule in have[: len(wanted)]] == [rule.exprs for rule in wanted] and all(
        rule.exprs == marks.CARRIER for rule in carriers
    )
