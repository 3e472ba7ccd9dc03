"""Expressions of nf_tables rules over netlink: packed from values, and unpacked.

Only what :mod:`vifd.drivers.nft.expr` can say is packed; whatever else the kernel shows becomes
:class:`~vifd.drivers.nft.expr.Unknown`, which is equal to nothing of ours.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from vifd.drivers.netlink import attribute, attributes, nest, string, text
from vifd.drivers.nft.expr import (
    Base,
    Bound,
    Code,
    Compare,
    Connection,
    Counter,
    Expr,
    Extension,
    Key,
    Load,
    Log,
    Lookup,
    Mask,
    Meta,
    Note,
    Over,
    Payload,
    Send,
    Store,
    Tracked,
    Unknown,
    Untracked,
    Verdict,
    canonical,
)

_REGISTER, _VERDICT_REGISTER = 1, 0
_BE16, _BE32, _BE64 = struct.Struct("!H"), struct.Struct("!I"), struct.Struct("!Q")
_AT_MOST, _AT_LEAST = 3, 5
#: Kinds of checksums, kinds of limits, and that a row goes on above one.
_INTERNET, _PACKETS, _BYTES, _INVERTED = 1, 0, 1, 1
#: That the checksum above IP follows a change of an address.
_PSEUDO = 1
#: Facts of a connection that are not of one of its directions.
_OF_BOTH = frozenset((Tracked.DIRECTION, Tracked.STATUS, Tracked.MARK, Tracked.ZONE))


def u32(number: int, value: int) -> bytes:
    """A number in network order."""
    return attribute(number, _BE32.pack(value & 0xFFFFFFFF))


def number_(value: bytes) -> int:
    """The number in network order."""
    return int(_BE32.unpack(value)[0])


def verdict_data(verdict: Verdict) -> bytes:
    """A verdict as a data attribute."""
    inner = u32(1, verdict.code)
    if verdict.chain:
        inner += text(2, verdict.chain)
    return nest(2, inner)


def _payload(e: Payload) -> tuple[str, bytes]:
    return "payload", u32(1, _REGISTER) + u32(2, e.base) + u32(3, e.offset) + u32(4, e.length)


def _extension(e: Extension) -> tuple[str, bytes]:
    data = u32(1, _REGISTER) + attribute(2, bytes((e.header,)))
    return "exthdr", data + u32(3, e.offset) + u32(4, e.length)


def _mask(e: Mask) -> tuple[str, bytes]:
    data = u32(1, _REGISTER) + u32(2, _REGISTER) + u32(3, len(e.mask))
    keep = nest(4, attribute(1, e.mask))
    return "bitwise", data + keep + nest(5, attribute(1, e.flip or bytes(len(e.mask))))


def _compare(e: Compare) -> tuple[str, bytes]:
    data = u32(1, _REGISTER) + u32(2, 0 if e.equal else 1)
    return "cmp", data + nest(3, attribute(1, e.value))


def _bound(e: Bound) -> tuple[str, bytes]:
    data = u32(1, _REGISTER) + u32(2, _AT_LEAST if e.least else _AT_MOST)
    return "cmp", data + nest(3, attribute(1, e.value))


def _connection(e: Connection) -> tuple[str, bytes]:
    data = u32(1, _REGISTER) + u32(2, e.key)
    return "ct", data + (b"" if e.key in _OF_BOTH else attribute(3, b"\0"))


def _store(e: Store) -> tuple[str, bytes]:
    data = u32(5, _REGISTER) + u32(2, e.base) + u32(3, e.offset) + u32(4, e.length)
    if e.checksum is not None:
        data += u32(6, _INTERNET) + u32(7, e.checksum)
    return "payload", data + (u32(8, _PSEUDO) if e.pseudo else b"")


def _over(e: Over) -> tuple[str, bytes]:
    data = attribute(1, _BE64.pack(e.rate)) + attribute(2, _BE64.pack(1)) + u32(3, e.burst)
    return "limit", data + u32(4, _PACKETS if e.packets else _BYTES) + u32(5, _INVERTED)


def _log(e: Log) -> tuple[str, bytes]:
    data = attribute(1, _BE16.pack(e.group)) + text(2, e.prefix)
    return "log", data + u32(3, e.length)


def _lookup(e: Lookup) -> tuple[str, bytes]:
    data = text(1, e.set) + u32(2, _REGISTER)
    if e.value:
        return "lookup", data + u32(3, _REGISTER)
    return "lookup", data + (u32(3, _VERDICT_REGISTER) if e.vmap else b"")


def _parts(e: Expr) -> tuple[str, bytes]:
    match e:
        case Payload():
            return _payload(e)
        case Extension():
            return _extension(e)
        case Meta():
            return "meta", u32(1, _REGISTER) + u32(2, e.key)
        case Mask():
            return _mask(e)
        case Compare():
            return _compare(e)
        case Lookup():
            return _lookup(e)
        case Bound():
            return _bound(e)
        case Connection():
            return _connection(e)
        case Note():
            return "ct", u32(2, e.key) + u32(4, _REGISTER)
        case Load():
            return "immediate", u32(1, _REGISTER) + nest(2, attribute(1, e.value))
        case Untracked():
            return "notrack", b""
        case Store():
            return _store(e)
        case Over():
            return _over(e)
        case Log():
            return _log(e)
        case Send():
            return "fwd", u32(1, _REGISTER)
        case Verdict():
            return "immediate", u32(1, _VERDICT_REGISTER) + nest(2, verdict_data(e))
        case Counter():
            return "counter", b""
        case Unknown():
            return e.name, e.data


@lru_cache(maxsize=16384)
def expression(e: Expr) -> bytes:
    """An expression as an element of a rule's list."""
    name, data = _parts(e)
    return nest(1, text(1, name) + (nest(2, data) if data else b""))


