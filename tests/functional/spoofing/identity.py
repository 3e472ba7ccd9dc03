"""Who a frame says that it is from: MAC and IP addresses, address resolution."""

from __future__ import annotations

import struct

from functional.spoofing.case import (
    ANY,
    BARE,
    FREE,
    PAIRS,
    PLAIN,
    SHARED4,
    SHARED6,
    STRANGER,
    VIRTUAL4,
    VIRTUAL6,
    VRRP,
    Station,
    Table,
)
from vifd.testing import crafted as c
from vifd.testing import frames as f

BCP38 = "RFC 2827 (BCP 38), 3"
#: Protocols whose header no rule reads, with one that may stand for each.
_OTHERS = {
    "TCP": (6, struct.pack("!HHIIBBHHH", 40000, 443, 1, 0, 0x50, 2, 1024, 0, 0)),
    "GRE": (47, bytes((0, 0, 8, 0)) + b"inner"),
    "ESP": (50, bytes(16)),
    "SCTP": (132, struct.pack("!HHII", 40000, 443, 0, 0)),
}


def _ip(protocol: str, me: str, to: Station, src: str) -> bytes:
    dst = to.ip6 if ":" in src else to.ip4
    if protocol == "UDP":
        return f.udp(me, to.mac, src, dst, b"identity")
    if protocol == "ICMP":
        return f.ping(me, to.mac, src, dst)
    build = f.ipv6 if ":" in src else f.ipv4
    number, payload = _OTHERS[protocol]
    return build(me, to.mac, src, dst, number, payload)


def addresses(t: Table) -> None:
    """Own and foreign addresses, whatever the protocol."""
    for protocol in ("UDP", "ICMP", *_OTHERS):
        for v in (4, 6):
            name = f"{protocol} over IPv{v}"
            own, foreign, nobody = PLAIN.ip(v), STRANGER.ip(v), "0.0.0.0" if v == 4 else "::"
            for sender, passes in ((PLAIN, True), (FREE, True), (BARE, False)):
                src = own if sender is PLAIN else STRANGER.ip(v)
                t.add(f"{name}, {src}", sender, _ip(protocol, sender.mac, t.to, src), BCP38,
                      passes=passes)  # fmt: skip
            t.add(f"{name}, foreign IP", PLAIN, _ip(protocol, PLAIN.mac, t.to, foreign), BCP38,
                  passes=False)  # fmt: skip
            t.add(f"{name}, foreign MAC", PLAIN, _ip(protocol, STRANGER.mac, t.to, own), BCP38,
                  passes=False)  # fmt: skip
            t.add(f"{name}, no IP", PLAIN, _ip(protocol, PLAIN.mac, t.to, nobody),
                  "RFC 1122, 3.2.1.3; RFC 4291, 2.5.2", passes=False)  # fmt: skip
    local = f.udp(PLAIN.mac, t.to.mac, PLAIN.local, t.to.ip6)
    t.add("own link-local", PLAIN, local, "RFC 4291, 2.5.6", passes=True)
    local = f.udp(PLAIN.mac, t.to.mac, STRANGER.local, t.to.ip6)
    t.add("foreign link-local", PLAIN, local, BCP38, passes=False)
    for name, dst, ip in (
        ("broadcast", f.BROADCAST, "255.255.255.255"),
        ("mDNS", f.multicast_mac("224.0.0.251"), "224.0.0.251"),
        ("mDNS", f.multicast_mac("ff02::fb"), "ff02::fb"),
    ):
        src, foreign = (PLAIN.ip6, STRANGER.ip6) if ":" in ip else (PLAIN.ip4, STRANGER.ip4)
        t.add(f"{name} {ip}", PLAIN, f.udp(PLAIN.mac, dst, src, ip), BCP38, passes=True)
        frame = f.udp(PLAIN.mac, dst, foreign, ip)
        t.add(f"{name} {ip}, foreign IP", PLAIN, frame, BCP38, passes=False)
    for source in ("224.0.0.1", "255.255.255.255", "127.0.0.1"):
        frame = f.udp(PLAIN.mac, t.to.mac, source, t.to.ip4)
        t.add(f"from {source}", PLAIN, frame, "RFC 1122, 3.2.1.3", passes=False)
    for source in ("ff02::1", "::1"):
        frame = f.udp(PLAIN.mac, t.to.mac, source, t.to.ip6)
        t.add(f"from {source}", PLAIN, frame, "RFC 4291, 2.5 and 2.7", passes=False)
    for kind, name in ((0x8863, "PPPoE discovery"), (0x88B5, "an experimental type"),
                       (0x8847, "MPLS"), (0x88F7, "PTP")):  # fmt: skip
        frame = f.ethernet(PLAIN.mac, t.to.mac, kind, name.encode())
        t.add(name, PLAIN, frame, "only what can be judged passes", passes=False)
        frame = f.ethernet(FREE.mac, t.to.mac, kind, name.encode())
        t.add(name, FREE, frame, "port security is off", passes=True)


