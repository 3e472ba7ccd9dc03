"""Questions of guests that are answered on the host: ARP (RFC 826) and neighbour discovery (RFC
4861), by rules of the family ``netdev`` on the guests' own devices, before a bridge sees them.

================  ==================================================================================
``NET-4``         map from an IPv4 address of a network to its MAC address
``NET-6``         the same of IPv6
``NET``           chain that turns a question for one of them into its answer, and sends it back
``ask-DEV``       chain of a device, whose questions are for one network
================  ==================================================================================

What is no plain question passes: one about an address that is not known, a probe (from no address),
a question to one host alone, and whatever has other fields than questions have. There is one
register, so the question's own fields are where a value waits for its place.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address

from vifd.drivers.netlink import APPEND, CREATE, Message, attribute, attributes, nest, string, text
from vifd.drivers.nft import hold, nl
from vifd.drivers.nft.deaf import NETDEV_FAMILY
from vifd.drivers.nft.expr import (
    Base,
    Code,
    Compare,
    Expr,
    Key,
    Load,
    Lookup,
    Mask,
    Meta,
    Payload,
    Send,
    Store,
    Verdict,
)
from vifd.drivers.nft.packing import expression, u32
from vifd.drivers.nft.socket import NftSocket

#: Before the name of a device, the name of its chain.
ASKS = "ask-"
_INGRESS, _PRIORITY = 0, -400
_VERSIONS = (4, 6)
#: Type and length of a map's keys by IP version, and of its values: MAC addresses.
_KEYS = {4: (7, 4), 6: (8, 16)}
_MAC_TYPE, _MAC_BYTES, _IS_MAP = 9, 6, 8
#: Elements of one message.
_MOST = 400
_BROADCAST = b"\xff" * 6
#: A question about IPv4 on Ethernet: the fields before its addresses.
_ASKED4 = bytes.fromhex("0001080006040001")
#: Of a solicitation with one option: the length behind the IPv6 header, ICMPv6, hop limit 255.
_ASKED6 = bytes.fromhex("00203aff")


def _link(offset: int) -> Payload:
    return Payload(Base.LINK, offset, 6)


def _head(offset: int, length: int) -> Payload:
    return Payload(Base.NETWORK, offset, length)


def _icmp(offset: int, length: int) -> Payload:
    return Payload(Base.TRANSPORT, offset, length)


def _into(place: Payload, **more: int | bool) -> Store:
    return Store(place.base, place.offset, place.length, **more)  # type: ignore[arg-type]


#: Where ARP has the addresses of who asks, and of whom he asks for.
_SHA, _SPA, _THA, _TPA = _head(8, 6), _head(14, 4), _head(18, 6), _head(24, 4)
#: The four bytes in which an address waits.
_WAIT = _head(18, 4)
_TO, _FROM = _link(0), _link(6)
#: Behind a tag the protocol is another network's, whatever ``meta`` says of it.
_TYPE = Payload(Base.LINK, 12, 2)
_BACK = (Meta(Key.IIF), Send())


def _arp(known: str) -> tuple[Expr, ...]:
    """The question: of Ethernet and IPv4, for all, of somebody. The answer: addresses change
    places, and what was asked for stands where the asker stood."""
    return (
        Meta(Key.PROTOCOL), Compare(b"\x08\x06"), _TYPE, Compare(b"\x08\x06"),
        _TO, Compare(_BROADCAST),
        _head(0, 8), Compare(_ASKED4), _SPA, Compare(bytes(4), equal=False),
        _TPA, Lookup(known, value=True), _into(_FROM),
        _TPA, _into(_WAIT), _SPA, _into(_TPA), _WAIT, _into(_SPA),
        _SHA, _into(_THA), _into(_TO), _FROM, _into(_SHA),
        Load(b"\0\2"), _into(_head(6, 2)), *_BACK,
    )  # fmt: skip


#: Of IPv6: the addresses; of the solicitation: kind, flags, target, the option's kind and value.
_SRC, _DST = _head(8, 16), _head(24, 16)
_KIND, _FLAGS, _TARGET, _OPTION, _VALUE = (
    _icmp(0, 2), _icmp(4, 4), _icmp(8, 16), _icmp(24, 2), _icmp(26, 6),
)  # fmt: skip
#: Where the checksum of ICMPv6 is.
_SUM = 2


def _discovery(known: str) -> tuple[Expr, ...]:
    """A solicitation to a solicited-node address with the option of its source alone; not a
    detection of duplicates, which comes from no address. The advertisement is solicited, overrides,
    and is no router's."""
    return (
        Meta(Key.PROTOCOL), Compare(b"\x86\xdd"), _TYPE, Compare(b"\x86\xdd"),
        _TO, Mask(b"\xff\xff\xff\0\0\0"), Compare(b"\x33\x33\xff\0\0\0"),
        _head(4, 4), Compare(_ASKED6), _SRC, Compare(bytes(16), equal=False),
        _KIND, Compare(b"\x87\0"), _OPTION, Compare(b"\1\1"),
        _TARGET, Lookup(known, value=True), _into(_VALUE, checksum=_SUM),
        _SRC, _into(_DST, pseudo=True), _TARGET, _into(_SRC, pseudo=True),
        _FROM, _into(_TO), _VALUE, _into(_FROM),
        Load(b"\x88\0"), _into(_KIND, checksum=_SUM),
        Load(b"\x60\0\0\0"), _into(_FLAGS, checksum=_SUM),
        Load(b"\2\1"), _into(_OPTION, checksum=_SUM), *_BACK,
    )  # fmt: skip