def parse_expression(name: str, data: bytes) -> Expr:
    """The expression that the kernel shows."""
    try:
        return _parse(name, data) or Unknown(name, data)
    except (KeyError, ValueError, struct.error):
        return Unknown(name, data)


def _parse(name: str, data: bytes) -> Expr | None:
    if name == "counter":
        return Counter()
    if name == "notrack":
        return Untracked()
    found = dict(attributes(data))
    if name == "immediate":
        return _parse_immediate(found)
    if name == "limit":
        return _parse_over(found)
    if name == "log":
        return _parse_log(found)
    if name == "payload" and 5 in found:
        return _parse_store(found)
    if name == "ct" and 4 in found:
        return Note(Tracked(number_(found[2]))) if number_(found[4]) == _REGISTER else None
    if number_(found[2 if name == "lookup" else 1]) != _REGISTER:
        return None
    match name:
        case "payload":
            place = Base(number_(found[2]))
            return Payload(place, number_(found[3]), number_(found[4]))
        case "exthdr":
            return _parse_extension(found)
        case "meta":
            return Meta(Key(number_(found[2])))
        case "ct":
            return _parse_connection(found)
        case "cmp":
            return _parse_compare(found)
        case "bitwise":
            return _parse_mask(found)
        case "lookup":
            return _parse_lookup(found)
        case "fwd":
            return None if 2 in found else Send()
    return None


def _parse_over(found: dict[int, bytes]) -> Expr | None:
    """What is over a rate per second."""
    rate, unit = (_BE64.unpack(found[n])[0] for n in (1, 2))
    plain = unit == 1 and 5 in found and number_(found[5]) == _INVERTED
    kind = number_(found[4])
    if not plain or kind not in (_PACKETS, _BYTES):
        return None
    return Over(rate, number_(found[3]), packets=kind == _PACKETS)


def _parse_log(found: dict[int, bytes]) -> Expr | None:
    """Handing over to a group; not writing into the kernel's own log, nor thresholds of a rule."""
    if {1, 2, 3} != found.keys():
        return None
    return Log(_BE16.unpack(found[1])[0], string(found[2]), number_(found[3]))


def _parse_store(found: dict[int, bytes]) -> Expr | None:
    kind = number_(found[6]) if 6 in found else 0
    place = Base(number_(found[2])), number_(found[3]), number_(found[4])
    more = number_(found[8]) if 8 in found else 0
    known = more in (0, _PSEUDO) and kind in (0, _INTERNET)
    if number_(found[5]) != _REGISTER or not known:
        return None
    return Store(*place, checksum=number_(found[7]) if kind else None, pseudo=bool(more))


def _parse_lookup(found: dict[int, bytes]) -> Expr | None:
    """In a set, a map of verdicts, or one of values."""
    if 5 in found and number_(found[5]) != 0:
        return None
    there = number_(found[3]) if 3 in found else None
    if there not in (None, _VERDICT_REGISTER, _REGISTER):
        return None
    return Lookup(string(found[1]), vmap=there == _VERDICT_REGISTER, value=there == _REGISTER)


def _parse_extension(found: dict[int, bytes]) -> Expr | None:
    """Loading bytes of an IPv6 header; not whether it is there, nor options of other protocols."""
    plain = all(n not in found or number_(found[n]) == 0 for n in (5, 6))
    return Extension(found[2][0], number_(found[3]), number_(found[4])) if plain else None


def _parse_immediate(found: dict[int, bytes]) -> Expr | None:
    register = number_(found[1])
    if register == _REGISTER:
        return Load(dict(attributes(found[2]))[1])
    return parse_verdict(found[2]) if register == _VERDICT_REGISTER else None


def _parse_connection(found: dict[int, bytes]) -> Expr | None:
    """What is known of a connection by its first packet; not what an answer to that would have."""
    key, answer = Tracked(number_(found[2])), 3 in found and found[3][0] != 0
    return None if answer else Connection(key)


def _parse_compare(found: dict[int, bytes]) -> Expr | None:
    operator = number_(found[2])
    value = dict(attributes(found[3]))[1]
    if operator in (_AT_LEAST, _AT_MOST):
        return Bound(value, least=operator == _AT_LEAST)
    return Compare(value, equal=operator == 0) if operator in (0, 1) else None


def _parse_mask(found: dict[int, bytes]) -> Expr | None:
    plain = number_(found[2]) == _REGISTER and (6 not in found or number_(found[6]) == 0)
    mask = dict(attributes(found[4]))[1]
    flip = dict(attributes(found[5]))[1]
    return Mask(mask, flip if any(flip) else b"") if plain else None


def parse_verdict(data: bytes) -> Verdict:
    """The verdict in a data attribute."""
    found = dict(attributes(dict(attributes(data))[2]))
    code = struct.unpack("!i", found[1])[0]
    return Verdict(Code(code), string(found.get(2, b"")))


@lru_cache(maxsize=16384)
def parse_item(item: bytes) -> Expr:
    """The expression in an element of a rule's list."""
    parts = dict(attributes(item))
    return canonical(parse_expression(string(parts[1]), parts.get(2, b"")))
