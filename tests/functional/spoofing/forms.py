"""How a frame looks: fragments, VLAN tags, destinations that bridges keep to themselves."""

from __future__ import annotations

from functional.spoofing.case import ANY, FREE, PLAIN, STRANGER, Table
from vifd.testing import crafted as c
from vifd.testing import frames as f

_SYN = bytes.fromhex("9c4001bb00000001000000005002040000000000")
_BIG = bytes(range(256)) * 6


def _parts(
    t: Table, what: str, frames: list[bytes], source: str, *, first: bool, later: bool = True
) -> None:
    for number, frame in enumerate(frames):
        passes = later if number else first
        t.add(f"{what}, fragment {number}", PLAIN, frame, source, passes=passes)


def legitimate(t: Table) -> None:
    """Large datagrams pass, in whatever pieces."""
    me, to, source = PLAIN, t.to, "RFC 791, 3.2; RFC 8200, 4.5"
    for size in (512, 1024):
        big = f.udp(me.mac, to.mac, me.ip4, to.ip4, _BIG + bytes((size // 256,)))
        _parts(t, f"UDP over IPv4 by {size}", c.fragments4(big, size, number=size), source,
               first=True)  # fmt: skip
        big = f.udp(me.mac, to.mac, me.ip6, to.ip6, _BIG + bytes((size // 256,)))
        _parts(t, f"UDP over IPv6 by {size}", c.fragments6(big, size, number=size), source,
               first=True)  # fmt: skip
    _parts(t, "ping", c.fragments4(f.ping(me.mac, to.mac, me.ip4, to.ip4, payload=_BIG), 800),
           source, first=True)  # fmt: skip
    _parts(t, "ping6", c.fragments6(f.ping(me.mac, to.mac, me.ip6, to.ip6, payload=_BIG), 800),
           source, first=True)  # fmt: skip
    behind = c.extended(f.ping(me.mac, to.mac, me.ip6, to.ip6, payload=_BIG), c.HOP_BY_HOP)
    _parts(t, "ping6 behind options", c.fragments6(behind, 800, skip=8, number=3), source,
           first=True)  # fmt: skip
    atomic = c.atomic(f.udp(me.mac, to.mac, me.ip6, to.ip6, b"atomic"))
    t.add("UDP as an atomic fragment", me, atomic, "RFC 6946", passes=True)


def spoofed(t: Table) -> None:
    """Pieces in a foreign name."""
    to, me, other = t.to, PLAIN, STRANGER
    for what, mac, ip4, ip6 in (("a foreign IP", me.mac, other.ip4, other.ip6),
                                ("a foreign MAC", other.mac, me.ip4, me.ip6),
                                ("nobody", me.mac, "0.0.0.0", "::")):  # fmt: skip
        for parts in (
            c.fragments4(f.udp(mac, to.mac, ip4, to.ip4, _BIG, dport=67, sport=68), 1024),
            c.fragments6(f.udp(mac, to.mac, ip6, to.ip6, _BIG), 1024),
        ):
            _parts(t, f"UDP of {what}", parts, "RFC 2827", first=False, later=False)
    nobody = c.fragments4(f.udp(ANY.mac, to.mac, "0.0.0.0", to.ip4, _BIG), 1024)
    for frame in nobody:
        t.add("a fragment from nobody", ANY, frame, "RFC 791, 3.2", passes=False)


def forbidden(t: Table) -> None:
    """What must not be sent whole must not be sent in pieces: later ones alone bring nothing."""
    to, me = t.to, PLAIN
    guard, whole = "RFC 7610, 5", "RFC 6980, 5"
    offer = f.dhcp_offer(me.mac, me.ip4, to.mac, "10.0.0.77")
    for size in (8, 256):
        _parts(t, f"DHCP offer by {size}", c.fragments4(offer, size)[:3], guard, first=False)
    odd = f.udp(me.mac, f.BROADCAST, me.ip4, "255.255.255.255", _BIG, sport=6767, dport=68)
    _parts(t, "DHCP offer from port 6767", c.fragments4(odd, 512, number=9), guard, first=False)
    answer = f.udp(me.mac, to.mac, me.local, to.ip6, b"\2" + _BIG, sport=547, dport=546)
    for size in (8, 512):
        _parts(t, f"DHCPv6 advertise by {size}", c.fragments6(answer, size, number=size)[:3], guard,
               first=False)  # fmt: skip
    padding = b"\x05\x01" + bytes(6)
    for kind, rest in ((134, bytes(12) + padding * 4), (137, bytes(36) + padding),
                       (133, bytes(4) + padding * 4),
                       (136, bytes(4) + f.ip_bytes(me.ip6) + padding),
                       (135, bytes(4) + f.ip_bytes(to.ip6) + padding)):  # fmt: skip
        message = f.icmpv6(me.mac, "33:33:00:00:00:01", me.local, "ff02::1", kind, rest)
        for size in (8, 24):
            parts = c.fragments6(message, size, number=kind * 100 + size)[:2]
            _parts(t, f"discovery {kind} by {size}", parts, whole, first=False)


def split(t: Table) -> None:
    """Header chains that do not end in the first fragment (RFC 7112)."""
    me, source = PLAIN, "RFC 7112, 5; RFC 7113, 2"
    ra = f.router_advertisement(me.mac, me.local)
    for count in (1, 2):
        chain = ra
        for _ in range(count):
            chain = c.extended(chain, c.OPTIONS, bytes((1, 20)) + bytes(20))
        for size in (8, 16, 24 * count):
            parts = c.fragments6(chain, size, number=count * 1000 + size)
            _parts(t, f"RA behind {count} headers by {size}", parts[:2], source, first=False)
    cut = c.fragments6(c.extended(ra, c.OPTIONS, bytes((1, 20)) + bytes(20)), 16, number=88)[0]
    decoy = bytes(8) + f.udp(me.mac, t.to.mac, me.local, t.to.ip6, b"decoy")[54:]
    t.add("RA behind options, a decoy behind the end of the packet", me, cut + decoy, source,
          passes=False)  # fmt: skip
    answer = f.udp(me.mac, t.to.mac, me.local, t.to.ip6, b"\2" + bytes(40), dport=546)
    hidden = c.extended(answer, c.OPTIONS)
    _parts(t, "DHCPv6 behind options by 8", c.fragments6(hidden, 8, number=77)[:2], source,
           first=False)  # fmt: skip
    empty = f.udp(me.mac, t.to.mac, me.ip4, t.to.ip4, b"no header")
    _parts(t, "UDP, an empty first fragment", c.fragments4(empty, 0, number=78)[:1],
           "RFC 1858, 3", first=False)  # fmt: skip
    for size in (8, 16):
        for build, cutter, me4, you in ((f.ipv4, c.fragments4, me.ip4, t.to.ip4),
                                        (f.ipv6, c.fragments6, me.ip6, t.to.ip6)):  # fmt: skip
            whole = build(me.mac, t.to.mac, me4, you, 6, _SYN + b"data")
            parts = cutter(whole, size, number=600 + size)[:1]
            _parts(t, f"TCP, {size} bytes first", parts, "RFC 1858, 3; RFC 7112, 5", first=False)
    short = f.ipv6(me.mac, t.to.mac, me.ip6, t.to.ip6, 58, bytes((128, 0, 0, 0)))
    t.add("ICMPv6 of four bytes", me, short, "RFC 4443, 4.1", passes=False)
    cut = c.extended(f.udp(me.mac, t.to.mac, me.ip6, t.to.ip6, b"cut"), c.OPTIONS)
    cut = cut[:54] + bytes((c.OPTIONS, 200)) + cut[56:]
    t.add("headers that go on behind the packet", me, cut, "RFC 8200, 4.2", passes=False)


def tags(t: Table) -> None:
    """VLAN tags are refused; one without a VLAN id is none."""
    to, source = t.to, "IEEE 802.1Q-2022, 6.9: a priority-tagged frame is untagged"
    for sender in (PLAIN, FREE):
        for version in (4, 6):
            plain = f.udp(sender.mac, to.mac, sender.ip(version), to.ip(version), b"tagged")
            for priority in range(8) if version == 4 else (0, 7):
                numbered = f.udp(sender.mac, to.mac, sender.ip(version), to.ip(version),
                                 b"priority %d" % priority)  # fmt: skip
                frame = c.tagged(numbered, priority=priority)
                t.add(f"priority {priority}, IPv{version}", sender, frame, source, passes=True,
                      stripped=True)  # fmt: skip
            for vlan in (1, 2, 7, 101, 4094, 4095):
                frame = c.tagged(plain, vlan)
                t.add(f"VLAN {vlan}, IPv{version}", sender, frame, "no guest has VLANs",
                      passes=False, stripped=True)  # fmt: skip
            for outer, inner, kind in (
                (0, 7, 0x8100),
                (0, 7, 0x88A8),
                (7, 0, 0x8100),
                (0, 0, 0x8100),
            ):
                frame = c.tagged(c.tagged(plain, inner), outer, kind=kind)
                t.add(f"tags {outer} and {inner} of {kind:#x}, IPv{version}", sender, frame,
                      "IEEE 802.1Q-2022, 9.5", passes=False)  # fmt: skip
            t.add(f"a tag of 0x9100, IPv{version}", sender, c.tagged(plain, 7, kind=0x9100),
                  "IEEE 802.1Q-2022, 9.5", passes=False)  # fmt: skip
        arp = c.tagged(f.arp_request(sender.mac, sender.ip4, "10.0.0.99"), priority=5)
        t.add("ARP with a priority", sender, arp, source, passes=True, stripped=True)
    for frame, what in (
        (f.udp(PLAIN.mac, to.mac, STRANGER.ip4, to.ip4, b"0"), "a foreign IP"),
        (f.udp(STRANGER.mac, to.mac, PLAIN.ip4, to.ip4, b"0"), "a foreign MAC"),
        (f.arp_request(PLAIN.mac, STRANGER.ip4, "10.0.0.98"), "ARP for a foreign address"),
        (f.router_advertisement(PLAIN.mac, PLAIN.local)[:-8] + b"\0\0\1\0\0\0\0\0", "an RA"),
        (f.dhcp_offer(PLAIN.mac, PLAIN.ip4, to.mac, "10.0.0.78"), "a DHCP offer"),
    ):
        frame = c.tagged(frame, priority=3)
        t.add(f"{what} with a priority", PLAIN, frame, source, passes=False, stripped=True)
    frame = c.tagged(f.dhcp_discover(PLAIN.mac)[:-1] + b"\0", priority=6)
    t.add("DHCP discover with a priority", PLAIN, frame, source, passes=True, stripped=True)


def reserved(t: Table) -> None:
    """Destinations that bridges keep to themselves."""
    source = "IEEE 802.1Q-2022, 8.6.3 and table 8-1"
    for last in range(16):
        dst = f"01:80:c2:00:00:{last:02x}"
        frame = f.udp(PLAIN.mac, dst, PLAIN.ip4, t.to.ip4, b"kept")
        t.add(f"IPv4 to {dst}", PLAIN, frame, source, passes=False)
    for last in (0, 3, 0xE):
        dst = f"01:80:c2:00:00:{last:02x}"
        frame = f.udp(ANY.mac, dst, ANY.ip6, t.to.ip6, b"kept")
        t.add(f"IPv6 to {dst}", ANY, frame, source, passes=False)
    lldp = f.ethernet(PLAIN.mac, "01:80:c2:00:00:0e", 0x88CC, b"\x02\x07\x04" + bytes(6))
    t.add("LLDP", PLAIN, lldp, source, passes=False)
    stp = f.ethernet(PLAIN.mac, "01:80:c2:00:00:00", 0x0026, b"\x42\x42\x03" + bytes(35))
    t.add("a spanning tree message", PLAIN, stp, source, passes=False)


SECTIONS = (legitimate, spoofed, forbidden, split, tags, reserved)
