"""Which questions (ARP, neighbour discovery) a host may answer for addresses elsewhere: pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from vifd.policy.addresses import Allowed

_LINK_LOCAL = ipaddress.ip_network("fe80::/10")
#: What is not answered, for the enforcement report.
CAVEAT = (
    "for addresses that the network's forwarding has behind one MAC address elsewhere; address "
    "detection, announcements and whatever else is asked go to every endpoint of the network"
)


@dataclass(frozen=True)
class Here:
    """What ports of this host may claim."""

    macs: frozenset[str]
    addresses: frozenset[str]
    prefixes: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def of(cls, pairs: Iterable[Allowed]) -> Here:
        """:param pairs: of the ports of a network, closed ones as well"""
        told = [*pairs]
        texts = {text for pair in told for text in (*pair.ipv4, *pair.ipv6)}
        wide = {text for text in texts if "/" in text}
        prefixes = tuple(ipaddress.ip_network(text) for text in sorted(wide))
        return cls(frozenset(pair.mac for pair in told), frozenset(texts - wide), prefixes)

    def claims(self, address: str) -> bool:
        """Whether a port here may use an address."""
        if address in self.addresses or not self.prefixes:
            return address in self.addresses
        parsed = ipaddress.ip_address(address)
        return any(parsed.version == p.version and parsed in p for p in self.prefixes)


def answering(address: str, macs: Collection[str], here: Here) -> str | None:
    """The MAC address that this host answers with when it is asked for an address, if it does.

    Not what a port here may claim itself: it would be told that its own address is in use, and
    what it announces must reach everybody. Not what two claim: nobody knows who is right. Not
    link-local addresses: a router is one by those, and an answer that does not say so makes hosts
    forget it (RFC 4861, 7.2.5). Not prefixes.

    :param macs: who claims it elsewhere
    """
    elsewhere = {mac for mac in macs if mac not in here.macs}
    if len(elsewhere) != 1 or not _plain(address) or here.claims(address):
        return None
    return elsewhere.pop()


@lru_cache(maxsize=65536)
def _plain(address: str) -> bool:
    if "/" in address:
        return False
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_multicast or parsed.is_unspecified or parsed in _LINK_LOCAL)
