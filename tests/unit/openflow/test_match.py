"""Matches: canonical bytes, names, words; os_ken's codec as an independent opinion."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_4_parser as oracle

from vifd.openflow import field as fd
from vifd.openflow import match as mt
from vifd.openflow.field import BY_NAME, Field, Kind
from vifd.openflow.match import TAGGED, UNTAGGED, Value

MAC = "fa:16:3e:00:00:05"
#: Our names where they are not those of os_ken.
THEIRS = {
    "tun_id": "tunnel_id", "tun_src": "tun_ipv4_src", "tun_dst": "tun_ipv4_dst",
    "nd_target": "ipv6_nd_target", "nd_sll": "ipv6_nd_sll", "nd_tll": "ipv6_nd_tll",
}  # fmt: skip

#: The protocols under which a field may be matched.
PROTOCOLS: list[tuple[dict[str, Value], list[str]]] = [
    ({}, []),
    ({"eth_type": 0x0806}, ["arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"]),
    ({"eth_type": 0x0800}, ["ipv4_src", "ipv4_dst", "ip_dscp"]),
    ({"eth_type": 0x86DD}, ["ipv6_src", "ipv6_dst", "ip_dscp"]),
    ({"eth_type": 0x0800, "ip_proto": 6}, ["ipv4_src", "tcp_src", "tcp_dst"]),
    ({"eth_type": 0x86DD, "ip_proto": 17}, ["ipv6_dst", "udp_src", "udp_dst"]),
    ({"eth_type": 0x0800, "ip_proto": 1}, ["icmpv4_type", "icmpv4_code"]),
    ({"eth_type": 0x86DD, "ip_proto": 58}, ["icmpv6_type", "icmpv6_code"]),
    ({"eth_type": 0x0800, "ip_proto": 132}, ["sctp_src", "sctp_dst"]),
    (
        {"eth_type": 0x0800, "ct_state": "+trk-inv", "ct_nw_proto": 6},
        ["ct_nw_src", "ct_nw_dst", "ct_tp_src", "ct_tp_dst"],
    ),
    (
        {"eth_type": 0x86DD, "ct_state": "+est-inv", "ct_nw_proto": 6},
        ["ct_ipv6_src", "ct_ipv6_dst", "ct_tp_src", "ct_tp_dst"],
    ),
    ({"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135}, ["nd_target", "nd_sll"]),
    ({"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 136}, ["nd_target", "nd_tll"]),
]
FREE = [field.name for field in fd.FIELDS if not field.needs and field.name != "eth_type"]


def values(field: Field) -> st.SearchStrategy[Value]:
    number = st.integers(0, field.full)
    if field.kind is Kind.VID:
        return st.one_of(st.integers(0, 0xFFF), st.tuples(number, number))
    if field.kind is Kind.CT:
        return st.tuples(number, st.integers(0, fd.CT_MASK))
    return st.one_of(number, st.tuples(number, number)) if field.maskable else number


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Value]:
    base, more = draw(st.sampled_from(PROTOCOLS))
    names = draw(st.lists(st.sampled_from(FREE + more), unique=True, max_size=8))
    chosen = {**{name: draw(values(BY_NAME[name])) for name in names}, **base}
    return dict(draw(st.permutations(list(chosen.items()))))


def known_to_os_ken(wanted: dict[str, Value]) -> bool:
    """It has no fields for what a connection began with; a real switch is asked about these."""
    return not any(name.startswith(("ct_nw", "ct_ipv6", "ct_tp")) for name in wanted)


def by_number(match: bytes) -> dict[str, tuple[int, int]]:
    return {f.name: (number, mask) for f, number, mask, _ in mt.items(match) if f is not None}


@given(fields())
def test_what_is_encoded_is_decoded(wanted: dict[str, Value]) -> None:
    match = mt.encode(wanted)
    expected = {name: fd.parse(BY_NAME[name], value) for name, value in wanted.items()}
    assert by_number(match) == {name: v for name, v in expected.items() if v[1]}
    assert mt.encode(mt.decode(match)) == match
    assert mt.canonical(match) == match


@given(fields(), st.randoms(use_true_random=False))
def test_any_order_becomes_canonical(wanted: dict[str, Value], random: Any) -> None:
    match = mt.encode(wanted)
    raw = [item[3] for item in mt.items(match)]
    random.shuffle(raw)
    assert mt.canonical(b"".join(raw)) == match


@given(fields().filter(known_to_os_ken))
def test_os_ken_reads_the_same(wanted: dict[str, Value]) -> None:
    match = mt.encode(wanted)
    size = 4 + len(match)
    padded = b"\0\1" + size.to_bytes(2, "big") + match + bytes(-size % 8)
    seen = oracle.OFPMatch.parser(padded, 0)
    names = {theirs: ours for ours, theirs in THEIRS.items()}
    theirs = {names.get(name, name): number_of(name, value) for name, value in seen.items()}
    assert theirs == by_number(match)


@given(fields().filter(known_to_os_ken))
def test_os_ken_writes_the_same(wanted: dict[str, Value]) -> None:
    match = mt.encode(wanted)
    theirs = oracle.OFPMatch(
        **{
            THEIRS.get(name, name): spelled(BY_NAME[name], number, mask)
            for name, (number, mask) in by_number(match).items()
        }
    )
    written = bytearray()
    theirs.serialize(written, 0)
    size = int.from_bytes(written[2:4], "big")
    assert mt.canonical(bytes(written[4:size])) == match


def spelled(field: Field, number: int, mask: int) -> object:
    """A value as os_ken wants it: addresses as text."""
    if field.kind in (Kind.MAC, Kind.IP4, Kind.IP6):
        value, under = fd.show(field, number), fd.show(field, mask)
        return value if mask == field.full else (value, under)
    return number if mask == field.full else (number, mask)


def number_of(name: str, value: object) -> tuple[int, int]:
    names = {theirs: ours for ours, theirs in THEIRS.items()}
    field = BY_NAME[names.get(name, name)]
    if isinstance(value, tuple):
        return scalar(field, value[0]), scalar(field, value[1])
    return scalar(field, value), field.full


def scalar(field: Field, value: object) -> int:
    if isinstance(value, int):
        return value
    assert isinstance(value, str)
    return fd.parse(field, value)[0]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({}, ""),
        ({"in_port": 3}, "in_port=3"),
        ({"in_port": "local"}, "in_port=LOCAL"),
        ({"eth_type": 0x0800, "ipv4_src": "10.1.2.3/8"}, "ip,nw_src=10.0.0.0/8"),
        ({"eth_type": 0x0800, "ipv4_src": "10.1.2.3/255.0.0.0"}, "ip,nw_src=10.0.0.0/8"),
        ({"eth_type": 0x0800, "ipv4_src": "10.1.2.3/32"}, "ip,nw_src=10.1.2.3"),
        ({"eth_type": 0x0800, "ipv4_src": "10.1.2.3/0"}, "ip"),
        ({"eth_type": 0x86DD, "ipv6_src": "fd00::1/64"}, "ipv6,ipv6_src=fd00::/64"),
        ({"eth_dst": "01:00:5e:01:02:03/01:00:00:00:00:00"},
         "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"),
        ({"eth_dst": b"\xfa\x16\x3e\0\0\5"}, f"dl_dst={MAC}"),
        ({"vlan_vid": 7}, "dl_vlan=7"),
        ({"vlan_vid": UNTAGGED}, "vlan_tci=0x0000/0x1fff"),
        ({"vlan_vid": TAGGED}, "vlan_tci=0x1000/0x1000"),
        ({"ct_state": "+trk-new"}, "ct_state=-new+trk"),
        ({"eth_type": "0x806", "arp_op": "1"}, "arp,arp_op=1"),
    ],
)  # fmt: skip
def test_words(wanted: dict[str, Value], text: str) -> None:
    assert mt.text(mt.encode(wanted)) == text


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"nonsense": 1}, "no such match field: nonsense"),
        ({"arp_spa": "10.0.0.1"}, "arp_spa needs eth_type=0x806 or 0x8035"),
        ({"arp_spa": "10.0.0.1", "eth_type": 0x0800}, "arp_spa needs eth_type"),
        ({"ipv4_src": "10.0.0.1", "eth_type": 0x86DD}, "ipv4_src needs eth_type=0x800"),
        ({"tcp_dst": 80, "eth_type": 0x0800}, "tcp_dst needs ip_proto=6"),
        ({"udp_dst": 80, "eth_type": 0x0800, "ip_proto": 6}, "udp_dst needs ip_proto=17"),
        ({"nd_target": "fd00::1", "eth_type": 0x86DD, "ip_proto": 58},
         "nd_target needs icmpv6_type=135 or 136"),
        ({"nd_tll": MAC, "eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135},
         "nd_tll needs icmpv6_type=136"),
        ({"vlan_pcp": 1}, "vlan_pcp needs vlan_vid with a tag present"),
        ({"vlan_pcp": 1, "vlan_vid": UNTAGGED}, "vlan_pcp needs vlan_vid"),
        ({"vlan_vid": 4096}, "at most 4095"),
        ({"in_port": -1}, "out of range"),
        ({"reg1": 1 << 32}, "out of range, 32 bits"),
        ({"in_port": (1, 1)}, "in_port cannot be matched under a mask"),
        ({"eth_src": "fa:16:3e:00:00"}, "not a valid value"),
        ({"eth_src": "fa:16:3e:00:00:0g"}, "not a valid value"),
        ({"eth_src": b"short"}, "not a valid value"),
        ({"eth_type": 0x0800, "ipv4_src": "10.0.0.256"}, "not a valid value"),
        ({"eth_type": 0x0800, "ipv4_src": "10.0.0.0/33"}, "more than 32"),
        ({"eth_type": 0x86DD, "ipv6_src": "10.0.0.0"}, "not a valid value"),
        ({"ct_state": "+nonsense"}, "no such flag 'nonsense'"),
        ({"ct_state": "+"}, "no such flag ''"),
        ({"ct_state": 0x100}, "no such flag"),
        ({"ct_nw_proto": 6}, "ct_nw_proto needs ct_state=+trk-inv"),
        ({"ct_nw_proto": 6, "ct_state": "+trk+inv"}, "ct_nw_proto needs ct_state=+trk-inv"),
        ({"ct_tp_dst": 6, "ct_state": "+trk-inv"}, "ct_tp_dst needs ct_nw_proto"),
        ({"ct_nw_src": "10.0.0.1", "ct_state": "+trk-inv"}, "ct_nw_src needs eth_type=0x0800"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(wanted: dict[str, Value], complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        mt.encode(wanted)


def test_unknown_fields_are_kept_and_shown() -> None:
    unknown = bytes.fromhex("0001ee0411223344")
    match = mt.encode({"in_port": 1})
    assert mt.canonical(unknown + match) == match + unknown
    assert mt.text(match + unknown) == f"in_port=1,oxm:{unknown.hex()}"
    assert mt.decode(match + unknown) == {"in_port": 1}


def test_a_full_or_empty_mask_is_no_mask() -> None:
    exact = mt.encode({"reg0": 5})
    assert mt.encode({"reg0": (5, 0xFFFFFFFF)}) == exact
    assert mt.encode({"reg0": (5, 0)}) == b""
    masked = bytes.fromhex("00010108") + b"\0\0\0\5" + b"\xff" * 4
    assert mt.canonical(masked) == exact
    dirty = bytes.fromhex("00010108") + b"\0\0\0\xff" + b"\0\0\0\x0f"
    assert mt.canonical(dirty) == mt.encode({"reg0": (15, 15)})


@given(fields(), st.integers(1, 40))
def test_a_damaged_match_is_refused(wanted: dict[str, Value], cut: int) -> None:
    match = mt.encode(wanted)
    whole = {0}
    for *_, raw in mt.items(match):
        whole.add(max(whole) + len(raw))
    short = match[: max(0, len(match) - cut)]
    if len(short) in whole:
        assert mt.canonical(short) == short
    else:
        with pytest.raises(ValueError, match="ends within a field"):
            mt.canonical(short)
