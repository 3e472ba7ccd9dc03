"""Packets in the words of ovs-ofctl, as numbers by field."""

from __future__ import annotations

from vifd.openflow import field as fd
from vifd.openflow.field import BY_NAME

#: Protocol keywords: what they say of eth_type and ip_proto.
_KEYWORDS = {
    "ip": (fd.IPV4, None),
    "ipv6": (fd.IPV6, None),
    "arp": (fd.ARP, None),
    "rarp": (fd.RARP, None),
    "icmp": (fd.IPV4, fd.ICMP),
    "tcp": (fd.IPV4, fd.TCP),
    "udp": (fd.IPV4, fd.UDP),
    "icmp6": (fd.IPV6, fd.ICMPV6),
    "tcp6": (fd.IPV6, fd.TCP),
    "udp6": (fd.IPV6, fd.UDP),
    "sctp": (fd.IPV4, fd.SCTP),
    "sctp6": (fd.IPV6, fd.SCTP),
}
#: Words that no field here can tell apart.
_IGNORED = {"nw_ttl", "nw_ecn", "ipv6_label", "recirc_id", "ip_ttl", "eth"}
_WORDS = {f.word: f.name for f in fd.FIELDS if not f.word.startswith(("tp_", "icmp_", "dl_vlan"))}


def parse(text: str) -> dict[str, int]:
    """A packet such as ``in_port=1,arp,dl_src=fa:16:3e:00:00:05,arp_spa=10.0.0.5``.

    :raises ValueError: for an unknown word or a value that does not fit
    """
    packet: dict[str, int] = {}
    for word in filter(None, text.replace(" ", "").split(",")):
        key, equals, value = word.partition("=")
        if not equals and key in _KEYWORDS:
            eth_type, proto = _KEYWORDS[key]
            packet["eth_type"] = eth_type
            packet |= {} if proto is None else {"ip_proto": proto}
        elif key not in _IGNORED:
            packet |= _field(key, value, packet)
    return packet


def _field(key: str, value: str, packet: dict[str, int]) -> dict[str, int]:
    match key:
        case "vlan_tci":
            tci = int(value.partition("/")[0], 0)
            return {"vlan_vid": tci & 0x1FFF, "vlan_pcp": tci >> 13}
        case "dl_vlan":
            return {"vlan_vid": fd.parse(BY_NAME["vlan_vid"], value)[0]}
        case "vlan_vid":
            return {"vlan_vid": int(value.partition("/")[0], 0)}
        case "nw_frag" | "ip_frag":
            return {"ip_frag": {"no": 0, "first": 1, "later": 3}[value]}
        case "ct_state":
            flags = (1 << fd.CT_FLAGS.index(flag) for flag in value.split("|"))
            return {"ct_state": sum(flags)}
        case "nw_tos":
            return {"ip_dscp": int(value, 0) >> 2}
    name = _name(key, packet)
    if name not in BY_NAME:
        raise ValueError(f"unknown field {key}")
    return {name: fd.parse(BY_NAME[name], value)[0]}


def _name(key: str, packet: dict[str, int]) -> str:
    """Our name of a field; some words depend on the protocol, which stands before them."""
    if key in ("tp_src", "tp_dst"):
        proto = {fd.TCP: "tcp", fd.UDP: "udp"}.get(packet.get("ip_proto", 0), "")
        return f"{proto}{key.removeprefix('tp')}"
    if key in ("icmp_type", "icmp_code"):
        if packet.get("eth_type") == fd.IPV6:  # as in a trace, unlike in a flow
            raise ValueError(f"prerequisites not met for setting {key}")
        return f"icmpv4{key.removeprefix('icmp')}"
    if key == "dl_vlan_pcp":
        return "vlan_pcp"
    return _WORDS.get(key, key)
