"""The guard of a tap: what is refused on the device itself, whatever becomes of the packet filter.

``nft flush ruleset`` takes the table away, and so do boot scripts. The guard stands on the device
and outlives that. It is coarse on purpose: all that the rules let pass passes it too. Of a secured
port it knows the MAC and IP addresses, and whether frames may be tagged; what needs a closer look
(DHCP servers, router advertisements, neighbour advertisements) is left to the rules. Pure.

Programs are of classic BPF over the frame from its first byte, without its VLAN tag. A step that
looks behind the end of a frame ends the program with 0, which lets the frame pass: it is
too short to be of the kind that is looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from vifd.drivers import Program
from vifd_linuxbridge.ruleset import Filter

Step = tuple[int, int, int, int]
#: How to load a value, where from, the bits of it that count, and what they must be.
Test = tuple[int, int, int, int]

#: Verdicts of ``linux/pkt_cls.h``: go on with what others have there; drop.
_PASS, _DROP = 0xFFFF_FFFF, 2
_WORD, _HALF, _AND, _JUMP, _EQUAL, _RETURN = 0x20, 0x28, 0x54, 0x05, 0x15, 0x06
_ALL = 0xFFFF_FFFF
#: Where the kernel keeps the tag: SKF_AD_OFF and SKF_AD_VLAN_TAG_PRESENT, SKF_AD_VLAN_TAG.
_TAGGED, _TAG = 0xFFFF_F000 + 48, 0xFFFF_F000 + 44
#: SKF_AD_VLAN_TPID, and what the VLAN devices of sub-ports take.
_TAG_TYPE, _8021Q = 0xFFFF_F000 + 60, 0x8100
_VLAN_ID = 0xFFF
_SOURCE, _TYPE = 6, 12
#: The sender's addresses in ARP, and the source in IPv4 and IPv6.
_ARP_MAC, _ARP_IP, _IPV4, _IPV6 = 22, 28, 26, 22
#: The kernel takes no longer program (BPF_MAXINSNS).
_LONGEST = 4096

#: A closed port: nothing comes from it.
SHUT: Program = ((_RETURN, 0, 0, _DROP),)
_DROPPED = SHUT[0]
#: An open port without port security.
OPEN: Program = ((_RETURN, 0, 0, _PASS),)


def guard(filter_: Filter) -> Program:
    """The program of a port, open or closed as its filter is."""
    return _guard(filter_, tags=filter_.carrying)


def trunk_guard(filter_: Filter, vlans: Iterable[int]) -> Program:
    """The program of a trunk's parent.

    Frames of these VLANs go to the VLAN devices of its sub-ports before the bridge sees them; all
    others with a tag are dropped. What is untagged is judged as of any port.
    """
    if not (admitted_ := sorted(vlans)):
        own = guard(filter_)
        return own if own != OPEN else (*_untagged(), *OPEN)
    head = _sub_ports(admitted_)
    return (*head, *_guard(filter_, tags=True, room=_LONGEST - len(head)))


def admitted(program: Program | None) -> frozenset[int]:
    """The VLANs that a program of a parent lets pass: they stand before its first refusal."""
    found = set()
    for step, then in pairwise(program or ()):
        if _DROPPED in (step, then):
            break
        if step[:3] == (_EQUAL, 0, 1) and then == _verdict(_PASS):
            found.add(step[3])
    return frozenset(found)


def _guard(filter_: Filter, *, tags: bool, room: int = _LONGEST) -> Program:
    if not filter_.opened:
        return SHUT
    if filter_.pairs is None:
        return OPEN
    macs = tuple(sorted({pair.mac for pair in filter_.pairs}))
    ipv4 = tuple(sorted({text for pair in filter_.pairs for text in pair.ipv4}))
    ipv6 = tuple(sorted({text for pair in filter_.pairs for text in pair.ipv6}))
    program = _secured(macs, ipv4, ipv6, tags)
    # with so many addresses it is held to its MAC addresses here, and to the rest by the rules
    if len(program) <= room:
        return program
    return _secured(macs, ("0.0.0.0/0",), ("::/0",), tags)


@lru_cache(maxsize=4096)
def _secured(
    macs: tuple[str, ...], ipv4: tuple[str, ...], ipv6: tuple[str, ...], tags: bool
) -> Program:
    """What has no address yet, 0.0.0.0 and ``::``, passes: a closer look is the rules' affair.

    :param tags: whether the guest may set VLAN tags of its own
    """
    arp = _ends([_prefix(_ARP_IP, text) for text in ("0.0.0.0", *ipv4)])
    return (
        *(() if tags else _untagged()),
        *_only([_mac(_SOURCE, mac) for mac in macs]),
        *_of_type(0x0806, (*_only([_mac(_ARP_MAC, mac) for mac in macs]), *arp)),
        *_of_type(0x0800, _ends([_prefix(_IPV4, text) for text in ("0.0.0.0", *ipv4)])),
        *_of_type(0x86DD, _ends([_prefix(_IPV6, text) for text in ("::", *ipv6)])),
        _verdict(_PASS),
    )


# --- tests ----------------------------------------------------------------------------------------


def _mac(offset: int, text: str) -> list[Test]:
    raw = bytes.fromhex(text.replace(":", ""))
    first, last = int.from_bytes(raw[:4]), int.from_bytes(raw[4:])
    return [(_WORD, offset, _ALL, first), (_HALF, offset + 4, _ALL, last)]


def _prefix(offset: int, text: str) -> list[Test]:
    """One test for each word of the address that the prefix reaches."""
    network = ipaddress.ip_network(text, strict=False)
    address, mask = network.network_address.packed, network.netmask.packed
    words = range(0, len(mask), 4)
    parts = [(offset + i, int.from_bytes(mask[i : i + 4]), int.from_bytes(address[i : i + 4]))
             for i in words]  # fmt: skip
    return [(_WORD, at, bits, value) for at, bits, value in parts if bits]


# --- steps ----------------------------------------------------------------------------------------


def _verdict(what: int) -> Step:
    return (_RETURN, 0, 0, what)


def _untagged() -> tuple[Step, ...]:
    """Frames of a VLAN are dropped; VLAN 0 is a priority and no VLAN (IEEE 802.1Q, 9.6)."""
    return (
        (_WORD, 0, 0, _TAGGED),
        (_EQUAL, 4, 0, 0),
        (_WORD, 0, 0, _TAG),
        (_AND, 0, 0, _VLAN_ID),
        (_EQUAL, 1, 0, 0),
        _verdict(_DROP),
    )


def _sub_ports(vlans: Sequence[int]) -> tuple[Step, ...]:
    """Frames of these VLANs pass; others of a VLAN are dropped. Jumps over all of them are long
    ones: a step of its own reaches no further than 255."""
    each = tuple(s for v in vlans for s in ((_EQUAL, 0, 1, v), _verdict(_PASS)))
    kind = ((_WORD, 0, 0, _TAG_TYPE), (_EQUAL, 1, 0, _8021Q), (_JUMP, 0, 0, len(each) + 2))
    # the type was loaded over the number
    chosen = (*kind, (_WORD, 0, 0, _TAG), (_AND, 0, 0, _VLAN_ID), *each, _verdict(_DROP))
    number = (
        (_WORD, 0, 0, _TAG), (_AND, 0, 0, _VLAN_ID), (_EQUAL, 0, 1, 0), (_JUMP, 0, 0, len(chosen)),
    )  # fmt: skip
    behind = len(number) + len(chosen)
    return ((_WORD, 0, 0, _TAGGED), (_EQUAL, 0, 1, 0), (_JUMP, 0, 0, behind), *number, *chosen)


def _if(tests: Sequence[Test], then: Step) -> tuple[Step, ...]:
    """Take a step where all tests hold, else go on behind it."""
    steps: tuple[Step, ...] = (then,)
    for load, offset, bits, value in reversed(tests):
        mask = () if bits == _ALL else ((_AND, 0, 0, bits),)
        steps = ((load, 0, 0, offset), *mask, (_EQUAL, 0, len(steps), value), *steps)
    return steps


def _only(choices: Sequence[Sequence[Test]]) -> tuple[Step, ...]:
    """Go on behind these steps where one of the choices holds; drop otherwise."""
    steps: tuple[Step, ...] = (_verdict(_DROP),)
    for tests in reversed(choices):
        steps = (*_if(tests, (_JUMP, 0, 0, len(steps))), *steps)
    return steps


def _ends(choices: Sequence[Sequence[Test]]) -> tuple[Step, ...]:
    """Pass where one of the choices holds, drop otherwise."""
    found = [step for tests in choices for step in _if(tests, _verdict(_PASS))]
    return (*found, _verdict(_DROP))


def _of_type(number: int, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Take steps for frames of an Ethernet type."""
    return ((_HALF, 0, 0, _TYPE), (_EQUAL, 1, 0, number), (_JUMP, 0, 0, len(steps)), *steps)
