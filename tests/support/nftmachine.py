"""What a table of nftables does with a frame, as a pure function of its chains and sets.

It serves tests of properties: any frame can be judged, without a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from vifd.drivers.nft.expr import (
    NAME_BYTES,
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
    Store,
    Unknown,
    Untracked,
    Verdict,
    interface,
)
from vifd.drivers.nft.objects import Chain, Element, Hook, Rule

#: IPv6 headers that the kernel looks behind: hop-by-hop, routing, destination options. It does not
#: for an authentication header, unless it looks for an extension header.
_AUTHENTICATION = 51
_EXTENSIONS = (0, 43, 60)
_FRAGMENT, _NOTHING = 44, 59
#: Connections are looked up before chains of a higher priority.
TRACKING = -200
#: Bytes of an Ethernet header, which are not counted.
_HEAD = 14
_TAGS = (b"\x81\x00", b"\x88\xa8")


class Passage(Protocol):
    """The way of one frame through a bridge, as far as connection tracking is about it."""

    def look_up(self) -> None:
        """Find its connection, once."""

    def step(self, expr: Expr, value: bytes) -> bytes | None:
        """The register after an expression."""


@dataclass(frozen=True)
class Frame:
    """A frame on its way between two ports."""

    raw: bytes | bytearray
    iif: str = ""
    oif: str = ""
    bridge: str = ""
    passage: Passage | None = None

    def load(self, base: Base, offset: int, length: int) -> bytes | None:
        """Bytes of the frame, ``None`` where it has none there."""
        network = self._network
        start = {Base.LINK: 0, Base.NETWORK: network, Base.TRANSPORT: self.transport[1]}[base]
        if start is None:
            return None
        found = self.raw[start + offset : start + offset + length]
        return bytes(found) if len(found) == length else None

    def store(self, expr: Store, value: bytes) -> None:
        """Write into the frame, if it can be written to."""
        if not isinstance(self.raw, bytearray):
            raise ValueError(f"a frame that is not to be changed meets {expr}")
        at = self._network + expr.offset
        self.raw[at : at + expr.length] = value

    @property
    def transport(self) -> tuple[int | None, int | None]:
        """The protocol above IP, and where its header begins: none for what is no IP or cannot be
        read, and no place for later fragments."""
        raw, at = self.raw, self._network
        match self.protocol:
            case b"\x08\x00" if len(raw) >= at + 20:
                later = int.from_bytes(raw[at + 6 : at + 8], "big") & 0x1FFF
                size = (raw[at] & 15) * 4
                if raw[at] >> 4 != 4 or size < 20:
                    return None, None
                return raw[at + 9], None if later else at + size
            case b"\x86\xdd" if len(raw) >= at + 40:
                return self._ipv6(raw[at + 6], at + 40)
        return None, None

    @property
    def _network(self) -> int:
        """Where the network header begins: the kernel takes the outer tag off."""
        return 18 if self.raw[12:14] in _TAGS else 14

    @property
    def protocol(self) -> bytes:
        """The Ethernet type behind the outer tag."""
        return bytes(self.raw[self._network - 2 : self._network])

    def extension(self, header: int, offset: int, length: int) -> bytes | None:
        """Bytes of the first IPv6 extension header of a kind."""
        if self.protocol != b"\x86\xdd" or len(self.raw) < self._network + 40:
            return None
        kind, at = self.raw[self._network + 6], self._network + 40
        while kind != header:
            if kind not in (*_EXTENSIONS, _AUTHENTICATION, _FRAGMENT) or at + 8 > self._end:
                return None
            kind, at = self.raw[at], at + self._size(kind, at)
        found = self.raw[at + offset : at + offset + length]
        return bytes(found) if len(found) == length else None

    @property
    def _end(self) -> int:
        """Where an IPv6 packet ends; behind it is padding."""
        return self._network + 40 + int.from_bytes(self.raw[self._network + 4 :][:2], "big")

    def _size(self, kind: int, at: int) -> int:
        if kind == _FRAGMENT:
            return 8
        return (self.raw[at + 1] + 2) * 4 if kind == _AUTHENTICATION else 8 + 8 * self.raw[at + 1]

    def _ipv6(self, kind: int, at: int) -> tuple[int | None, int | None]:
        if self._end > len(self.raw):
            return None, None
        while kind in (*_EXTENSIONS, _FRAGMENT):
            if at + 8 > self._end:
                return None, None
            if kind == _FRAGMENT and int.from_bytes(self.raw[at + 2 : at + 4], "big") >> 3:
                following = self.raw[at]
                hidden = following in (*_EXTENSIONS, _AUTHENTICATION, _FRAGMENT)
                return (None if hidden else following), None
            kind, at = self.raw[at], at + self._size(kind, at)
        return kind, at


@dataclass
class Machine:
    """A table.

    :param chains: by name
    :param elements: by set and interface name
    :param count: told of each packet that a rule counts: its chain, and the packet's bytes
    :param hand: told of each that a rule hands over: what that says, where, and the frame
    """

    chains: Mapping[str, Chain]
    elements: Mapping[tuple[str, str], Element] = field(default_factory=dict)
    count: Callable[[str, int], None] | None = None
    hand: Callable[[str, Hook, bytes], None] | None = None

    def passes(self, hook: Hook, frame: Frame) -> bool:
        """Whether the base chains of a hook let a frame through."""
        bases = [chain for chain in self.chains.values() if chain.hook is hook]
        ordered = sorted(bases, key=lambda chain: chain.priority)
        for chain in ordered:
            if frame.passage is not None and hook is Hook.PREROUTING and chain.priority > TRACKING:
                frame.passage.look_up()
            if self._judge(chain, frame) is Code.DROP:
                return False
        return True

    def forwards(self, raw: bytes, iif: str, oif: str) -> bool:
        """Whether a frame gets from one port of a bridge to another."""
        frame = Frame(raw, iif, oif)
        hooks = (Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING)
        return all(self.passes(hook, frame) for hook in hooks)

    def _judge(self, chain: Chain, frame: Frame) -> Code | None:
        """ACCEPT, DROP, or ``None`` at the end of the chain."""
        for rule in chain.rules:
            verdict = self._row(rule, frame, chain.name)
            if verdict is None:
                continue
            match verdict.code:
                case Code.ACCEPT | Code.DROP:
                    return verdict.code
                case Code.RETURN:
                    return None
                case Code.GOTO:
                    return self._judge(self.chains[verdict.chain], frame)
            result = self._judge(self.chains[verdict.chain], frame)
            if result is not None:
                return result
        return None

    def _row(self, rule: Rule, frame: Frame, chain: str) -> Verdict | None:
        value = b""
        for expr in rule.exprs:
            if isinstance(expr, Verdict):
                return expr
            if isinstance(expr, Counter) and self.count is not None:
                self.count(chain, len(frame.raw) - _HEAD)
            if isinstance(expr, Log) and self.hand is not None:
                hook = Hook.POSTROUTING if frame.oif else Hook.PREROUTING
                self.hand(expr.prefix, hook, bytes(frame.raw))
            if isinstance(expr, Lookup) and expr.vmap:
                element = self._find(expr.set, value)
                return element.verdict if element else None
            step = self._step(expr, value, frame)
            if step is None:
                return None
            value = step
        return None

    def _step(self, expr: Expr, value: bytes, frame: Frame) -> bytes | None:
        """The register after an expression, ``None`` where the row ends."""
        match expr:
            case Payload():
                return frame.load(expr.base, expr.offset, expr.length)
            case Extension():
                return frame.extension(expr.header, expr.offset, expr.length)
            case Meta():
                return _meta(expr.key, frame)
            case Mask():
                flip = expr.flip or bytes(len(value))
                return bytes(a & b ^ c for a, b, c in zip(value, expr.mask, flip, strict=True))
            case Over():
                return None  # nobody sends that much
            case Store():
                frame.store(expr, value)
                return value
            case Compare():
                return value if (value == expr.value) is expr.equal else None
            case Bound():
                within = value >= expr.value if expr.least else value <= expr.value
                return value if within else None
            case Load():
                return expr.value
            case Connection() | Note() | Untracked() if frame.passage is not None:
                return frame.passage.step(expr, value)
            case Lookup():
                return value if self._find(expr.set, value) else None
            case Counter() | Log():
                return value
            case Unknown():
                raise ValueError(f"cannot evaluate {expr}")
        raise ValueError(f"a verdict inside a row: {expr}")

    def _find(self, name: str, key: bytes) -> Element | None:
        if len(key) == NAME_BYTES and (found := self.elements.get((name, _name(key)))):
            return found
        return self.elements.get((name, str(ip_address(key)))) if len(key) in (4, 16) else None


def _name(key: bytes) -> str:
    return key.rstrip(b"\0").decode(errors="replace")


def _meta(key: Key, frame: Frame) -> bytes | None:
    match key:
        case Key.BRIDGE:
            return interface(frame.bridge)
        case Key.VLAN:
            return None
        case Key.PROTOCOL:
            return frame.protocol
        case Key.IIF:
            return None
        case Key.IIFNAME:
            return interface(frame.iif)
        case Key.OIFNAME:
            return interface(frame.oif)
        case Key.L4PROTO:
            kind = frame.transport[0]
            return None if kind is None else bytes((kind,))
