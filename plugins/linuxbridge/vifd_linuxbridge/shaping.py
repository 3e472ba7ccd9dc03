"""What holds a port to its QoS policy: rules that drop what comes over a rate, and that mark. Pure.

================  ==================================================================================
``shaped-from``   map from a tap with limits or a mark to the chain that what it sends goes through
``shaped-to``     map from a tap with limits to the chain of what it gets
``shape-from``    behind everything that judges what guests send
``shape-to``      behind everything that judges what they get
================  ==================================================================================

What is refused by other rules counts for no limit. A frame that the kernel cuts up later counts as
one packet, and bytes are counted from the network header on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from vifd.drivers.nft.expr import (
    DROP,
    Base,
    Code,
    Counter,
    Expr,
    Key,
    Lookup,
    Mask,
    Meta,
    Over,
    Payload,
    Store,
    Verdict,
    canonical,
)
from vifd.drivers.nft.objects import Chain, Element, Hook, Rule, Set
from vifd.policy.qos import Limit, Shape, Traffic
from vifd.policy.rule import IPV4, IPV6
from vifd_linuxbridge.policy_match import protocol

FROM, TO = "shaped-from", "shaped-to"
SETS = (Set(FROM, vmap=True), Set(TO, vmap=True))
#: Behind the rules of security groups (-150).
_PRIORITY = -140
#: Bytes per second that a kbit per second is.
_BYTES = 125
#: What the kernel's counts can hold: 100 Gbit/s, and as much at once.
_MOST = 12_500_000_000
_MOST_BURST = 0xFFFF_FFFF
#: The biggest frame that the kernel carries and cuts up behind the bridge.
_WHOLE = 65_536
#: The mark in the first two bytes of IP (RFC 2474): what stays of them, the mark's lowest bit, and
#: where the checksum of the header is.
_FIELDS: dict[int, tuple[bytes, int, int | None]] = {
    IPV4: (b"\xff\x03", 2, 10), IPV6: (b"\xf0\x3f", 6, None),
}  # fmt: skip
_WHERE = Payload(Base.NETWORK, 0, 2)

_DSCP = "qos.dscp_marking.egress"


def _rule(*exprs: Expr) -> Rule:
    return Rule(tuple(map(canonical, exprs)))


@lru_cache(maxsize=1)
def base() -> tuple[Chain, ...]:
    """What is in force for all ports with limits."""
    sent = _rule(Meta(Key.IIFNAME), Lookup(FROM, vmap=True))
    given = _rule(Meta(Key.OIFNAME), Lookup(TO, vmap=True))
    return (
        Chain("shape-from", (sent,), Hook.PREROUTING, _PRIORITY),
        Chain("shape-to", (given,), Hook.POSTROUTING, _PRIORITY),
    )


# --- a port ---------------------------------------------------------------------------------------


def sent_chain(device: str) -> str:
    """The chain of what a port sends."""
    return f"{device}-from"


def given_chain(device: str) -> str:
    """The chain of what a port gets."""
    return f"{device}-to"


def elements(device: str, shape: Shape | None) -> tuple[tuple[Element, bool], ...]:
    """What has a port's frames go through its chains, and whether they shall."""
    sent = Element(FROM, device, Verdict(Code.GOTO, sent_chain(device)))
    given = Element(TO, device, Verdict(Code.GOTO, given_chain(device)))
    return (
        (sent, shape is not None and (shape.egress, shape.dscp) != (Traffic(), None)),
        (given, shape is not None and shape.ingress != Traffic()),
    )


def port_rules(device: str, shape: Shape) -> dict[str, tuple[Rule, ...]]:
    """The chains of a port with limits or a mark."""
    marks = () if shape.dscp is None else tuple(_mark(kind, shape.dscp) for kind in _FIELDS)
    made = {sent_chain(device): (*_limits(shape.egress), *marks),
            given_chain(device): _limits(shape.ingress)}  # fmt: skip
    return {name: rules for name, rules in made.items() if rules}


def _limits(traffic: Traffic) -> tuple[Rule, ...]:
    overs = filter(None, (_packets(traffic.packets), _bandwidth(traffic.bandwidth)))
    return tuple(_rule(over, Counter(), DROP) for over in overs)


def _packets(limit: Limit | None) -> Over | None:
    if limit is None:
        return None
    return Over(limit.rate, min(limit.burst, _MOST_BURST), packets=True)


def _bandwidth(limit: Limit | None) -> Over | None:
    """The kernel lets the bytes of a second come at once in any case."""
    if limit is None:
        return None
    rate = min(limit.rate * _BYTES, _MOST)
    burst = max(limit.burst * _BYTES, _WHOLE) - rate
    return Over(rate, min(max(burst, 0), _MOST_BURST))


def _mark(kind: int, dscp: int) -> Rule:
    keep, shift, checksum = _FIELDS[kind]
    flip = (dscp << shift).to_bytes(2, "big") if dscp else b""
    store = Store(_WHERE.base, _WHERE.offset, _WHERE.length, checksum)
    return _rule(*protocol(kind), _WHERE, Mask(keep, flip), store)


# --- what was read --------------------------------------------------------------------------------


def told(over: Over) -> str:
    """A limit in the units of a policy."""
    if over.packets:
        return f"{over.rate} packets/s, burst {over.burst} packets"
    burst = (over.rate + over.burst) // _BYTES
    return f"{over.rate // _BYTES} kbit/s, burst {burst} kbit"


def facts(device: str, chains: Mapping[str, tuple[Rule, ...]]) -> dict[str, str | list[int]]:
    """What chains of a port hold it to, by the fact's name."""
    sent = chains.get(sent_chain(device), ())
    found: dict[str, str | list[int]] = {
        f"qos.{_kind(over)}.egress": told(over) for over in _overs(sent)
    }
    found |= {f"qos.{_kind(over)}.ingress": told(over)
              for over in _overs(chains.get(given_chain(device), ()))}  # fmt: skip
    marks = sorted({mark for rule in sent if (mark := _marked(rule)) is not None})
    return found | ({_DSCP: [*marks]} if marks else {})


def _overs(rules: Iterable[Rule]) -> list[Over]:
    return [expr for rule in rules for expr in rule.exprs if isinstance(expr, Over)]


def _kind(over: Over) -> str:
    return "packet_rate_limit" if over.packets else "bandwidth_limit"


def _marked(rule: Rule) -> int | None:
    """The mark that a rule sets."""
    mask = next((e for e in rule.exprs if isinstance(e, Mask)), None)
    if mask is None or not any(isinstance(e, Store) for e in rule.exprs):
        return None
    shift = next((shift for keep, shift, _ in _FIELDS.values() if keep == mask.mask), 0)
    return int.from_bytes(mask.flip, "big") >> shift


#: What the plugin enforces by this.
FEATURES = frozenset(
    (*(f"qos.{kind}.{way}" for kind in ("bandwidth_limit", "packet_rate_limit")
       for way in ("egress", "ingress")), _DSCP)
)  # fmt: skip
#: What is not done of limits, for the enforcement report.
CAVEATS = {
    f"qos.bandwidth_limit.{way}": "what comes in a second may come at once, whatever the burst"
    for way in ("egress", "ingress")
}
