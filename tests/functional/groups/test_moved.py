"""A guest that comes to the host of its peer and goes again, with a TCP connection that it began
while it was elsewhere: whoever followed it before knows how far it is."""

from __future__ import annotations

from typing import Any

import pytest

from functional.groups import packets as p
from functional.groups.rig import RealRig
from functional.groups.table import GROUP, PEER, PORT
from functional.groups.test_beside import ALL_IN, HIGH, LOW
from functional.groups.test_changes import ALL_OUT, OTHER
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat
from vifd.testing.guests import PacketGuest, TapGuest
from vifd.testing.sandbox import PrivateOvs

#: More than the datapath takes for a late packet (64 KiB), a few segments at a time.
_SEGMENT, _AT_ONCE, _ROUNDS = 1300, 5, 14


class Talk:
    """A connection that the port began, and its numbers."""

    def __init__(self, rig: RealRig, version: int, sport: int) -> None:
        self._rig, self._version, self._ports = rig, version, (sport, 80)
        self._sent = 1000

    def begin(self, port: str) -> bool:
        """:param port: where its frames come from"""
        asked = self._asks(p.SYN)
        self._sent += 1
        answer = self._answers(p.SYN | p.ACK, 2000)
        return self._passes(port, asked, answer, self._asks(p.ACK))

    def goes_on(self, port: str) -> bool:
        """Some data, and what confirms it."""
        for _ in range(_AT_ONCE - 1):
            self._rig.throw(port, self._asks(p.ACK, bytes(_SEGMENT)))
            self._sent += _SEGMENT
        last = self._asks(p.ACK, bytes(_SEGMENT))
        self._sent += _SEGMENT
        return self._passes(port, last, self._answers(p.ACK, 2001))

    def _asks(self, flags: int, data: bytes = b"") -> bytes:
        numbers = (self._sent, 0 if flags == p.SYN else 2001)
        return p.segment(PORT, PEER, self._version, self._ports, flags, numbers, data)

    def _answers(self, flags: int, number: int) -> bytes:
        ports = (self._ports[1], self._ports[0])
        return p.segment(PEER, PORT, self._version, ports, flags, (number, self._sent))

    def _passes(self, port: str, asked: bytes, answer: bytes, *more: bytes) -> bool:
        arrives = self._rig.arrives
        return (arrives(port, asked, "peer") and arrives("peer", answer, port)
                and all(arrives(port, frame, "peer") for frame in more))  # fmt: skip


@pytest.mark.parametrize(("version", "sport"), [(4, LOW), (4, HIGH), (6, HIGH)])
def test_a_guest_comes_and_goes_and_its_connection_lives_on(
    ovs: PrivateOvs, wire: PacketGuest, version: int, sport: int
) -> None:
    with RealRig(ovs, wire) as rig:
        rig.sets.group(GROUP, *ALL_OUT)
        rig.sets.group(OTHER, *ALL_IN)
        rig.plug(peer=_port(2, OTHER))
        talk = Talk(rig, version, sport)
        assert talk.begin("wire")
        assert talk.goes_on("wire")
        rig.plug(port=_port(1, GROUP))
        _announce(rig, "port", PORT)
        for _ in range(_ROUNDS):
            assert talk.goes_on("port")
        guest = rig.guests.pop("port")
        assert isinstance(guest, TapGuest)
        guest.close()
        assert not rig.ledger.unplug(rig.names.pop("port"))
        rig.tell(*rig.sets.told(rig.ledger.records))
        _announce(rig, "wire", PORT)
        assert talk.goes_on("wire")


def _port(number: int, group: str) -> Any:
    return attachment(number, segment=flat(), security_groups=[group])


def _announce(rig: RealRig, now: str, who: p.Station) -> None:
    """As a guest does that has come: the physical bridge learns where it is."""
    rig.arrives(now, f.gratuitous_arp(who.mac, who.ip4), "peer")