def rules(network: str) -> tuple[tuple[Expr, ...], ...]:
    """What the chain of a network holds."""
    return _arp(f"{network}-4"), _discovery(f"{network}-6")


# --- messages -------------------------------------------------------------------------------------


def _set(table: str, name: str) -> bytes:
    return nl.head(NETDEV_FAMILY) + text(1, table) + text(2, name)


def _chain(table: str, name: str) -> bytes:
    return nl.head(NETDEV_FAMILY) + text(1, table) + text(3, name)


def _map(table: str, network: str, version: int, number: int) -> Message:
    name, (kind, size) = f"{network}-{version}", _KEYS[version]
    body = _set(table, name) + u32(3, _IS_MAP) + u32(4, kind) + u32(5, size)
    body += u32(6, _MAC_TYPE) + u32(7, _MAC_BYTES) + u32(10, number)
    # the byte order of keys and values, as the tools want to know it: the network's
    body += attribute(13, b"\0\4\2\0\0\0" + b"\1\4\2\0\0\0")
    return Message(nl.NEWSET, CREATE, body, f"make map {name}")


def _filled(table: str, name: str, rows: Iterable[tuple[Expr, ...]]) -> Iterator[Message]:
    """Have a chain hold these rules alone."""
    what = f"fill chain {name}"
    yield Message(nl.DELRULE, 0, _set(table, name), what)
    for row in rows:
        body = _set(table, name) + nest(4, b"".join(map(expression, row)))
        yield Message(nl.NEWRULE, CREATE | APPEND, body, what)


def network(table: str, name: str) -> Iterator[Message]:
    """Have the maps and the chain of a network; what is in the maps stays."""
    for number, version in enumerate(_VERSIONS, 1):
        yield _map(table, name, version, number)
    yield Message(nl.NEWCHAIN, CREATE, _chain(table, name), f"make chain {name}")
    yield from _filled(table, name, rules(name))


def emptied(table: str, name: str) -> Iterator[Message]:
    """Take everything out of the maps of a network."""
    for version in _VERSIONS:
        body = _set(table, f"{name}-{version}")
        yield Message(nl.DELELEM, 0, body, f"empty map {name}-{version}")


def elements(
    table: str, name: str, known: Mapping[str, str], *, adding: bool
) -> Iterator[Message]:  # fmt: skip
    """Put addresses into the maps of a network, or take them out."""
    kind, flags = (nl.NEWELEM, CREATE) if adding else (nl.DELELEM, 0)
    for version in _VERSIONS:
        mine = [(ip, mac) for ip, mac in known.items() if ip_address(ip).version == version]
        for start in range(0, len(mine), _MOST):
            items = (_element(ip, mac if adding else "") for ip, mac in mine[start : start + _MOST])
            body = _set(table, f"{name}-{version}") + nest(3, b"".join(items))
            yield Message(kind, flags, body, f"change map {name}-{version}")


