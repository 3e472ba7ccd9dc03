"""What a table of nftables does with a frame, as a pure function of its chains and sets.

It serves tests of properties: any frame can be judged, without a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vifd.nft.expr import (
    Base,
    Code,
    Compare,
    Counter,
    Expr,
    Key,
    Lookup,
    Mask,
    Meta,
    Payload,
    Unknown,
    Verdict,
    interface,
)
from vifd.nft.objects import Chain, Element, Hook, Rule

#: IPv6 headers that another header follows: hop-by-hop, routing, destination options.
_EXTENSIONS = (0, 43, 60)
_FRAGMENT = 44


@dataclass(frozen=True)
class Frame:
    """A frame on its way between two ports."""

    raw: bytes
    iif: str = ""
    oif: str = ""

    def load(self, base: Base, offset: int, length: int) -> bytes | None:
        """Bytes of the frame, ``None`` where it has none there."""
        start = {Base.LINK: 0, Base.NETWORK: 14, Base.TRANSPORT: self.transport[1]}[base]
        if start is None:
            return None
        found = self.raw[start + offset : start + offset + length]
        return found if len(found) == length else None

    @property
    def transport(self) -> tuple[int | None, int | None]:
        """The protocol above IP, and where its header begins; none for what is no IP, and for
        later fragments."""
        match self.raw[12:14]:
            case b"\x08\x00" if len(self.raw) >= 34:
                later = int.from_bytes(self.raw[20:22], "big") & 0x1FFF
                return self.raw[23], None if later else 14 + (self.raw[14] & 15) * 4
            case b"\x86\xdd" if len(self.raw) >= 54:
                return self._ipv6(self.raw[20], 54)
        return None, None

    def _ipv6(self, kind: int, at: int) -> tuple[int | None, int | None]:
        while kind in (*_EXTENSIONS, _FRAGMENT) and at + 8 <= len(self.raw):
            if kind == _FRAGMENT:
                if int.from_bytes(self.raw[at + 2 : at + 4], "big") >> 3:
                    return self.raw[at], None
                kind, at = self.raw[at], at + 8
            else:
                kind, at = self.raw[at], at + 8 + 8 * self.raw[at + 1]
        return kind, at


@dataclass
class Machine:
    """A table.

    :param chains: by name
    :param elements: by set and interface name
    """

    chains: Mapping[str, Chain]
    elements: Mapping[tuple[str, str], Element] = field(default_factory=dict)

    def passes(self, hook: Hook, frame: Frame) -> bool:
        """Whether the base chains of a hook let a frame through."""
        bases = [chain for chain in self.chains.values() if chain.hook is hook]
        ordered = sorted(bases, key=lambda chain: chain.priority)
        return all(self._judge(chain, frame) is not Code.DROP for chain in ordered)

    def forwards(self, raw: bytes, iif: str, oif: str) -> bool:
        """Whether a frame gets from one port of a bridge to another."""
        frame = Frame(raw, iif, oif)
        hooks = (Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING)
        return all(self.passes(hook, frame) for hook in hooks)

    def _judge(self, chain: Chain, frame: Frame) -> Code | None:
        """ACCEPT, DROP, or ``None`` at the end of the chain."""
        for rule in chain.rules:
            verdict = self._row(rule, frame)
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

    def _row(self, rule: Rule, frame: Frame) -> Verdict | None:
        value = b""
        for expr in rule.exprs:
            if isinstance(expr, Verdict):
                return expr
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
            case Meta():
                return _meta(expr.key, frame)
            case Mask():
                return bytes(a & b for a, b in zip(value, expr.mask, strict=True))
            case Compare():
                return value if (value == expr.value) is expr.equal else None
            case Lookup():
                return value if self._find(expr.set, value) else None
            case Counter():
                return value
            case Unknown():
                raise ValueError(f"cannot evaluate {expr}")
        raise ValueError(f"a verdict inside a row: {expr}")

    def _find(self, name: str, key: bytes) -> Element | None:
        return self.elements.get((name, key.rstrip(b"\0").decode()))


def _meta(key: Key, frame: Frame) -> bytes | None:
    match key:
        case Key.IIFNAME:
            return interface(frame.iif)
        case Key.OIFNAME:
            return interface(frame.oif)
        case Key.L4PROTO:
            kind = frame.transport[0]
            return None if kind is None else bytes((kind,))