def pairs(t: Table) -> None:
    """Allowed address pairs."""
    source = "Networking API, allowed_address_pairs"
    me, to = PAIRS.mac, t.to
    for mac, ip, passes in (
        (me, "10.9.0.77", True), (me, "10.9.1.1", False), (me, VIRTUAL4, False),
        (VRRP, VIRTUAL4, True), (VRRP, PAIRS.ip4, False), (me, SHARED4, True),
        (VRRP, SHARED4, True), (VRRP, "10.7.0.9", True), (me, "10.7.0.9", False),
        (me, "fd09::77", True), (me, "fd0a::1", False), (me, VIRTUAL6, False),
        (VRRP, VIRTUAL6, True), (VRRP, PAIRS.ip6, False), (VRRP, f.link_local(VRRP), True),
        (VRRP, PAIRS.local, False), (STRANGER.mac, "10.9.0.77", False),
        (STRANGER.mac, SHARED6, False),
    ):  # fmt: skip
        frame = f.udp(mac, to.mac, ip, to.ip6 if ":" in ip else to.ip4, b"pairs")
        t.add(f"{ip} of {mac}", PAIRS, frame, source, passes=passes)
    for ip in ("192.0.2.1", "2001:db8::1"):
        dst = to.ip6 if ":" in ip else to.ip4
        for mac, passes in ((ANY.mac, True), (STRANGER.mac, False)):
            frame = f.udp(mac, to.mac, ip, dst, b"every")
            t.add(f"{ip} of {mac}", ANY, frame, source, passes=passes)


def arp(t: Table) -> None:
    """ARP: Ethernet source, hardware address and IP address are judged together."""
    to, me, other = t.to, PLAIN, STRANGER
    rfc, conflict = "RFC 826", "RFC 5227, 2.1.1"
    rows = [
        ("request", f.arp_request(me.mac, me.ip4, to.ip4), True),
        ("reply", f.arp_reply(me.mac, me.ip4, to.mac, to.ip4), True),
        ("announcement", f.gratuitous_arp(me.mac, me.ip4), True),
        ("request for a foreign address", f.arp_request(me.mac, other.ip4, to.ip4), False),
        ("reply for a foreign address", f.arp_reply(me.mac, other.ip4, to.mac, to.ip4), False),
        ("announcement of a foreign address", f.gratuitous_arp(me.mac, other.ip4), False),
        ("announcement of the gateway", f.gratuitous_arp(me.mac, "10.0.0.254"), False),
        ("foreign hardware address", f.arp_request(other.mac, me.ip4, to.ip4, src=me.mac), False),
        ("foreign Ethernet source", f.arp_request(me.mac, me.ip4, to.ip4, src=other.mac), False),
        ("foreign in all", f.arp_request(other.mac, other.ip4, to.ip4), False),
        ("reply, foreign hardware address",
         f.arp_reply(other.mac, me.ip4, to.mac, to.ip4, src=me.mac), False),
        ("reply without an address", f.arp_reply(me.mac, "0.0.0.0", to.mac, to.ip4), False),
    ]  # fmt: skip
    for what, frame, passes in rows:
        t.add(f"ARP {what}", me, frame, rfc, passes=passes)
    for sender in (me, BARE):
        probe = f.arp_request(sender.mac, "0.0.0.0", sender.ip4)
        t.add("ARP probe", sender, probe, conflict, passes=True)
        probe = f.arp_request(other.mac, "0.0.0.0", sender.ip4)
        t.add("ARP probe of a foreign MAC", sender, probe, conflict, passes=False)
        probe = f.arp_request(other.mac, "0.0.0.0", sender.ip4, src=sender.mac)
        t.add("ARP probe of a foreign hardware address", sender, probe, conflict, passes=False)
    frame = f.arp_request(BARE.mac, BARE.ip4, to.ip4)
    t.add("ARP of a port without addresses", BARE, frame, rfc, passes=False)
    odd = f.arp_request(me.mac, me.ip4, other.ip4)
    odd = odd[:14] + b"\0\6" + odd[16:]
    t.add("ARP of another link layer", me, odd, "RFC 826; RFC 1042", passes=False)
    _arp_of_pairs(t)


