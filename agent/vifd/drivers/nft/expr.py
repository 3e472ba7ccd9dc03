"""Expressions of an nftables rule, as the kernel's virtual machine knows them.

A rule is a row of expressions: one loads a value, the next masks or compares it, and the row ends
where a comparison fails. One register is enough for all that is said here, so none is named.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

#: Of a connection's status: a packet of it has left the bridge (IPS_CONFIRMED).
CONFIRMED = 8
#: The length of an interface name as a key: IFNAMSIZ.
NAME_BYTES = 16


class Base(IntEnum):
    """Where a payload offset counts from."""

    LINK = 0
    NETWORK = 1
    TRANSPORT = 2


class Key(IntEnum):
    """What ``meta`` loads."""

    PROTOCOL = 1  #: the Ethernet type, behind the outer VLAN tag where there is one
    IIF = 4  #: the number of the interface, in the byte order of the host
    IIFNAME = 6
    OIFNAME = 7
    L4PROTO = 16
    BRIDGE = 17  #: the name of the bridge that the frame came in by
    VLAN = 28  #: the VLAN of untagged frames there, in the byte order of the host


class Tracked(IntEnum):
    """What connection tracking knows; a row ends where a frame belongs to no connection."""

    DIRECTION = 1  #: 0 for a packet of the side that began, 1 for one of the other side
    STATUS = 2  #: bits in the byte order of the host; :data:`CONFIRMED` once a packet got through
    MARK = 3  #: in the byte order of the host
    PROTOCOL = 10
    PORT = 12  #: the destination port of the first packet; of ICMP, type and code
    ZONE = 17  #: to be said before tracking, in the byte order of the host
    SOURCE4 = 19  #: of the first packet, as are the three that follow
    TARGET4 = 20
    SOURCE6 = 21
    TARGET6 = 22


class Code(IntEnum):
    """What becomes of a frame."""

    DROP = 0
    ACCEPT = 1
    JUMP = -3
    GOTO = -4
    RETURN = -5


@dataclass(frozen=True, slots=True)
class Payload:
    """Load bytes of the frame; the row ends where the frame has none there."""

    base: Base
    offset: int
    length: int

    def __str__(self) -> str:
        words = {**_WORDS, **_TRANSPORT}
        default = f"@{self.base.name.lower()},{self.offset},{self.length}"
        return words.get((self.base, self.offset, self.length), default)


@dataclass(frozen=True, slots=True)
class Meta:
    """Load a fact about the frame; an interface name is 16 bytes long, with zeros."""

    key: Key

    def __str__(self) -> str:
        return self.key.name.lower()


@dataclass(frozen=True, slots=True)
class Extension:
    """Load bytes of the first IPv6 extension header of a kind; the row ends where there is none."""

    header: int
    offset: int
    length: int

    def __str__(self) -> str:
        return f"exthdr {self.header},{self.offset},{self.length}"


@dataclass(frozen=True, slots=True)
class Mask:
    """Keep these bits of what was loaded.

    :param flip: bits that are turned over then; none by default
    """

    mask: bytes
    flip: bytes = b""

    def __str__(self) -> str:
        return f"& {self.mask.hex()}" + (f" ^ {self.flip.hex()}" if self.flip else "")


@dataclass(frozen=True, slots=True)
class Compare:
    """Go on if what was loaded is equal to a value, or not equal to it."""

    value: bytes
    equal: bool = True

    def __str__(self) -> str:
        return f"{'==' if self.equal else '!='} {_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Bound:
    """Go on if what was loaded is at least a value, or at most."""

    value: bytes
    least: bool

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Connection:
    """Load what tracking knows of the connection that the frame belongs to."""

    key: Tracked

    def __str__(self) -> str:
        return f"ct {self.key.name.lower()}"


@dataclass(frozen=True, slots=True)
class Note:
    """Set a fact of the connection to what was loaded: its mark, or the zone that it is in."""

    key: Tracked

    def __str__(self) -> str:
        return f"-> ct {self.key.name.lower()}"


@dataclass(frozen=True, slots=True)
class Load:
    """Load a value."""

    value: bytes

    def __str__(self) -> str:
        return _value(self.value)


@dataclass(frozen=True, slots=True)
class Untracked:
    """Have the frame belong to no connection; to be said before tracking."""

    def __str__(self) -> str:
        return "notrack"


@dataclass(frozen=True, slots=True)
class Store:
    """Write what was loaded into the frame.

    :param checksum: where the Internet checksum of the same header is, which is kept right
    :param pseudo: whether the checksum of the header above IP is kept right as well
    """

    base: Base
    offset: int
    length: int
    checksum: int | None = None
    pseudo: bool = False

    def __str__(self) -> str:
        return f"-> {Payload(self.base, self.offset, self.length)}"


@dataclass(frozen=True, slots=True)
class Over:
    """Go on if more comes than a rate allows; what goes on is not counted.

    The kernel lets so much pass at once: of packets the burst, of bytes that of one second and the
    burst.

    :param rate: bytes or packets per second, from 1
    :param packets: whether packets are counted, and not bytes from the network header on
    """

    rate: int
    burst: int
    packets: bool = False

    def __str__(self) -> str:
        return f"limit over {self.rate} {'packets' if self.packets else 'bytes'}/s +{self.burst}"


@dataclass(frozen=True, slots=True)
class Log:
    """Hand a copy of the frame to who listens to a group, and go on.

    :param prefix: what is said with it, up to 127 characters
    :param length: so many bytes of it, from the network header on
    """

    group: int
    prefix: str
    length: int

    def __str__(self) -> str:
        return f'log group {self.group} "{self.prefix}" {self.length} bytes'


@dataclass(frozen=True, slots=True)
class Lookup:
    """Go on if what was loaded is in a set; with a verdict map, do what it says there; with a map
    of values, load the one that it has there."""

    set: str
    vmap: bool = False
    value: bool = False

    def __str__(self) -> str:
        return f"{'vmap ' if self.vmap else 'map ' if self.value else ''}@{self.set}"


@dataclass(frozen=True, slots=True)
class Send:
    """Send the frame out of the interface whose number was loaded (family netdev)."""

    def __str__(self) -> str:
        return "fwd to"


@dataclass(frozen=True, slots=True)
class Verdict:
    """End the row with a verdict."""

    code: Code
    chain: str = ""

    def __str__(self) -> str:
        return f"{self.code.name.lower()} {self.chain}".rstrip()


@dataclass(frozen=True, slots=True)
class Counter:
    """Count the frame; what was counted is no part of the value."""

    def __str__(self) -> str:
        return "counter"


@dataclass(frozen=True, slots=True)
class Unknown:
    """An expression that this package does not know: never equal to one of ours."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.name}({self.data.hex()})"


