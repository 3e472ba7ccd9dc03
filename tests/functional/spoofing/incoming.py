"""What comes from the fabric to a guest: all that is for it, also what guests may not send."""

from __future__ import annotations

from functional.spoofing.case import FABRIC, Case, Station
from vifd.testing import crafted as c
from vifd.testing import frames as f

_BIG = bytes(range(256)) * 5
_ALL = "33:33:00:00:00:01"


def cases(to: Station) -> list[Case]:
    """Frames of servers, routers and queriers, in pieces and with priorities."""
    me = FABRIC
    offer = f.dhcp_offer(me.mac, me.ip4, to.mac, to.ip4)
    advertise = f.udp(me.mac, to.mac, me.local, to.ip6, b"\2" + _BIG, sport=547, dport=546)
    frames = {
        "a DHCP offer": offer,
        "a DHCP offer from another port": f.udp(
            me.mac, to.mac, me.ip4, to.ip4, b"offer", sport=6767, dport=68
        ),
        "a DHCPv6 advertise": f.dhcpv6_advertise(me.mac, to.mac, me.local, to.ip6),
        "a router advertisement": f.router_advertisement(me.mac, me.local),
        "a redirect": f.icmpv6(me.mac, to.mac, me.local, to.ip6, 137, bytes(36)),
        "an MLD query": f.icmpv6(me.mac, _ALL, me.local, "ff02::1", 130, bytes(24)),
        "an IGMP query": c.igmp(me.mac, me.ip4, "224.0.0.1", 0x11, group="0.0.0.0"),
        "an IGMP query to a group": c.igmp(me.mac, me.ip4, "239.1.2.3", 0x11),
        "an ARP request": f.arp_request(me.mac, me.ip4, to.ip4),
        "an ARP reply of another hardware address": f.arp_reply(
            "02:00:00:00:00:fb", me.ip4, to.mac, to.ip4, src=me.mac
        ),
        "an advertisement": f.neighbour_advertisement(me.mac, me.ip6, me.ip6),
        "a RARP reply": c.rarp(4, me.mac),
        "UDP": f.udp(me.mac, to.mac, me.ip4, to.ip4),
        "UDP over IPv6": f.udp(me.mac, to.mac, me.ip6, to.ip6),
        "a ping of an address elsewhere": f.ping(me.mac, to.mac, "192.0.2.1", to.ip4),
    }
    whole = [
        *c.fragments4(f.udp(me.mac, to.mac, me.ip4, to.ip4, _BIG), 512),
        *c.fragments6(f.udp(me.mac, to.mac, me.ip6, to.ip6, _BIG), 512),
        *c.fragments4(offer, 128),
        *c.fragments6(advertise, 512, number=2),
    ]
    frames |= {f"fragment {n}": frame for n, frame in enumerate(whole)}
    rows = [Case(what, me, frame, True, "it is for the guest") for what, frame in frames.items()]
    for priority in range(8):
        for version in (4, 6):
            plain = f.udp(me.mac, to.mac, me.ip(version), to.ip(version), b"in %d" % priority)
            frame = c.tagged(plain, priority=priority)
            rows.append(Case(f"priority {priority}, IPv{version}", me, frame, True,
                             "IEEE 802.1Q-2022, 6.9", stripped=True))  # fmt: skip
    return rows