def _arp_of_pairs(t: Table) -> None:
    mine, to = PAIRS.mac, t.to
    source = "RFC 826; RFC 5798, 8.1.2: both addresses allowed for the IP"
    for ethernet, hardware, ip, passes in (
        (mine, mine, SHARED4, True), (VRRP, VRRP, SHARED4, True), (mine, VRRP, SHARED4, True),
        (VRRP, mine, SHARED4, True), (VRRP, VRRP, VIRTUAL4, True), (mine, VRRP, VIRTUAL4, False),
        (VRRP, mine, VIRTUAL4, False), (mine, mine, VIRTUAL4, False),
        (mine, VRRP, PAIRS.ip4, False), (mine, mine, "10.9.0.7", True),
        (mine, VRRP, "10.9.0.7", False), (VRRP, VRRP, "10.7.0.9", True),
        (mine, VRRP, "10.7.0.9", False), (mine, STRANGER.mac, SHARED4, False),
        (STRANGER.mac, VRRP, SHARED4, False),
    ):  # fmt: skip
        for kind, frame in (
            ("request", f.arp_request(hardware, ip, to.ip4, src=ethernet)),
            ("reply", f.arp_reply(hardware, ip, to.mac, to.ip4, src=ethernet)),
        ):
            what = f"ARP {kind}: {ip} at {hardware}, from {ethernet}"
            t.add(what, PAIRS, frame, source, passes=passes)
    frame = f.arp_request(ANY.mac, "192.0.2.9", to.ip4)
    t.add("ARP of a port with every address", ANY, frame, source, passes=True)
    frame = f.arp_request(STRANGER.mac, "192.0.2.9", to.ip4, src=ANY.mac)
    t.add("ARP with every address, foreign hardware address", ANY, frame, source, passes=False)


def rarp(t: Table) -> None:
    """RARP: how a hypervisor announces a migrated guest."""
    for sender in (PLAIN, BARE, ANY):
        frame = c.rarp(3, sender.mac)
        t.add("RARP announcement", sender, frame, "RFC 903; QEMU, net/announce.c", passes=True)
        frame = c.rarp(3, sender.mac, src=STRANGER.mac)
        t.add("RARP of a foreign MAC", sender, frame, "RFC 903", passes=False)
        t.add("RARP reply", sender, c.rarp(4, sender.mac), "RFC 903: servers", passes=False)


def discovery(t: Table) -> None:
    """Neighbour discovery: source, target, and the link-layer address that it tells."""
    me, to, other = PLAIN, t.to, STRANGER
    own, foreign, nonce = c.link_layer(1, me.mac), c.link_layer(1, other.mac), c.NONCE
    for what, src, target, options, passes in (
        ("", me.ip6, to.ip6, (own,), True), ("no option", me.ip6, to.ip6, (), True),
        ("link-local", me.local, to.ip6, (own,), True),
        ("a foreign option", me.ip6, to.ip6, (foreign,), False),
        ("a foreign option, link-local", me.local, to.ip6, (foreign,), False),
        ("a second option", me.ip6, to.ip6, (own, foreign), False),
        ("a foreign option behind a nonce", me.ip6, to.ip6, (nonce, foreign), False),
        ("a foreign source", other.ip6, to.ip6, (own,), False),
        ("a foreign source without option", other.ip6, to.ip6, (), False),
        ("of nobody", me.ip6, "::", (own,), False),
    ):  # fmt: skip
        frame = c.solicitation(me.mac, src, target, *options)
        t.add(f"solicitation {what}", me, frame, "RFC 4861, 4.3 and 7.1.1", passes=passes)
    for what, target, options, passes in (
        ("", me.ip6, (), True),
        ("with a nonce (RFC 7527)", me.ip6, (nonce,), True),
        ("of the link-local address", me.local, (), True),
        ("for a foreign address", other.ip6, (), False),
        ("that tells an address", me.ip6, (own,), False),
        ("that tells a foreign address", me.ip6, (foreign,), False),
    ):
        frame = c.solicitation(me.mac, "::", target, *options)
        t.add(f"address detection {what}", me, frame, "RFC 4862, 5.4.2", passes=passes)
    frame = c.solicitation(ANY.mac, "::", to.ip6, c.link_layer(1, ANY.mac))
    t.add("address detection that tells an address", ANY, frame, "RFC 4861, 7.1.1", passes=False)
    frame = c.solicitation(ANY.mac, "::", to.ip6)
    t.add("address detection", ANY, frame, "RFC 4862, 5.4.2", passes=True)
    frame = c.solicitation(other.mac, me.ip6, to.ip6)
    t.add("solicitation of a foreign MAC", me, frame, "RFC 4861, 4.3", passes=False)
    _advertised(t)
    _discovery_of_pairs(t)