Expr = (
    Payload | Extension | Meta | Mask | Compare | Bound | Connection | Note | Load | Untracked
    | Store | Over | Log | Lookup | Send | Verdict | Counter | Unknown
)  # fmt: skip


@lru_cache(maxsize=65536)
def canonical(expr: Expr) -> Expr:
    """The same object for equal expressions: rules are compared far more often than made."""
    return expr


ACCEPT = Verdict(Code.ACCEPT)
DROP = Verdict(Code.DROP)

_WORDS: dict[tuple[Base, int, int], str] = {
    (Base.LINK, 0, 6): "ether daddr",
    (Base.LINK, 6, 6): "ether saddr",
    (Base.LINK, 12, 2): "ether type",
    (Base.NETWORK, 6, 2): "arp operation",
    (Base.NETWORK, 8, 6): "arp saddr ether",
    (Base.NETWORK, 14, 4): "arp saddr ip",
    (Base.NETWORK, 12, 4): "ip saddr",
    (Base.NETWORK, 8, 16): "ip6 saddr",
}
_TRANSPORT: dict[tuple[Base, int, int], str] = {
    (Base.TRANSPORT, 0, 1): "icmpv6 type",
    (Base.TRANSPORT, 0, 2): "udp sport",
    (Base.TRANSPORT, 2, 2): "udp dport",
    (Base.TRANSPORT, 8, 16): "icmpv6 taddr",
}


def _value(raw: bytes) -> str:
    """The likely meaning of a value by its length."""
    if len(raw) == 16:
        text = raw.rstrip(b"\0")
        if text.isascii() and text.decode().isprintable() and len(text) > 2:
            return text.decode()
        return str(ipaddress.IPv6Address(raw))
    if len(raw) == 4:
        return str(ipaddress.IPv4Address(raw))
    return raw.hex(":") if len(raw) == 6 else f"{int.from_bytes(raw):#x}"


def interface(name: str) -> bytes:
    """An interface name as a key."""
    return name.encode().ljust(NAME_BYTES, b"\0")


def mac(text: str) -> bytes:
    """A MAC address as a value."""
    return bytes.fromhex(text.replace(":", ""))


def prefix(load: Payload, text: str, *, equal: bool = True) -> tuple[Expr, ...]:
    """Load an address and compare it with an address or prefix."""
    network = ipaddress.ip_network(text, strict=False)
    value = Compare(network.network_address.packed, equal)
    if network.prefixlen == network.max_prefixlen:
        return load, value
    return load, Mask(network.netmask.packed), value
