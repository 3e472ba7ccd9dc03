"""Changes under traffic: every packet of an allowed connection arrives, and none of a refused one.

``VIFD_CHANGES`` says how many changes of rules; half as many of members. ``make hitless`` has the
full count.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from functional.groups.packets import Station
from functional.groups.rig import RealRig
from functional.groups.rig_bridge import RealBridgeRig
from functional.groups.table import GROUP, HAS, PEER, PORT
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat
from vifd.testing.guests import Guest
from vifd.testing.wait import until

RULES = int(os.environ.get("VIFD_CHANGES", "40"))
#: Frames a second of each of four streams, and so many of one may be under way: fewer than any
#: queue on the way holds, so that what is lost was refused.
_RATE, _WINDOW = 500, 100
_ALLOWED, _REFUSED, _MEMBERS = 6000, 6001, 6002
_SPORT = 40000


@dataclass
class Stream:
    """Numbered datagrams from a guest."""

    guest: Guest
    src: Station
    dst: Station
    sport: int
    dport: int
    paced: bool = True
    sent: int = 0
    got: set[int] = field(default_factory=set)

    def send(self) -> None:
        if self.paced and self.sent - len(self.got) >= _WINDOW:
            return
        self.guest.send(
            f.udp(self.src.mac, self.dst.mac, self.src.ip4, self.dst.ip4,
                  self.sent.to_bytes(4, "big"), sport=self.sport, dport=self.dport)
        )  # fmt: skip
        self.sent += 1

    def takes(self, frame: bytes) -> bool:
        ports = self.sport.to_bytes(2, "big") + self.dport.to_bytes(2, "big")
        if frame[12:14] != b"\x08\0" or frame[23] != f.UDP or frame[34:38] != ports:
            return False
        self.got.add(int.from_bytes(frame[42:46], "big"))
        return True


class Traffic:
    """Streams that go on until they are ended."""

    def __init__(self, streams: list[Stream], receivers: list[Guest]) -> None:
        self.streams = streams
        self._receivers = receivers
        self._over, self.sending = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._hear)]

    def __enter__(self) -> Traffic:
        self.sending.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        began, turns = time.monotonic(), 0
        while not self._over.is_set():
            due = int((time.monotonic() - began) * _RATE)
            for _ in range(min(due - turns, 20)):
                for stream in self.streams if self.sending.is_set() else ():
                    stream.send()
            turns = due
            self._over.wait(0.002)

    def _hear(self) -> None:
        while not self._over.is_set():
            for guest in self._receivers:
                for frame in guest.drain():
                    any(stream.takes(frame) for stream in self.streams)
            self._over.wait(0.001)


def _udp(port: int, **more: Any) -> dict[str, Any]:
    return {"direction": "ingress", "protocol": "udp", "port_range_min": port,
            "port_range_max": port, **more}  # fmt: skip


def test_no_packet_is_lost_and_none_leaks(ovs, wire):
    with RealRig(ovs, wire) as rig:
        _loses_and_leaks_nothing(rig)


@pytest.mark.needs("bridge_tracking")
def test_none_on_the_kernels_bridge(cable):
    with RealBridgeRig(cable) as rig:
        _loses_and_leaks_nothing(rig)


def _loses_and_leaks_nothing(rig: RealRig | RealBridgeRig) -> None:
    base = [_udp(_ALLOWED), _udp(_MEMBERS, remote_group_id=HAS)]
    rig.say(GROUP, *base)
    rig.put("security-group", HAS, members=[{"ip_address": PEER.ip4}])
    rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]),
             peer=attachment(2, segment=flat()))  # fmt: skip
    port, peer = rig.guests["port"], rig.guests["peer"]
    allowed = Stream(peer, PEER, PORT, _SPORT, _ALLOWED)
    members = Stream(peer, PEER, PORT, _SPORT, _MEMBERS)
    refused = Stream(peer, PEER, PORT, _SPORT, _REFUSED, paced=False)
    answers = Stream(port, PORT, PEER, _ALLOWED, _SPORT)
    with Traffic([allowed], [port]):
        until(lambda: len(allowed.got) > 1, "the connection is there")
    streams = [allowed, members, refused, answers]
    with Traffic(streams, [port, peer]) as traffic:
        began = time.monotonic()
        _change(rig, base, traffic)
        traffic.sending.clear()
        took = time.monotonic() - began
        until(lambda: all(len(s.got) == s.sent for s in (allowed, members, answers)),
              "every allowed packet arrived")  # fmt: skip
    passed = sum(stream.sent for stream in (allowed, members, answers))
    sys.stderr.write(
        f"\n{RULES} changes of rules and {RULES // 2} of members in {took:.0f} s: of {passed} "
        f"allowed frames lost {passed - sum(len(s.got) for s in (allowed, members, answers))}, of "
        f"{refused.sent} refused ones leaked {len(refused.got)}; "
        f"{(passed + refused.sent) / took:.0f} frames a second\n"
    )
    assert not refused.got
    assert refused.sent > RULES
    assert not rig.ledger.findings()


def _change(rig: RealRig | RealBridgeRig, base: list[dict[str, Any]], traffic: Traffic) -> None:
    """Rules come and go that are none of theirs, then members; all streams go on meanwhile."""
    for number in range(RULES):
        more = [_udp(7000 + (number + n) % 50) for n in range(number % 7)]
        others = [_udp(8000 + number % 11, remote_group_id=HAS)] if number % 3 else []
        _moved(traffic, partial(rig.say, GROUP, *base, *more, *others))
    for number in range(RULES // 2):
        ips = [PEER.ip4, *(f"10.3.0.{1 + (number + n) % 200}" for n in range(number % 9))]
        members = [{"ip_address": ip} for ip in ips]
        _moved(traffic, partial(rig.put, "security-group", HAS, members=members))


def _moved(traffic: Traffic, change: Callable[[], object]) -> None:
    """Change, and go on once every stream has sent something since."""
    before = [stream.sent for stream in traffic.streams]
    change()
    until(lambda: all(s.sent > b for s, b in zip(traffic.streams, before, strict=True)),
          "every stream goes on")  # fmt: skip