def _advertised(t: Table) -> None:
    me, to, other = PLAIN, t.to, STRANGER
    own, foreign = c.link_layer(2, me.mac), c.link_layer(2, other.mac)
    for what, mac, src, target, options, passes in (
        ("", me.mac, me.ip6, me.ip6, (own,), True),
        ("no option", me.mac, me.ip6, me.ip6, (), True),
        ("link-local", me.mac, me.local, me.local, (own,), True),
        ("from link-local", me.mac, me.local, me.ip6, (own,), True),
        ("a foreign option", me.mac, me.ip6, me.ip6, (foreign,), False),
        ("a foreign option, link-local", me.mac, me.local, me.local, (foreign,), False),
        ("a second option", me.mac, me.ip6, me.ip6, (own, foreign), False),
        ("a source option first", me.mac, me.ip6, me.ip6, (c.link_layer(1, me.mac), foreign),
         False),
        ("a foreign target", me.mac, me.ip6, other.ip6, (own,), False),
        ("a foreign target without option", me.mac, me.ip6, other.ip6, (), False),
        ("the gateway's", me.mac, me.ip6, "fe80::1", (own,), False),
        ("a foreign source", me.mac, other.ip6, me.ip6, (own,), False),
        ("a foreign MAC", other.mac, me.ip6, me.ip6, (foreign,), False),
    ):  # fmt: skip
        to_one = c.advertisement(mac, to.mac, src, to.ip6, target, *options)
        to_all = c.advertisement(mac, "33:33:00:00:00:01", src, "ff02::1", target, *options)
        for whom, frame in (("to one", to_one), ("to all", to_all)):
            name = f"advertisement {what} {whom}"
            t.add(name, me, frame, "RFC 4861, 4.4 and 7.2.5", passes=passes)


def _discovery_of_pairs(t: Table) -> None:
    mine, to = PAIRS.mac, t.to
    source = "RFC 4861, 4.4; RFC 5798, 8.2.2: both addresses allowed for the IP"
    for ethernet, hardware, ip, passes in (
        (mine, mine, SHARED6, True), (VRRP, VRRP, SHARED6, True), (mine, VRRP, SHARED6, True),
        (VRRP, mine, SHARED6, True), (VRRP, VRRP, VIRTUAL6, True), (mine, VRRP, VIRTUAL6, False),
        (VRRP, mine, VIRTUAL6, False), (mine, VRRP, PAIRS.ip6, False),
        (mine, mine, "fd09::7", True), (mine, STRANGER.mac, SHARED6, False),
        (STRANGER.mac, VRRP, SHARED6, False),
    ):  # fmt: skip
        told = c.link_layer(2, hardware)
        frame = c.advertisement(ethernet, to.mac, ip, to.ip6, ip, told)
        what = f"{ip} at {hardware}, from {ethernet}"
        t.add(f"advertisement: {what}", PAIRS, frame, source, passes=passes)
        frame = c.solicitation(ethernet, ip, to.ip6, c.link_layer(1, hardware))
        t.add(f"solicitation: {what}", PAIRS, frame, source, passes=passes)
    frame = c.advertisement(ANY.mac, to.mac, "2001:db8::9", to.ip6, "2001:db8::8",
                            c.link_layer(2, ANY.mac))  # fmt: skip
    t.add("advertisement with every address", ANY, frame, source, passes=True)
    frame = c.advertisement(ANY.mac, to.mac, "2001:db8::9", to.ip6, "2001:db8::8",
                            c.link_layer(2, STRANGER.mac))  # fmt: skip
    t.add("advertisement with every address, foreign MAC", ANY, frame, source, passes=False)


SECTIONS = (addresses, pairs, arp, rarp, discovery)
