"""What the kernel tells of frames that rules handed over; and what it may never tell."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from vifd.drivers.netlink import attribute, nest, pack, text
from vifd.drivers.nft import nl
from vifd.drivers.nft.objects import COPIED, Hook, Overheard
from vifd.drivers.nft.overheard import PACKET, overheard
from vifd.policy.rule import Direction
from vifd.testing import frames as f
from vifd_linuxbridge import telling
from vifd_linuxbridge.telling import Told, Word

PORT = "0f3c0000-0000-4000-8000-000000000001"
ONE, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
SAID = telling.said(Word.DROP, PORT)


def told(frame: bytes, *more: bytes, hook: Hook = Hook.PREROUTING, link: int | None = 21) -> bytes:
    """A message as the kernel writes it."""
    head = frame[12:14] + struct.pack("BB", hook, 0)
    parts = [attribute(1, head), text(10, SAID), *more]
    if link is not None:
        parts.append(attribute(link, frame[:14]))
    parts.append(attribute(9, frame[14 : 14 + COPIED]))
    return pack(0, PACKET, 0, nl.head(7, 30313) + b"".join(parts))


def datagram(size: int, version: int = 4) -> bytes:
    ends = ("10.0.0.1", "10.0.0.2") if version == 4 else ("fd00::1", "fd00::2")
    return f.udp(ONE, OTHER, *ends, payload=bytes(size))


def test_short_and_long_frames_have_their_length() -> None:
    for version in (4, 6):
        for size in (4, 1400):
            frame = datagram(size, version)
            assert [*overheard(told(frame))] == [
                Overheard(SAID, Hook.PREROUTING, frame[: 14 + COPIED], len(frame))
            ]


def test_several_in_one_datagram() -> None:
    first, second = datagram(4), datagram(9)
    message = told(first) + told(second, hook=Hook.POSTROUTING)
    assert [(o.frame, o.hook) for o in overheard(message)] == [
        (first, Hook.PREROUTING), (second, Hook.POSTROUTING)
    ]  # fmt: skip


def test_a_tag_beside_the_frame_stands_in_it() -> None:
    frame = datagram(4)
    tag = nest(20, attribute(1, bytes.fromhex("8100")) + attribute(2, bytes.fromhex("0065")))
    (found,) = overheard(told(frame, tag))
    assert (f.vlan_of(found.frame), f.untagged(found.frame)) == (101, frame)
    assert found.length == len(frame) + 4


def test_a_kernel_that_tells_nothing_of_ethernet() -> None:
    frame = datagram(4)
    (found,) = overheard(told(frame, link=None))
    assert found.frame == bytes(12) + frame[12:]


def test_whose_and_what_it_is() -> None:
    def of(prefix: str, hook: Hook | None) -> Told | None:
        return telling.told(Overheard(prefix, hook, b"", 0))

    assert of(SAID, Hook.PREROUTING) == Told(PORT, Word.DROP, Direction.EGRESS)
    assert of(telling.said(Word.ACCEPT, PORT), Hook.POSTROUTING) == Told(
        PORT, Word.ACCEPT, Direction.INGRESS
    )
    for prefix in ("", "vifd", f"vifd REJECT {PORT}", f"{SAID} ", f"iptables {SAID}"):
        assert of(prefix, Hook.PREROUTING) is None
    assert of(SAID, Hook.FORWARD) is None
    assert of(SAID, None) is None


@given(st.binary(max_size=200), st.integers(0, 120))
def test_whatever_comes_is_read_or_left_out(raw: bytes, cut: int) -> None:
    assert all(isinstance(o, Overheard) for o in overheard(raw))
    message = told(datagram(4))
    assert all(isinstance(o, Overheard) for o in overheard(message[:cut] + raw))
