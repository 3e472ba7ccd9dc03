"""The anti-spoofing rules of :mod:`vifd.policy.spoofing` as rules of nftables. Pure.

What nobody may send is dropped by a chain that all ports share. A rule of a port accepts for one
(MAC, prefix) pair, so that a pair never lends its IP to another's MAC. What a port's own rules do
not know comes back from its chain if its MAC is one of the port's; the few things that may come
without an address are judged there, by rules that all ports share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from vifd.drivers.nft.expr import (
    ACCEPT,
    DROP,
    Base,
    Code,
    Compare,
    Counter,
    Expr,
    Extension,
    Key,
    Mask,
    Meta,
    Payload,
    Verdict,
    canonical,
    mac,
    prefix,
)
from vifd.drivers.nft.objects import Rule
from vifd.policy import spoofing
from vifd.policy.addresses import Allowed
from vifd.policy.claims import allowed_claims, claims
from vifd.policy.rule import (
    ARP,
    ICMPV6,
    IPV4,
    IPV6,
    TCP,
    UDP,
    VLAN_TAGS,
    Fragment,
    Match,
)
from vifd.policy.rule import Rule as Sentence
from vifd.policy.rule import Verdict as Decision
from vifd_linuxbridge.policy_match import (
    ETH_SOURCE,
    OPTION,
    OPTION_ADDRESS,
    TARGET,
    expressions,
    fragment,
    protocol,
    transport,
)

#: The chain of what no guest may send.
TAGGED = "tagged"
#: The chain of what no secured guest may send.
REFUSED = "refused"
#: The chains of headers that cannot be read, and of first fragments without a transport header.
BROKEN, CUT = "broken", "cut"
#: The chain of what stands behind an authentication header.
AUTHENTICATED = "authenticated"
#: The chain of what a secured guest may send without an address.
UNADDRESSED = "unaddressed"
#: So many prefixes fit into one rule that says "none of these".
ONE_RULE = 24

_RETURN = Verdict(Code.RETURN)
_TAG = Payload(Base.LINK, 12, 2)
_TAG_CONTROL = Payload(Base.LINK, 14, 2)
_IPV4_SOURCE, _IPV6_SOURCE = Payload(Base.NETWORK, 12, 4), Payload(Base.NETWORK, 8, 16)
#: Hardware and protocol of ARP for IPv4 over Ethernet, and the lengths of their addresses; each by
#: itself, as the tools take a row of fields apart.
_ARP_FORM = (
    (Payload(Base.NETWORK, 0, 2), b"\0\1"), (Payload(Base.NETWORK, 2, 2), b"\x08\0"),
    (Payload(Base.NETWORK, 4, 1), b"\6"), (Payload(Base.NETWORK, 5, 1), b"\4"),
)  # fmt: skip
#: The header of UDP and ICMPv6, and the end of that of TCP.
_HEADER, _TCP_END = Payload(Base.TRANSPORT, 0, 8), Payload(Base.TRANSPORT, 18, 2)
#: Behind an authentication header (RFC 4302) nothing can be followed; its first byte names what is.
_AUTHENTICATION = 51
_NEXT_HEADER = Payload(Base.TRANSPORT, 0, 1)
_HEADERS = (0, 43, 44, _AUTHENTICATION, 60)
_BEHIND = (UDP, ICMPV6, *_HEADERS)
_FRAGMENT_NEXT = Extension(44, 0, 1)
#: An IPv4 header without options, and the length of the packet.
_IPV4_PLAIN = Payload(Base.NETWORK, 0, 1), Compare(b"\x45")
_IPV4_LENGTH = Payload(Base.NETWORK, 2, 2)
#: The option of a solicitation with the sender's address, of an advertisement with the target's
#: (RFC 4861, 4.6.1), and the nonce of address detection, of one unit of 8 bytes (RFC 7527).
_OPTIONS = {spoofing.SOLICITATION: b"\1", spoofing.ADVERTISEMENT: b"\2"}
_NONCE = (Payload(Base.TRANSPORT, 24, 2), Compare(b"\x0e\1", equal=False))
_SECOND_OPTION = Payload(Base.TRANSPORT, 32, 1)


def _rule(*exprs: Expr) -> Rule:
    return Rule(tuple(map(canonical, exprs)))


def _drop(*exprs: Expr) -> Rule:
    return _rule(*exprs, Counter(), DROP)


def _icmpv6(kind: int) -> tuple[Expr, ...]:
    return expressions(Match(ethertype=IPV6, protocol=58, icmp_type=kind))


def tagged() -> Iterator[Rule]:
    """Frames with a VLAN tag: behind the bridge they would be those of another network. A tag with
    a priority and no VLAN id is none (IEEE 802.1Q, 6.9); below it there may be another."""
    for kind in VLAN_TAGS:
        yield _drop(*protocol(kind))
        tag = _TAG, Compare(kind.to_bytes(2, "big"))
        yield _drop(*tag, _TAG_CONTROL, Mask(b"\x0f\xff"), Compare(b"\0\0", equal=False))


# --- what all ports share -------------------------------------------------------------------------


@lru_cache(maxsize=1)
def refused() -> tuple[Rule, ...]:
    """What no guest may send, in the order of the policy."""
    rules = [rule for sentence in spoofing.REFUSED for rule in _refused(sentence)]
    rules += [_drop(*protocol(ARP), load, Compare(value, False)) for load, value in _ARP_FORM]
    jump = Verdict(Code.JUMP, AUTHENTICATED)
    rules.append(_rule(*protocol(IPV6), *transport(_AUTHENTICATION), jump))
    rules += _headers_in_pieces()
    rules += _odd_options()
    last = max(i for i, s in enumerate(spoofing.ADDRESSED) if s.verdict is Decision.REFUSE)
    return (*rules, *(_shared(sentence) for sentence in spoofing.ADDRESSED[: last + 1]))


def _refused(sentence: Sentence) -> Iterator[Rule]:
    match = sentence.match
    if match.unreadable:
        yield _rule(*expressions(match), Verdict(Code.JUMP, BROKEN))
        return
    yield _shared(sentence)
    if 0 in (match.dport, match.icmp_type):
        there = Match(ethertype=match.ethertype, protocol=match.protocol, fragment=match.fragment)
        yield _rule(*expressions(there), Verdict(Code.JUMP, CUT))


def _shared(sentence: Sentence) -> Rule:
    exprs = expressions(sentence.match)
    return _drop(*exprs) if sentence.verdict is Decision.REFUSE else _rule(*exprs, _RETURN)


def broken() -> Iterator[Rule]:
    """IP whose headers the kernel could follow comes back; of later fragments it reads none."""
    yield _rule(Meta(Key.L4PROTO), Compare(b"\xff", equal=False), _RETURN)
    yield _rule(*protocol(IPV6), *fragment(IPV6, Fragment.LATER), _RETURN)
    yield _drop()


def cut() -> Iterator[Rule]:
    """What has a transport header comes back, and what cannot have one. What stands behind the end
    of an IPv4 packet is no header; a first fragment of it holds a multiple of 8 bytes."""
    for size in (20, 28, 36):
        short = *_IPV4_PLAIN, _IPV4_LENGTH, Compare(bytes((0, size)))
        yield _drop(*protocol(IPV4), *short, *(transport(TCP) if size > 20 else ()))
    yield _rule(*protocol(IPV6), *fragment(IPV6, Fragment.LATER), _RETURN)
    yield _rule(*transport(TCP), *_there(_TCP_END), _RETURN)
    yield _drop(*transport(TCP))
    yield _rule(*_there(_HEADER), _RETURN)
    yield _drop()


def _there(load: Payload) -> tuple[Expr, ...]:
    """That the bytes are there at all: what cannot be loaded ends the row. That they are compared
    is for the tools, which leave out a value that nobody looks at."""
    return load, Compare(b"\xff" * load.length, equal=False)


def authenticated() -> Iterator[Rule]:
    """What the rules would have to look into, behind an authentication header; all else comes back.

    Equality with some kinds makes nft, the tool, fail; that they are none it can read.
    """
    others = (e for kind in _BEHIND for e in (_NEXT_HEADER, Compare(bytes((kind,)), equal=False)))
    yield _rule(*others, _RETURN)
    yield _drop()


def _headers_in_pieces() -> Iterator[Rule]:
    """Headers behind a fragment header: nothing tells whether they end within the packet, as the
    kernel goes on reading behind its end (RFC 7112 would have them whole)."""
    for kind in _HEADERS:
        behind = _FRAGMENT_NEXT, Compare(bytes((kind,)))
        yield _drop(*protocol(IPV6), *fragment(IPV6, Fragment.FIRST), *behind)


def _odd_options() -> Iterator[Rule]:
    """Neighbour discovery whose link-layer address stands where it is not looked for."""
    for kind, option in _OPTIONS.items():
        nonce = _NONCE if kind == spoofing.SOLICITATION else ()
        yield _drop(*_icmpv6(kind), OPTION, Compare(option, equal=False), *nonce)
        yield _drop(*_icmpv6(kind), _SECOND_OPTION, Compare(option))


@lru_cache(maxsize=1)
def without_address() -> tuple[Rule, ...]:
    """What may come from an allowed MAC before it has an address."""
    return tuple(_rule(*expressions(s.match), ACCEPT) for s in spoofing.UNADDRESSED)


# --- a port ---------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def port_rules(device: str, pairs: tuple[Allowed, ...]) -> Mapping[str, tuple[Rule, ...]]:
    """The chains of a secured port by name; the first has the device's name.

    A second one is needed for several MACs, and for a MAC with very many IPv6 prefixes.
    """
    alone = len(pairs) == 1
    rules: list[Rule] = []
    if alone:
        # one look at the MAC is enough then
        rules.append(_drop(ETH_SOURCE, Compare(mac(pairs[0].mac), False)))
    rules += _ipv4(pairs, alone=alone)
    discovery: tuple[Rule, ...] = ()
    if alone and len(pairs[0].ipv6) <= ONE_RULE:
        rules += _foreign_discovery(pairs[0])
    else:
        discovery = (*_solicitations(pairs), *_advertisements(pairs))
        jump = Verdict(Code.JUMP, discovery_chain(device))
        rules += [_rule(*_icmpv6(kind), jump) for kind in _OPTIONS]
    rules += _ipv6(pairs, alone=alone)
    rules += _claimed(pairs, alone=alone)
    if not alone:
        rules += [_rule(ETH_SOURCE, Compare(mac(pair.mac)), _RETURN) for pair in pairs]
        rules.append(_drop())
    chains = {device: tuple(rules)}
    return chains | {discovery_chain(device): discovery} if discovery else chains


def discovery_chain(device: str) -> str:
    """The chain that judges the neighbour discovery of a port; what passes comes back from it."""
    return f"{device}-nd"


def _source(name: str, *, alone: bool) -> tuple[Expr, ...]:
    return () if alone else (ETH_SOURCE, Compare(mac(name)))


def _ipv4(pairs: Sequence[Allowed], *, alone: bool) -> Iterator[Rule]:
    for pair in pairs:
        for text in pair.ipv4:
            source = _source(pair.mac, alone=alone)
            yield _rule(*source, *protocol(IPV4), *prefix(_IPV4_SOURCE, text), ACCEPT)


def _ipv6(pairs: Sequence[Allowed], *, alone: bool) -> Iterator[Rule]:
    for pair in pairs:
        for text in pair.ipv6:
            source = _source(pair.mac, alone=alone)
            yield _rule(*source, *protocol(IPV6), *prefix(_IPV6_SOURCE, text), ACCEPT)


def _claimed(pairs: Sequence[Allowed], *, alone: bool) -> Iterator[Rule]:
    """Address resolution, probes, and address detection; that one has no option was seen before."""
    for sentence in claims(pairs):
        match = sentence.match
        detects = match.src == "::" and match.nd_target is not None
        if match.ethertype == ARP or detects:
            exprs = expressions(match)
            yield _rule(*(_without_source(exprs) if alone else exprs), ACCEPT)


def _without_source(exprs: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Without the look at the Ethernet source: a value that is loaded, and its comparison."""
    at = exprs.index(ETH_SOURCE)
    return exprs[:at] + exprs[at + 2 :]