def _element(ip: str, mac: str) -> bytes:
    inner = nest(1, attribute(1, ip_address(ip).packed))
    if mac:
        inner += nest(2, attribute(1, bytes.fromhex(mac.replace(":", ""))))
    return nest(1, inner)


def gone(table: str, name: str) -> Iterator[Message]:
    """Remove the chain and the maps of a network."""
    yield Message(nl.DELCHAIN, 0, _chain(table, name), f"remove chain {name}")
    for version in _VERSIONS:
        body = _set(table, f"{name}-{version}")
        yield Message(nl.DELSET, 0, body, f"remove map {name}-{version}")


def asking(table: str, device: str, network: str) -> Iterator[Message]:
    """Have the questions of a device go to a network's chain."""
    name = ASKS + device
    hook = u32(1, _INGRESS) + u32(2, _PRIORITY & 0xFFFF_FFFF) + text(3, device)
    body = _chain(table, name) + nest(4, hook) + u32(5, Code.ACCEPT) + text(7, "filter")
    yield Message(nl.NEWCHAIN, CREATE, body, f"have questions of {device} answered")
    yield from _filled(table, name, [(Verdict(Code.JUMP, network),)])


def silent(table: str, device: str) -> Message:
    """Have no question of a device answered."""
    return Message(nl.DELCHAIN, 0, _chain(table, ASKS + device), f"answer {device} no more")


# --- reading --------------------------------------------------------------------------------------


def _absent(error: OSError) -> bool:
    return error.errno == errno.ENOENT


def rows(sock: NftSocket, table: str, name: str) -> list[tuple[Expr, ...]]:
    """The rules of a chain; none where it is not there."""
    try:
        bodies = sock.dump(Message(nl.GETRULE, 0, _set(table, name)))
    except OSError as error:
        if not _absent(error):
            raise
        return []
    found = map(nl.parse_rule, bodies)
    return [rule.exprs for at, chain, rule in found if (at, chain) == (table, name)]


def chains(sock: NftSocket, table: str) -> list[str]:
    """The names of all chains of the table."""
    bodies = sock.dump(Message(nl.GETCHAIN, 0, nl.head(NETDEV_FAMILY)))
    found = [dict(attributes(body, 4)) for body in bodies]
    return [string(parts[3]) for parts in found if string(parts[1]) == table]


def hooked(sock: NftSocket, table: str, devices: Sequence[str]) -> list[str]:
    """Those of the devices that have a chain."""
    asked = [Message(nl.GETCHAIN, 0, _chain(table, ASKS + d)) for d in devices]
    *answers, about = sock.ask([*asked, hold.question(table, NETDEV_FAMILY)])
    if hold.dormant(about):
        return []
    bad = next((a for a in answers if isinstance(a, int) and a != errno.ENOENT), None)
    if bad is not None:
        raise OSError(bad, os.strerror(bad))
    return [d for d, answer in zip(devices, answers, strict=True) if isinstance(answer, bytes)]


def known(sock: NftSocket, table: str, name: str) -> dict[str, str] | None:
    """What is answered about a network: MAC addresses by IP address. ``None`` where its chain is
    not there, or not as it shall be."""
    if tuple(rows(sock, table, name)) != rules(name):
        return None
    found: dict[str, str] = {}
    for version in _VERSIONS:
        for body in sock.dump(Message(nl.GETELEM, 0, _set(table, f"{name}-{version}"))):
            found.update(_pairs(body))
    return found


def _pairs(body: bytes) -> Iterator[tuple[str, str]]:
    for _, item in attributes(dict(attributes(body, 4)).get(3, b"")):
        parts = dict(attributes(item))
        key, value = (dict(attributes(parts[n]))[1] for n in (1, 2))
        yield str(ip_address(key)), value[:_MAC_BYTES].hex(":")
