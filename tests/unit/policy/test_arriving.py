"""Which frames say that a guest is here."""

from __future__ import annotations

import pytest

from vifd.policy.addresses import Allowed
from vifd.policy.announcing import advertisement, announcement, gratuitous_arp
from vifd.policy.arriving import announces

MAC, OTHER = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"
OWN = [Allowed(MAC, ("10.0.0.1", "10.1.0.0/24"), ("fe80::1", "fd00::/64"))]
RARP, GARP = announcement(MAC), gratuitous_arp(MAC, "10.0.0.1")
ND = advertisement(MAC, "fe80::1")


def changed(frame: bytes, at: int, what: str) -> bytes:
    raw = bytes.fromhex(what)
    return frame[:at] + raw + frame[at + len(raw) :]


@pytest.mark.parametrize(
    "frame",
    [
        RARP, GARP, ND, gratuitous_arp(MAC, "10.1.0.7"), advertisement(MAC, "fd00::7"),
        changed(GARP, 20, "0002"), RARP[:42],
    ],
)  # fmt: skip
def test_what_a_guest_says_that_has_come(frame: bytes) -> None:
    assert announces(frame, OWN)


@pytest.mark.parametrize(
    "frame",
    [
        announcement(OTHER), gratuitous_arp(MAC, "10.0.0.2"), advertisement(MAC, "fe80::2"),
        changed(RARP, 32, "020000000001"), changed(RARP, 20, "0004"), changed(RARP, 14, "0006"),
        changed(GARP, 38, "0a000002"), changed(GARP, 22, "020000000001"), changed(GARP, 20, "0008"),
        changed(ND, 21, "40"), changed(ND, 54, "87"), changed(ND, 38, "fe80"),
        changed(ND, 55, "01"), changed(ND, 62, "fd01"), changed(RARP, 12, "8100"), RARP[:41],
        GARP[:30], ND[:70], b"",
    ],
)  # fmt: skip
def test_what_else_a_guest_may_send(frame: bytes) -> None:
    assert not announces(frame, OWN)
