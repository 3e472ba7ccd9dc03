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
from collections.abc import Sequence
from functools import lru_cache

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
_VLAN_ID = 0xFFF
_SOURCE, _TYPE = 6, 12
#: The sender's addresses in ARP, and the source in IPv4 and IPv6.
_ARP_MAC, _ARP_IP, _IPV4, _IPV6 = 22, 28, 26, 22
#: The kernel takes no longer program (BPF_MAXINSNS).
_LONGEST = 4096

#: A closed port: nothing comes from it.
SHUT: Program = ((_RETURN, 0, 0, _DROP),)
#: An open port without port security.
OPEN: Program = ((_RETURN, 0, 0, _PASS),)


def guard(filter_: Filter) -> Program:
    """The program of a port, open or closed as its filter is."""
    if not filter_.opened:
        return SHUT
    if filter_.pairs is None:
        return OPEN
    macs = tuple(sorted({pair.mac for pair in filter_.pairs}))
    ipv4 = tuple(sorted({text for pair in filter_.pairs for text in pair.ipv4}))
    ipv6 = tuple(sorted({text for pair in filter_.pairs for text in pair.ipv6}))
    program = _secured(macs, ipv4, ipv6, filter_.carrying)
    # with so many addresses it is held to its MAC addresses here, and to the rest by the rules
    if len(program) <= _LONGEST:
        return program
    return _secured(macs, ("0.0.0.0/0",), ("::/0",), filter_.carrying)


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
