"""A bridge of the kernel that follows connections, in memory: what becomes of a frame by a table.

What ``nf_conntrack_bridge`` does: a frame's connection is looked up once, between the chains before
and those after, and kept if the frame leaves by some port.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from functools import partial
from ipaddress import ip_address

from support.nftmachine import Frame, Machine
from vifd.drivers.nft.expr import CONFIRMED, Connection, Expr, Note, Tracked, Untracked
from vifd.drivers.nft.objects import Hook
from vifd.openflow import field as fd
from vifd.testing import flowkey
from vifd.testing.nft import FakeNft
from vifd.testing.tracking import Connections, Ends

_PORTED = {fd.TCP: "tcp", fd.UDP: "udp", fd.SCTP: "sctp"}
_NAMES = {fd.IPV4: "ct_nw", fd.IPV6: "ct_ipv6"}


def _host(number: int, size: int) -> bytes:
    return number.to_bytes(size, sys.byteorder)


class Bridge:
    """A bridge whose table is the fake's.

    :param name: of the bridge
    """

    def __init__(self, nft: FakeNft, table: str, name: str) -> None:
        self._nft, self._table, self._name = nft, table, name
        self.connections = Connections(_PORTED)
        self.marks: dict[tuple[int, Ends], int] = {}
        nft.on_forget = self._forget

    def _forget(self, zone: int, addresses: Collection[str] | None, marks: Collection[int]) -> int:
        ends = {int(ip_address(text)) for text in addresses or ()}
        known = self.connections.zones.get(zone, {})
        going = [c for c in known if addresses is None or {c.src, c.dst} & ends
                 or self.marks.get((zone, c)) in marks]  # fmt: skip
        for one in going:
            del known[one]
        return len(going)

    def send(self, raw: bytes, iif: str, towards: Iterable[str]) -> set[str]:
        """The ports by which a frame leaves.

        :param towards: those that it is sent to
        """
        nft = self._nft
        table = nft.table(self._table)
        count = partial(nft.count, self._table)
        machine = Machine(table.chains, table.elements, count, nft.hand_over)
        passage = Way(self, flowkey.parse(raw))
        written = bytearray(raw)  # a mark, for one
        arriving = Frame(written, iif, bridge=self._name, passage=passage)
        if not machine.passes(Hook.PREROUTING, arriving):
            return set()
        found = {
            oif for oif in towards
            if machine.passes(Hook.POSTROUTING, Frame(written, iif, oif, self._name, passage))
        }  # fmt: skip
        if found:
            passage.confirm()
        return found


class Way:
    """See :class:`support.nftmachine.Passage`."""

    def __init__(self, bridge: Bridge, packet: flowkey.Key) -> None:
        self._bridge, self._packet = bridge, packet
        self._zone, self._untracked, self._looked = 0, False, False
        self._began: Ends | None = None
        self._answers = False
        self._new_mark: int | None = None

    def look_up(self) -> None:
        """Find the connection."""
        kind = self._packet.get("eth_type", 0)
        if self._looked or self._untracked or kind not in _NAMES:
            return
        self._looked = True
        told = self._bridge.connections.track(self._zone, self._packet)
        if told["ct_state"] & fd.CT_INVALID:
            return
        name = _NAMES[kind]
        self._answers = bool(told["ct_state"] & fd.CT_REPLY)
        self._began = Ends(
            kind, told["ct_nw_proto"], told[f"{name}_src"], told[f"{name}_dst"],
            told["ct_tp_src"], told["ct_tp_dst"],
        )  # fmt: skip

    def confirm(self) -> None:
        """The frame leaves: its connection is kept."""
        if self._began is None:
            return
        known = self._bridge.connections.zones.get(self._zone, {})
        if self._began not in known:
            self._bridge.connections.commit(self._zone, self._packet)
        if self._new_mark is not None:
            self._bridge.marks[self._zone, self._began] = self._new_mark

    def step(self, expr: Expr, value: bytes) -> bytes | None:
        """See :class:`support.nftmachine.Passage`."""
        match expr:
            case Untracked():
                self._untracked = not self._looked
            case Note(Tracked.ZONE):
                self._zone = int.from_bytes(value, sys.byteorder)
            case Note(Tracked.MARK):
                self._new_mark = int.from_bytes(value, sys.byteorder)
                return value if self._began is not None else None
            case Connection():
                return self._told(expr.key)
        return value

    def _told(self, key: Tracked) -> bytes | None:
        began = self._began
        if began is None:
            return None
        four = began.kind == fd.IPV4
        match key:
            case Tracked.DIRECTION:
                return bytes((self._answers,))
            case Tracked.STATUS:
                there = began in self._bridge.connections.zones.get(self._zone, {})
                return _host(CONFIRMED if there else 0, 4)
            case Tracked.MARK:
                known = self._bridge.marks.get((self._zone, began), 0)
                return _host(self._new_mark if self._new_mark is not None else known, 4)
            case Tracked.PROTOCOL:
                return bytes((began.protocol,))
            case Tracked.PORT if began.protocol in (fd.ICMP, fd.ICMPV6):
                return bytes((began.sport, began.dport))
            case Tracked.PORT:
                return began.dport.to_bytes(2, "big")
            case Tracked.SOURCE4 | Tracked.SOURCE6:
                right = four is (key is Tracked.SOURCE4)
                return began.src.to_bytes(4 if four else 16, "big") if right else None
            case Tracked.TARGET4 | Tracked.TARGET6:
                right = four is (key is Tracked.TARGET4)
                return began.dst.to_bytes(4 if four else 16, "big") if right else None
        return None
