"""Frames, held against published or captured bytes rather than against themselves."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.testing import frames

A, B = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"


def test_checksum_of_the_example_of_rfc_1071() -> None:
    assert frames.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@given(st.binary(max_size=200).filter(lambda data: len(data) % 2 == 0))
def test_data_with_its_checksum_sums_to_zero(data: bytes) -> None:
    assert frames.checksum(data + struct.pack("!H", frames.checksum(data))) in (0, 0xFFFF)


def test_arp_request_byte_for_byte() -> None:
    expected = (
        "ffffffffffff fa163e000001 0806 0001 0800 06 04 0001"
        "fa163e000001 0a000001 000000000000 0a000002"
    )
    built = frames.arp_request(A, "10.0.0.1", "10.0.0.2")
    assert built == bytes.fromhex(expected).ljust(60, b"\0")


def test_arp_can_lie_about_its_ethernet_source() -> None:
    built = frames.arp_reply(A, "10.0.0.1", B, "10.0.0.2", src="02:00:00:00:00:09")
    assert frames.mac_text(built[6:12]) == "02:00:00:00:00:09"
    assert frames.mac_text(built[22:28]) == A


def test_ipv4_header_byte_for_byte() -> None:
    # 45 00 00 20 00 00 40 00 40 11 26cb: the header that Linux sends for this datagram
    built = frames.udp(A, B, "10.0.0.1", "10.0.0.2", b"vifd", sport=1, dport=2)
    assert built[14:34].hex() == "4500002000004000401126cb0a0000010a000002"


@pytest.mark.parametrize(
    ("src_ip", "dst_ip", "start"), [("10.0.0.1", "10.0.0.2", 34), ("fd00::1", "fd00::2", 54)]
)
def test_udp_checksum_covers_the_pseudo_header(src_ip: str, dst_ip: str, start: int) -> None:
    built = frames.udp(A, B, src_ip, dst_ip, b"odd")
    datagram = built[start : start + 11]
    addresses = frames.ip_bytes(src_ip) + frames.ip_bytes(dst_ip)
    pseudo = addresses + struct.pack("!II", 11, frames.UDP)
    assert frames.checksum(pseudo + datagram) == 0


@pytest.mark.parametrize(
    "built",
    [
        frames.neighbour_solicitation(A, "fe80::1", "fd00::2"),
        frames.neighbour_advertisement(A, "fe80::1", "fd00::1"),
        frames.router_advertisement(A, "fe80::1"),
        frames.router_solicitation(A, "fe80::1"),
        frames.ping(A, B, "fd00::1", "fd00::2"),
    ],
    ids=["ns", "na", "ra", "rs", "echo"],
)
def test_icmpv6_checksum_and_length(built: bytes) -> None:
    length = int.from_bytes(built[18:20])
    assert len(built) == max(60, 54 + length)
    pseudo = built[22:54] + struct.pack("!II", length, frames.ICMPV6)
    assert frames.checksum(pseudo + built[54 : 54 + length]) == 0


def test_neighbour_discovery_has_the_hop_limit_that_receivers_demand() -> None:
    assert frames.neighbour_solicitation(A, "fe80::1", "fd00::2")[21] == 255


def test_addresses_that_are_derived() -> None:
    assert frames.link_local(A) == "fe80::f816:3eff:fe00:1"
    assert frames.solicited_node("fd00::1:2:3") == "ff02::1:ff02:3"
    assert frames.multicast_mac("224.129.1.2") == "01:00:5e:01:01:02"
    assert frames.multicast_mac("ff02::1:2") == "33:33:00:01:00:02"


def test_vlan_tag_is_found_and_taken_off() -> None:
    tagged = frames.udp(A, B, "10.0.0.1", "10.0.0.2", vlan=101)
    assert frames.vlan_of(tagged) == 101
    assert frames.vlan_of(frames.untagged(tagged)) is None
    assert frames.untagged(tagged) == frames.udp(A, B, "10.0.0.1", "10.0.0.2")


def test_dhcp_goes_between_the_well_known_ports() -> None:
    discover = frames.dhcp_discover(A)
    offer = frames.dhcp_offer(A, "10.0.0.1", B, "10.0.0.2")
    assert struct.unpack("!HH", discover[34:38]) == (68, 67)
    assert struct.unpack("!HH", offer[34:38]) == (67, 68)
    assert discover[42 + 236 : 42 + 240] == b"\x63\x82\x53\x63"
