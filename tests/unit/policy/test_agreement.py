"""Frames of every mixture get the same verdict from both back ends."""

from __future__ import annotations

from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from functional.spoofing.case import (
    ANY,
    BARE,
    FREE,
    PAIRS,
    PEER,
    PLAIN,
    SHARED4,
    SHARED6,
    STRANGER,
    VIRTUAL4,
    VIRTUAL6,
    VRRP,
    Station,
)
from unit.policy.judges import on_linux_bridge, on_open_vswitch
from vifd.testing import crafted as c
from vifd.testing import frames as f

SENDERS = (PLAIN, PAIRS, ANY, BARE, FREE)
MACS = st.sampled_from([*(s.mac for s in SENDERS), VRRP, STRANGER.mac])
IP4 = st.sampled_from([PLAIN.ip4, PAIRS.ip4, STRANGER.ip4, SHARED4, VIRTUAL4, "0.0.0.0"])
IP6 = st.sampled_from(
    [PLAIN.ip6, PLAIN.local, PAIRS.ip6, STRANGER.ip6, SHARED6, VIRTUAL6, "::", f.link_local(VRRP)]
)
PORTS = st.sampled_from([67, 68, 546, 547, 4011, 40000])
TYPES = st.sampled_from([1, 128, 130, 131, 132, 133, 134, 137, 143, 151])
DESTINATIONS = st.sampled_from([PEER.mac, f.BROADCAST, "33:33:00:00:00:01", "01:80:c2:00:00:03"])
GROUPS = st.sampled_from(["224.0.0.1", "224.0.0.22", "224.0.0.106", "239.1.2.3", PEER.ip4])


@st.composite
def udp(draw: st.DrawFn) -> bytes:
    src = draw(st.one_of(IP4, IP6))
    dst = PEER.ip6 if ":" in src else PEER.ip4
    body = bytes(draw(st.sampled_from([4, 40, 400])))
    return f.udp(draw(MACS), draw(DESTINATIONS), src, dst, body, sport=draw(PORTS),
                 dport=draw(PORTS))  # fmt: skip


@st.composite
def resolution(draw: st.DrawFn) -> bytes:
    op, hardware, ip = draw(st.sampled_from([1, 2])), draw(MACS), draw(IP4)
    return f.arp(op, hardware, ip, PEER.mac, PEER.ip4, src=draw(MACS))


@st.composite
def discovery(draw: st.DrawFn) -> bytes:
    mac, src, target = draw(MACS), draw(IP6), draw(IP6)
    kind = draw(st.sampled_from([1, 2]))
    options = draw(st.sampled_from([(), (c.link_layer(kind, draw(MACS)),)]))
    if kind == 1:
        return c.solicitation(mac, src, target, *options)
    return c.advertisement(mac, PEER.mac, src, PEER.ip6, target, *options)


@st.composite
def control(draw: st.DrawFn) -> bytes:
    rest = bytes(draw(st.sampled_from([4, 20, 36])))
    return f.icmpv6(draw(MACS), draw(DESTINATIONS), draw(IP6), "ff02::1", draw(TYPES), rest)


@st.composite
def groups(draw: st.DrawFn) -> bytes:
    # a query to one group is what OpenFlow cannot tell from a report
    kind = draw(st.sampled_from([0x12, 0x16, 0x17, 0x22]))
    return c.igmp(draw(MACS), draw(IP4), draw(GROUPS), kind, dst=PEER.mac)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A message, perhaps behind a header, perhaps a piece of it, perhaps with a priority."""
    frame = draw(st.one_of(udp(), resolution(), discovery(), control(), groups()))
    if frame[12:14] == b"\x86\xdd":
        for kind in draw(st.lists(st.sampled_from([c.HOP_BY_HOP, c.OPTIONS]), max_size=1)):
            frame = c.extended(frame, kind)
        size = draw(st.sampled_from([0, 0, 8, 24, 64]))
        # a header behind a fragment header is more than a Linux bridge lets pass
        skip = 8 if frame[20] in (c.HOP_BY_HOP, c.OPTIONS) else 0
        frame = draw(st.sampled_from(c.fragments6(frame, size, skip=skip))) if size else frame
    elif frame[12:14] == b"\x08\0" and frame[14] == 0x45:
        size = draw(st.sampled_from([0, 0, 8, 64]))
        frame = draw(st.sampled_from(c.fragments4(frame, size))) if size else frame
    tags = draw(st.sampled_from([(), (), (0,), (7,), (0, 7)]))
    for vlan in tags:
        frame = c.tagged(frame, vlan, priority=draw(st.integers(0, 7)))
    return frame


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(SENDERS), frames())
def test_the_same_verdict(sender: Station, frame: bytes):
    one, other = judges()
    assert one(sender.mac, frame) is other(sender.mac, frame), frame.hex()


@lru_cache
def judges():
    return on_open_vswitch(PEER), on_linux_bridge(PEER)