def _foreign_discovery(pair: Allowed) -> Iterator[Rule]:
    """An advertisement of none of its addresses; a link-layer address that is not its own, and any
    at all from nobody (RFC 4861, 4.3)."""
    others = [expr for text in pair.ipv6 for expr in prefix(TARGET, text, equal=False)]
    yield _drop(*_icmpv6(spoofing.ADVERTISEMENT), *others)
    for kind, option in _OPTIONS.items():
        foreign = OPTION_ADDRESS, Compare(mac(pair.mac), equal=False)
        yield _drop(*_icmpv6(kind), OPTION, Compare(option), *foreign)
    yield _option_from_nobody()


def _option_from_nobody() -> Rule:
    told = OPTION, Compare(_OPTIONS[spoofing.SOLICITATION])
    return _drop(*_icmpv6(spoofing.SOLICITATION), *prefix(_IPV6_SOURCE, "::"), *told)


def _solicitations(pairs: Sequence[Allowed]) -> Iterator[Rule]:
    """One that tells a link-layer address tells what the port may claim."""
    kind = spoofing.SOLICITATION
    told = (*_icmpv6(kind), OPTION, Compare(_OPTIONS[kind]))
    yield _option_from_nobody()
    for claim in allowed_claims(pairs, 6):
        names = (ETH_SOURCE, Compare(mac(claim.ethernet)), OPTION_ADDRESS)
        says = (*names, Compare(mac(claim.hardware)), *prefix(_IPV6_SOURCE, claim.prefix))
        yield _rule(*told, *says, _RETURN)
    yield _drop(*told)


def _advertisements(pairs: Sequence[Allowed]) -> Iterator[Rule]:
    kind = spoofing.ADVERTISEMENT
    told = (*_icmpv6(kind), OPTION, Compare(_OPTIONS[kind]))
    for claim in allowed_claims(pairs, 6):
        names = (ETH_SOURCE, Compare(mac(claim.ethernet)), OPTION_ADDRESS)
        says = (*names, Compare(mac(claim.hardware)), *prefix(TARGET, claim.prefix))
        yield _rule(*told, *says, _RETURN)
    yield _drop(*told)
    for pair in pairs:
        for text in pair.ipv6:
            source = ETH_SOURCE, Compare(mac(pair.mac))
            yield _rule(*_icmpv6(kind), *source, *prefix(TARGET, text), _RETURN)
    yield _drop(*_icmpv6(kind))
