"""What a guest may not be (server, router, querier), and what it sends before it has an address."""

from __future__ import annotations

from functional.spoofing.case import ANY, BARE, FREE, PAIRS, PLAIN, STRANGER, VRRP, Station, Table
from vifd.testing import crafted as c
from vifd.testing import frames as f

_MLD = bytes.fromhex("0000000104000000") + f.ip_bytes("ff02::1:ff00:1")
_GROUP = f.ip_bytes("ff02::1:ff00:1")


def _offer(src: Station, dst: str, dst_ip: str, sport: int, dport: int = 68) -> bytes:
    body = f.dhcp_offer(src.mac, src.ip4, PLAIN.mac, "10.0.0.66")[42:]
    return f.udp(src.mac, dst, src.ip4, dst_ip, body, sport=sport, dport=dport)


def dhcp(t: Table) -> None:
    """The DHCP guard goes by where a message is going."""
    rfc, rfc6 = "RFC 7610, 5; RFC 2131, 4.1", "RFC 7610, 5; RFC 8415, 7.2"
    to = t.to
    for sender in (PLAIN, ANY, FREE):
        free = sender is FREE
        for sport in (67, 68, 53, 4011, 6767, 40000, 0):
            frame = _offer(sender, f.BROADCAST, "255.255.255.255", sport)
            t.add(f"DHCP offer from port {sport} to all", sender, frame, rfc, passes=free)
            frame = _offer(sender, to.mac, to.ip4, sport)
            t.add(f"DHCP offer from port {sport}", sender, frame, rfc, passes=free)
        for sport in (547, 546, 53, 5470, 0):
            frame = f.udp(sender.mac, to.mac, sender.local, to.ip6, bytes((2, 0, 0, 1)),
                          sport=sport, dport=546)  # fmt: skip
            t.add(f"DHCPv6 advertise from port {sport}", sender, frame, rfc6, passes=free)
    hidden = f.udp(PLAIN.mac, to.mac, PLAIN.local, to.ip6, bytes((2, 0, 0, 2)), dport=546)
    for kind in (c.HOP_BY_HOP, c.OPTIONS):
        frame = c.extended(hidden, kind)
        t.add(f"DHCPv6 advertise behind header {kind}", PLAIN, frame, rfc6, passes=False)
    for what, sport, dport in (
        ("renewal", 68, 67),
        ("a relay's request", 67, 67),
        ("a PXE request", 68, 4011),
        ("leasequery", 40000, 67),
    ):
        frame = _offer(PLAIN, to.mac, to.ip4, sport, dport)
        t.add(f"DHCP: {what}", PLAIN, frame, "RFC 2131, 4.1; RFC 1542, 4.1", passes=True)
    for what, sport, dport in (("solicit", 546, 547), ("relay-forward", 547, 547)):
        frame = f.udp(PLAIN.mac, f.multicast_mac("ff02::1:2"), PLAIN.local, "ff02::1:2",
                      bytes((1, 0, 0, 1)), sport=sport, dport=dport)  # fmt: skip
        t.add(f"DHCPv6 {what}", PLAIN, frame, "RFC 8415, 7.2", passes=True)
    frame = f.udp(PLAIN.mac, to.mac, PLAIN.ip6, to.ip6, b"68", dport=68)
    t.add("port 68 of IPv6", PLAIN, frame, "no DHCP there", passes=True)
    frame = f.udp(PLAIN.mac, to.mac, PLAIN.ip4, to.ip4, b"546", dport=546)
    t.add("port 546 of IPv4", PLAIN, frame, "no DHCP there", passes=True)


def routers(t: Table) -> None:
    """Router advertisements, redirects, multicast queries."""
    to = t.to
    messages = {
        "router advertisement": (134, bytes(12), "RFC 6105, 2"),
        "redirect": (137, bytes(36), "RFC 4861, 8.2"),
        "MLD query": (130, bytes(4) + bytes(16) + bytes(4), "RFC 3810, 5.1"),
        "multicast router advertisement": (151, bytes(4), "RFC 4286, 3"),
        "multicast router solicitation": (152, b"", "RFC 4286, 3"),
        "multicast router termination": (153, b"", "RFC 4286, 3"),
    }
    for name, (kind, rest, source) in messages.items():
        for sender in (PLAIN, ANY, PAIRS, FREE):
            frame = f.icmpv6(sender.mac, "33:33:00:00:00:01", sender.local, "ff02::1", kind, rest)
            t.add(name, sender, frame, source, passes=sender is FREE)
        one = f.icmpv6(PLAIN.mac, to.mac, PLAIN.local, to.ip6, kind, rest)
        t.add(f"{name} to one", PLAIN, one, source, passes=False)
        frame = c.extended(one, c.HOP_BY_HOP)
        t.add(f"{name} behind options", PLAIN, frame, f"{source}; RFC 7113, 2", passes=False)
    ra = f.router_advertisement(PLAIN.mac, PLAIN.local)
    for kind in (c.OPTIONS, c.ROUTING, c.AUTHENTICATION):
        body = b"\0\0" + bytes(8) if kind == c.AUTHENTICATION else b"\0\0\0\0\0\0"
        frame = c.extended(ra, kind, body)
        t.add(f"router advertisement behind header {kind}", PLAIN, frame, "RFC 7113, 2",
              passes=False)  # fmt: skip
    twice = c.extended(c.extended(ra, c.OPTIONS), c.HOP_BY_HOP)
    t.add("router advertisement behind two headers", PLAIN, twice, "RFC 7113, 2", passes=False)
    frame = c.atomic(ra)
    t.add("router advertisement as an atomic fragment", PLAIN, frame, "RFC 6946", passes=False)
    for kind, name, rest in ((133, "router solicitation", bytes(4)), (143, "MLDv2 report", _MLD),
                             (131, "MLDv1 report", bytes(4) + _GROUP),
                             (132, "MLDv1 done", bytes(4) + _GROUP)):  # fmt: skip
        frame = f.icmpv6(PLAIN.mac, "33:33:00:00:00:16", PLAIN.local, "ff02::16", kind, rest)
        t.add(name, PLAIN, frame, "RFC 4861, 4.1; RFC 3810, 5.2", passes=True)
        frame = c.extended(frame, c.HOP_BY_HOP, bytes((5, 2, 0, 0, 1, 0)))
        t.add(f"{name} with router alert", PLAIN, frame, "RFC 2711; RFC 3810, 5", passes=True)
        frame = f.icmpv6(PLAIN.mac, "33:33:00:00:00:16", STRANGER.local, "ff02::16", kind, rest)
        t.add(f"{name} from a foreign address", PLAIN, frame, "RFC 2827", passes=False)


