"""Requests, answers and announcements about devices against pyroute2's full message class."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from vifd.drivers import Link, rtnl
from vifd.drivers.linkevents import news

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.*+=~", min_size=1, max_size=15)
macs = (st.binary(min_size=6, max_size=6) | st.sampled_from([b"++++++", b"~~~~~~"])).map(
    lambda raw: raw.hex(":")
)
optional = {
    "mac": st.none() | macs,
    "mtu": st.none() | st.integers(0, 2**32 - 1),
    "up": st.none() | st.booleans(),
    "alias": st.none() | st.text("abc:-0123456789*+=~é", min_size=1, max_size=120),
    "promiscuous": st.booleans(),
}


def decoded(data: bytes) -> Any:
    message = ifinfmsg(data)
    message.decode()
    return message


@given(names, st.fixed_dictionaries(optional), st.integers(1, 2**31))
def test_a_request_says_what_was_asked(name: str, values: dict[str, Any], sequence: int) -> None:
    message = decoded(rtnl.set_link(name, **values).pack(sequence))
    assert message["header"]["sequence_number"] == sequence
    assert message["header"]["flags"] == 1 | 4
    assert message.get_attr("IFLA_IFNAME") == name
    assert message.get_attr("IFLA_ADDRESS") == values["mac"]
    assert message.get_attr("IFLA_MTU") == values["mtu"]
    assert message.get_attr("IFLA_IFALIAS") == values["alias"]
    promiscuous = 0x100 if values["promiscuous"] else 0
    assert message["change"] == (0 if values["up"] is None else 1) | promiscuous
    assert message["flags"] == (1 if values["up"] else 0) | promiscuous


@given(
    name=names,
    mac=macs,
    alias=optional["alias"],
    mtu=st.integers(68, 65535),
    index=st.integers(1, 2**31 - 1),
    up=st.booleans(),
    carrier=st.booleans(),
    multi_queue=st.booleans(),
    owner=st.none() | st.integers(0, 2**32 - 1),
    disable_ipv6=st.none() | st.booleans(),
)
def test_an_answer_is_read_whole(
    name: str,
    mac: str,
    alias: str | None,
    mtu: int,
    index: int,
    up: bool,
    carrier: bool,
    multi_queue: bool,
    owner: int | None,
    disable_ipv6: bool | None,
) -> None:
    tun: list[tuple[str, Any]] = [("IFLA_TUN_TYPE", 2), ("IFLA_TUN_MULTI_QUEUE", int(multi_queue))]
    if owner is not None:
        tun.append(("IFLA_TUN_OWNER", owner))
    message = ifinfmsg()
    message["header"]["type"] = 16
    message["index"], message["flags"] = index, 0x1000 | up
    info = {"attrs": [("IFLA_INFO_KIND", "tun"), ("IFLA_INFO_DATA", {"attrs": tun})]}
    message["attrs"] = [
        ("IFLA_IFNAME", name),
        ("IFLA_ADDRESS", mac),
        ("IFLA_MTU", mtu),
        ("IFLA_CARRIER", int(carrier)),
        ("IFLA_LINKINFO", info),
        *([("IFLA_IFALIAS", alias)] if alias else []),
    ]
    message.encode()
    data = bytes(message.data)
    conf = (
        b""
        if disable_ipv6 is None
        else nested(10, nested(2, struct.pack("60i", *[0] * 26, disable_ipv6, *[0] * 33)))
    )
    data = (data + nested(26, conf))[16:]
    assert rtnl.link(data) == rtnl.link_in_full(data)
    assert rtnl.link(data) == Link(
        name=name,
        ifindex=index,
        mac=mac,
        mtu=mtu,
        up=up,
        carrier=carrier,
        alias=alias or "",
        kind="tun",
        multi_queue=multi_queue,
        ipv6=disable_ipv6 is False,
        owner=owner,
    )


def nested(number: int, value: bytes) -> bytes:
    return struct.pack("HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)


@given(st.binary(max_size=200))
def test_noise_is_no_event_and_no_endless_loop(data: bytes) -> None:
    for name, exists in rtnl.changes(data):
        assert isinstance(name, str)
        assert isinstance(exists, bool)


@pytest.mark.parametrize(
    ("kind", "family", "exists"), [(16, 0, True), (17, 0, False), (17, 7, True)]
)
def test_only_a_removal_of_the_device_itself_is_one(kind: int, family: int, exists: bool) -> None:
    body = struct.pack("BxHiII", family, 1, 5, 0, 0) + nested(3, b"tap1\0")
    data = struct.pack("IHHII", 16 + len(body), kind, 0, 0, 0) + body
    assert list(rtnl.changes(data)) == [("tap1", exists)]


@given(st.binary(max_size=200))
def test_an_announcement_with_noise_for_attributes_ends(noise: bytes) -> None:
    body = struct.pack("BxHiII", 0, 1, 5, 0, 0) + noise
    data = struct.pack("IHHII", 16 + len(body), 16, 0, 0, 0) + body
    assert len(list(rtnl.changes(data))) <= 1


def test_the_same_is_not_told_twice_in_a_row_of_a_device() -> None:
    told = [("a", True), ("b", True), ("a", True), ("a", False), ("b", True), ("a", True)]
    assert list(news(told)) == [("a", True), ("b", True), ("a", False), ("a", True)]


def test_an_announcement_cut_short_counts_as_lost() -> None:
    data = struct.pack("IHHII", 20, 16, 0, 0, 0) + b"\0\0\0\0"
    assert list(rtnl.changes(data)) == [("", True)]


def test_an_answer_may_hold_what_is_no_text_and_no_mac() -> None:
    attributes = nested(3, b"a\xff\0") + nested(1, bytes(range(20))) + nested(4, b"\0\1\0\0")
    link = rtnl.link(struct.pack("BxHiII", 0, 32, 5, 0, 0) + attributes)
    assert (link.name, link.mac, link.mtu) == ("a\ufffd", bytes(range(20)).hex(":"), 256)
    assert (link.alias, link.kind, link.ipv6) == ("", "", None)


@given(names)
def test_requests_that_differ_in_the_name_alone(name: str) -> None:
    up, get = decoded(rtnl.bring_up(name).pack(3)), decoded(rtnl.get(name).pack(4))
    assert up.get_attr("IFLA_IFNAME") == get.get_attr("IFLA_IFNAME") == name
    assert (up["flags"], up["change"], up["header"]["type"]) == (1, 1, 19)
    assert (get["change"], get["header"]["type"], get["header"]["flags"]) == (0, 18, 1)
    assert (up["header"]["sequence_number"], get["header"]["sequence_number"]) == (3, 4)


def test_a_request_names_its_device_only_once() -> None:
    assert decoded(rtnl.delete(7).pack(1))["index"] == 7
    assert decoded(rtnl.delete_group(1 << 30).pack(1)).get_attr("IFLA_GROUP") == 1 << 30
    assert decoded(rtnl.set_group(7, 9).pack(1))["index"] == 7
    assert decoded(rtnl.get("tap1").pack(1)).get_attr("IFLA_EXT_MASK") == 8
