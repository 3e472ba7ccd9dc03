"""Send the table through a bridge, and say where it differs from what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from functional.spoofing.case import Case, Station
from vifd.testing import frames as f
from vifd.testing.crafted import tagged
from vifd.testing.guests import Guest, Predicate, arrivals, equal_to
from vifd.testing.wait import PATIENCE

#: So many frames are on their way at once: fewer than any queue holds.
_AT_ONCE = 30


@dataclass
class Untagging:
    """A wire that carries one VLAN; its frames without that tag."""

    wire: Guest
    vlan: int
    name: str = "wire"

    def send(self, frame: bytes) -> None:
        self.wire.send(tagged(frame, self.vlan))

    def recv(self, timeout: float = PATIENCE, predicate: Predicate | None = None) -> bytes:
        return self.collect(timeout, predicate or bool)[-1]

    def collect(self, timeout: float, last: Predicate) -> list[bytes]:
        heard = self.wire.collect(timeout, lambda frame: last(self._without(frame)))
        return [self._without(frame) for frame in heard]

    def drain(self) -> list[bytes]:
        return [self._without(frame) for frame in self.wire.drain()]

    def _without(self, frame: bytes) -> bytes:
        return f.untagged(frame) if f.vlan_of(frame) == self.vlan else b""


def sentinel(sender: Station) -> bytes:
    """A frame that passes from any port: a probe for an address that nobody has."""
    return f.arp_request(sender.mac, "0.0.0.0", "10.0.0.199")


def differences(cases: Sequence[Case], guests: Mapping[str, Guest], receiver: Guest) -> list[str]:
    """Cases that came out otherwise than they should; senders are known by their MAC."""
    wrong: list[str] = []
    for sender in dict.fromkeys(case.sender for case in cases):
        mine = [case for case in cases if case.sender == sender]
        for at in range(0, len(mine), _AT_ONCE):
            wrong += _sent(mine[at : at + _AT_ONCE], sender, guests[sender.mac], receiver)
    return wrong


def assert_no_difference(
    cases: Sequence[Case], guests: Mapping[str, Guest], receiver: Guest
) -> None:
    """Every frame of the table arrives, or does not, as is right."""
    wrong = differences(cases, guests, receiver)
    if wrong:
        pytest.fail("\n".join(wrong))


def _sent(cases: Sequence[Case], sender: Station, guest: Guest, receiver: Guest) -> list[str]:
    last = sentinel(sender)
    there = arrivals(
        receiver, sent=[(guest, case.frame) for case in cases], sentinel=(guest, last),
        expect=equal_to(last[:42]), rounds=1,
    )  # fmt: skip
    return [
        f"{case}; it {'did not arrive' if case.passes else 'arrived'}: {case.frame.hex()}"
        for case in cases
        if any(map(case.is_it, there)) is not case.passes
    ]