def igmp(t: Table) -> None:
    """IGMP: guests report, routers ask."""
    me, source = PLAIN, "RFC 3376, 4.1 and 4.2"
    for sender in (PLAIN, ANY, FREE):
        for version, group in (("2", "0.0.0.0"), ("2 to a group", "239.1.2.3")):
            frame = c.igmp(sender.mac, sender.ip4, "224.0.0.1", 0x11, group=group)
            t.add(f"IGMP query {version}", sender, frame, source, passes=sender is FREE)
    for kind, dst, name in (
        (0x22, "224.0.0.22", "version 3 report"), (0x16, "239.1.2.3", "version 2 report"),
        (0x12, "239.1.2.4", "version 1 report"), (0x17, "224.0.0.2", "leave"),
    ):  # fmt: skip
        frame = c.igmp(me.mac, me.ip4, dst, kind)
        t.add(f"IGMP {name}", me, frame, source, passes=True)
        frame = c.igmp(me.mac, STRANGER.ip4, dst, kind)
        t.add(f"IGMP {name} from a foreign address", me, frame, "RFC 2827", passes=False)
        frame = c.igmp(STRANGER.mac, me.ip4, dst, kind)
        t.add(f"IGMP {name} of a foreign MAC", me, frame, "RFC 2827", passes=False)
        for sender in (me, BARE):
            frame = c.igmp(sender.mac, "0.0.0.0", dst, kind)
            t.add(f"IGMP {name} before it has an address", sender, frame, "RFC 3376, 4.2.13",
                  passes=True)  # fmt: skip
    frame = c.igmp(me.mac, me.ip4, t.to.ip4, 0x11, dst=t.to.mac)
    t.add("IGMP query to one host", me, frame, "RFC 3376, 4.1.12", passes=False)
    frame = c.igmp(me.mac, me.ip4, "224.0.0.106", 0x30)
    t.add("IPv4 multicast router advertisement", me, frame, "RFC 4286, 3.1", passes=False)
    frame = c.igmp(me.mac, "0.0.0.0", "224.0.0.1", 0x11)
    t.add("IGMP query from nobody", me, frame, "RFC 4541, 2.1.1", passes=False)


def unaddressed(t: Table) -> None:
    """What is sent before there is an address; by the MAC alone."""
    for sender in (PLAIN, BARE, PAIRS):
        for mac, passes in ((sender.mac, True), (STRANGER.mac, False), (VRRP, sender is PAIRS)):
            rows = [
                ("DHCP discover", f.dhcp_discover(mac), "RFC 2131, 4.1"),
                ("router solicitation", f.router_solicitation(mac, "::"), "RFC 4861, 4.1"),
                ("MLDv2 report", _report(mac, 143, _MLD), "RFC 3810, 5.2.13"),
                ("MLDv1 report", _report(mac, 131, bytes(4) + _GROUP), "RFC 3590, 4"),
                ("MLDv1 done", _report(mac, 132, bytes(4) + _GROUP), "RFC 3590, 4"),
            ]
            for what, frame, source in rows:
                t.add(f"{what} of {mac} from nobody", sender, frame, source, passes=passes)
    me = PLAIN
    for what, frame in (
        ("DHCP from nobody to a server's answer",
         f.udp(me.mac, f.BROADCAST, "0.0.0.0", "255.255.255.255", b"x", sport=67, dport=68)),
        ("DHCP from nobody, other source port",
         f.udp(me.mac, f.BROADCAST, "0.0.0.0", "255.255.255.255", b"x", sport=6800, dport=67)),
        ("DHCP discover with a foreign IP", f.dhcp_discover(me.mac, src_ip=STRANGER.ip4)),
        ("DHCPv6 solicit from nobody", f.dhcpv6_solicit(me.mac, "::")),
        ("router advertisement from nobody", f.router_advertisement(me.mac, "::")),
        ("ping from nobody", _report(me.mac, 128, bytes(4))),
        ("neighbour advertisement from nobody",
         c.advertisement(me.mac, "33:33:00:00:00:01", "::", "ff02::1", me.ip6)),
    ):  # fmt: skip
        t.add(what, me, frame, "not sent before there is an address", passes=False)


def _report(mac: str, kind: int, rest: bytes) -> bytes:
    return f.icmpv6(mac, "33:33:00:00:00:16", "::", "ff02::16", kind, rest)


SECTIONS = (dhcp, routers, igmp, unaddressed)
