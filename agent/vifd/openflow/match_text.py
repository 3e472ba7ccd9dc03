"""A match in the words and the order of ``ovs-ofctl dump-flows``."""

from __future__ import annotations

from vifd.openflow import field as fd
from vifd.openflow.field import Field, Kind
from vifd.openflow.oxm import items

_Parts = dict[str, tuple[Field, int, int]]

_ETHERTYPES = {fd.IPV4: "ip", fd.IPV6: "ipv6", fd.ARP: "arp", fd.RARP: "rarp"}
_PROTOCOLS = {
    (fd.IPV4, fd.ICMP): "icmp",
    (fd.IPV4, fd.TCP): "tcp",
    (fd.IPV4, fd.UDP): "udp",
    (fd.IPV4, 132): "sctp",
    (fd.IPV6, fd.ICMPV6): "icmp6",
    (fd.IPV6, fd.TCP): "tcp6",
    (fd.IPV6, fd.UDP): "udp6",
    (fd.IPV6, 132): "sctp6",
}

#: ``nw_frag`` by value and mask: bit 0 says that it is a fragment, bit 1 that it is a later one.
_FRAGMENTS = {
    (0, 3): "no", (1, 3): "first", (3, 3): "later", (1, 1): "yes", (0, 1): "no",
    (0, 2): "not_later", (2, 2): "later",
}  # fmt: skip
_BEFORE = (
    "conj_id", "ct_state", "ct_zone", "ct_mark", "ct_nw_src", "ct_ipv6_src", "ct_nw_dst",
    "ct_ipv6_dst", "ct_nw_proto", "ct_tp_src", "ct_tp_dst",
)  # fmt: skip
_AFTER = (
    *(f"reg{n}" for n in range(16)),
    "tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst",
    "metadata", "in_port", "vlan_vid", "vlan_pcp", "eth_src",
    "eth_dst", "eth_type", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst", "arp_spa", "arp_tpa",
    "ip_proto", "arp_op", "arp_sha", "arp_tha", "ip_dscp", "ip_frag", "icmpv4_type", "icmpv4_code",
    "icmpv6_type", "icmpv6_code", "nd_target", "nd_sll", "nd_tll", "nd_reserved",
    "nd_options_type", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "sctp_src",
    "sctp_dst",
)  # fmt: skip


def text(match: bytes) -> str:
    """The match as ovs-ofctl prints and reads it; empty for a match of everything."""
    parts: _Parts = {}
    foreign = []
    for field, number, mask, raw in items(match):
        if field is None:
            foreign.append(f"oxm:{raw.hex()}")
        else:
            parts[field.name] = (field, number, mask)
    keyword = _keyword(parts)
    if "vlan_pcp" in parts and parts["vlan_vid"][1:] == fd.TAGGED:
        del parts["vlan_vid"]  # said by the priority
    words = [_word(*parts[name]) for name in _BEFORE if name in parts]
    words += [keyword] if keyword else []
    words += [_word(*parts[name]) for name in _AFTER if name in parts]
    return ",".join(words + foreign)


def _keyword(parts: _Parts) -> str:
    """The protocol's name, with eth_type and ip_proto taken out where it says them."""
    if "eth_type" not in parts:
        return ""
    ethertype = parts["eth_type"][1]
    proto = parts["ip_proto"][1] if "ip_proto" in parts else -1
    if (ethertype, proto) in _PROTOCOLS:
        del parts["eth_type"], parts["ip_proto"]
        return _PROTOCOLS[ethertype, proto]
    if ethertype in _ETHERTYPES:
        del parts["eth_type"]
    return _ETHERTYPES.get(ethertype, "")


def _word(field: Field, number: int, mask: int) -> str:
    full = mask == field.full
    match field.kind:
        case Kind.VID if full and number & fd.VLAN_PRESENT:
            return f"dl_vlan={number & 0xFFF}"
        case Kind.VID:
            return f"vlan_tci={number:#06x}/{mask:#06x}"
        case Kind.FRAGMENT:
            return f"nw_frag={_FRAGMENTS.get((number, mask), number)}"
        case Kind.CT:
            return "ct_state=" + _flags(number, mask)
    if field.name == "ip_dscp":
        return f"nw_tos={number << 2}"  # in the old field, with the ECN bits
    if field.name == "eth_type":
        return f"dl_type={number:#06x}"
    if full:
        return f"{field.word}={fd.show(field, number)}"
    length = fd.prefix_length(field, mask)
    if length is not None:
        return f"{field.word}={fd.show(field, number)}/{length}"
    if field.kind is Kind.NUMBER:
        return f"{field.word}={number:#x}/{mask:#x}"
    return f"{field.word}={fd.show(field, number)}/{fd.show(field, mask)}"


def _flags(number: int, mask: int) -> str:
    if mask == fd.CT_MASK:
        return "|".join(name for bit, name in enumerate(fd.CT_FLAGS) if number >> bit & 1) or "0"
    return "".join(
        ("+" if number >> bit & 1 else "-") + name
        for bit, name in enumerate(fd.CT_FLAGS)
        if mask >> bit & 1
    )
