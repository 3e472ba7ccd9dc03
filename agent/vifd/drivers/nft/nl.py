"""Messages of nf_tables over netlink: packed from values, and unpacked.

The numbers are those of ``linux/netfilter/nf_tables.h`` and ``nfnetlink.h``. What
rules are made of is in :mod:`vifd.drivers.nft.packing`.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from functools import lru_cache

from vifd.drivers.netlink import attribute, attributes, nest, string, text
from vifd.drivers.nft.expr import NAME_BYTES, Code, Verdict
from vifd.drivers.nft.objects import Chain, Element, Rule, Set
from vifd.drivers.nft.packing import (
    expression,
    number_,
    parse_item,
    parse_verdict,
    u32,
    verdict_data,
)

BRIDGE_FAMILY = 7
_SUBSYSTEM = 10

NEWTABLE, GETTABLE, DELTABLE = range(0xA00, 0xA03)
NEWCHAIN, GETCHAIN, DELCHAIN = range(0xA03, 0xA06)
NEWRULE, GETRULE, DELRULE = range(0xA06, 0xA09)
NEWSET, GETSET, DELSET = range(0xA09, 0xA0C)
NEWELEM, GETELEM, DELELEM = range(0xA0C, 0xA0F)
NEWGEN, GETGEN = range(0xA0F, 0xA11)
BATCH_BEGIN, BATCH_END = 0x10, 0x11

#: Our own kind of user data in a rule; the tools pass over kinds they do not know.
NOTE = 0xE7
NOTE_BYTES = 254
_COMMENT = 0

_IFNAME_TYPE = 41
#: Type and length of the keys of sets of addresses, by IP version.
_ADDRESS_TYPES = {4: (7, 4), 6: (8, 16)}
_VERDICT_TYPE = 0xFFFFFF00
_SET_IS_MAP = 8
_GENMSG = struct.Struct("!BBH")


def head(family: int = BRIDGE_FAMILY, resource: int = 0) -> bytes:
    """The header of every message body."""
    return _GENMSG.pack(family, 0, resource)


def batch_mark() -> bytes:
    """The body of the messages that begin and end a batch."""
    return head(0, _SUBSYSTEM)


# --- objects --------------------------------------------------------------------------------------


def _note(kind_: int, value: bytes) -> bytes:
    return bytes((kind_, len(value))) + value


def notes(data: bytes) -> dict[int, bytes]:
    """User data by kind."""
    found, offset = {}, 0
    while offset + 2 <= len(data):
        size = data[offset + 1]
        found[data[offset]] = data[offset + 2 : offset + 2 + size]
        offset += 2 + size
    return found


def comment_of(data: bytes) -> str:
    """The comment in user data."""
    return string(notes(data).get(_COMMENT, b""))


def table(name: str, comment: str = "") -> bytes:
    """The body that makes a table."""
    body = head() + text(1, name)
    return body + (attribute(6, _note(_COMMENT, comment.encode() + b"\0")) if comment else b"")


def chain(table_: str, wanted: Chain) -> bytes:
    """The body that makes a chain, without its rules."""
    body = head() + text(1, table_) + text(3, wanted.name)
    if wanted.hook is not None:
        body += nest(4, u32(1, wanted.hook) + u32(2, wanted.priority))
        body += u32(5, Code.ACCEPT) + text(7, "filter")
    if wanted.comment:
        body += attribute(12, _note(_COMMENT, wanted.comment.encode() + b"\0"))
    return body


def chain_name(table_: str, name: str) -> bytes:
    """The body that names a chain, for asking and removing."""
    return head() + text(1, table_) + text(3, name)


@lru_cache(maxsize=256)
def _place(table_: str, name: str) -> bytes:
    return head() + text(1, table_) + text(2, name)


def chain_rules(table_: str, name: str) -> bytes:
    """The body that names all rules of a chain."""
    return _place(table_, name)


def rule(table_: str, name: str, wanted: Rule) -> bytes:
    """The body that appends a rule to a chain."""
    body = _place(table_, name) + nest(4, b"".join(map(expression, wanted.exprs)))
    return body + (attribute(7, _note(NOTE, wanted.note)) if wanted.note else b"")


def set_(table_: str, wanted: Set, number: int) -> bytes:
    """The body that makes a set; ``number`` is its own within the batch."""
    body = set_name(table_, wanted.name)
    body += u32(3, _SET_IS_MAP if wanted.vmap else 0)
    kind, size = _ADDRESS_TYPES.get(wanted.version, (_IFNAME_TYPE, NAME_BYTES))
    body += u32(4, kind) + u32(5, size)
    # the byte order of the key, as the tools want to know it: the host's, or the network's
    user = b"\0\4\2\0\0\0" if wanted.version else b"\0\4\1\0\0\0"
    if wanted.vmap:
        body += u32(6, _VERDICT_TYPE) + u32(7, 0)
        user += b"\1\4\0\0\0\0\6\4\0\0\0\0"
    return body + u32(10, number) + attribute(13, user)


def set_name(table_: str, name: str) -> bytes:
    """The body that names a set, for asking and removing."""
    return head() + text(1, table_) + text(2, name)


def _element(element: Element) -> bytes:
    inner = nest(1, attribute(1, element.key))
    if element.verdict is not None:
        inner += nest(2, verdict_data(element.verdict))
    return nest(1, inner)


def elements(table_: str, name: str, wanted: list[Element]) -> bytes:
    """The body that adds, removes or asks for elements of one set."""
    body = set_name(table_, name)
    return body + (nest(3, b"".join(map(_element, wanted))) if wanted else b"")


# --- answers --------------------------------------------------------------------------------------


def table_of(message: bytes) -> str:
    """The name of the table that a message is about."""
    return string(next((value for number, value in attributes(message, 4) if number == 1), b""))


def parse_rule(message: bytes) -> tuple[str, str, Rule]:
    """Table, chain and rule of a message body."""
    found = dict(attributes(message, 4))
    exprs = tuple(parse_item(item) for _, item in attributes(found.get(4, b"")))
    note = notes(found[7]).get(NOTE, b"") if 7 in found else b""
    return string(found[1]), string(found[2]), Rule(exprs, note)


def parse_counts(message: bytes) -> tuple[str, str, int, int]:
    """Table and chain of a rule, and the packets and bytes that its counters have counted."""
    found = dict(attributes(message, 4))
    packets = octets = 0
    for _, item in attributes(found.get(4, b"")):
        parts = dict(attributes(item))
        if string(parts[1]) == "counter":
            told = dict(attributes(parts.get(2, b"")))
            octets += int.from_bytes(told.get(1, b""), "big")
            packets += int.from_bytes(told.get(2, b""), "big")
    return string(found[1]), string(found[2]), packets, octets


def generation(message: bytes) -> int:
    """The number of the ruleset; each change of any table makes it one greater."""
    return number_(dict(attributes(message, 4))[1])


def parse_chain(message: bytes) -> tuple[str, str, int | None, int, str]:
    """Table, name, hook number, priority and comment of a chain."""
    found = dict(attributes(message, 4))
    hook, priority = None, 0
    if 4 in found:
        parts = dict(attributes(found[4]))
        hook, priority = number_(parts[1]), struct.unpack("!i", parts[2])[0]
    return string(found[1]), string(found[3]), hook, priority, comment_of(found.get(12, b""))


def drops(message: bytes) -> bool:
    """Whether the policy of a chain is to drop."""
    found = dict(attributes(message, 4))
    return 5 in found and number_(found[5]) == Code.DROP


def parse_elements(message: bytes) -> Iterator[tuple[str, Verdict | None]]:
    """Interface name and verdict of each element in a message body."""
    found = dict(attributes(message, 4))
    for _, item in attributes(found.get(3, b"")):
        parts = dict(attributes(item))
        name = string(dict(attributes(parts[1]))[1])
        yield name, parse_verdict(parts[2]) if 2 in parts else None


def parse_addresses(message: bytes) -> Iterator[str]:
    """The IP address of each element in a message body."""
    found = dict(attributes(message, 4))
    for _, item in attributes(found.get(3, b"")):
        key = dict(attributes(dict(attributes(item))[1]))[1]
        yield _address(key)


@lru_cache(maxsize=65536)
def _address(key: bytes) -> str:
    return str(ipaddress.ip_address(key))


def parse_set(message: bytes) -> str:
    """The name of a set."""
    return string(dict(attributes(message, 4))[2])
