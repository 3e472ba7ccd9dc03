"""Frames that the switch hands over."""

from __future__ import annotations

import pytest
from os_ken.ofproto import ofproto_v1_4 as numbers
from os_ken.ofproto import ofproto_v1_4_parser as oracle
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from vifd.openflow import match as mt
from vifd.openflow import message as msg
from vifd.openflow import packetin, portdesc
from vifd.openflow.message import Message, Type

DATAPATH = ProtocolDesc(version=numbers.OFP_VERSION)


def packet_in(frame: bytes, length: int) -> bytes:
    match = bytes.fromhex("0001000c 80000004 00001000 00000000".replace(" ", ""))
    head = (0xFFFFFFFF).to_bytes(4) + length.to_bytes(2) + bytes((1, 0)) + (77).to_bytes(8)
    return head + match + bytes(2) + frame


@pytest.mark.parametrize(("length", "whole"), [(5, True), (6, False)])
def test_a_frame_and_its_cookie(length: int, whole: bool) -> None:
    message = Message(5, Type.PACKET_IN, 1, packet_in(b"frame", length))
    found = packetin.handed(message)
    assert (found.cookie, found.frame, found.whole) == (77, b"frame", whole)
    assert (found.table, found.length, found.register("reg7")) == (0, length, 0)
    raw = msg._HEADER.pack(5, 10, 8 + len(message.body), 1) + message.body
    theirs = oracle.OFPPacketIn.parser(DATAPATH, 5, 10, len(raw), 1, bytearray(raw))
    assert (theirs.cookie, bytes(theirs.data), theirs.total_len) == (77, b"frame", length)


def test_what_a_register_held_is_said_with_it() -> None:
    known = mt.encode({"in_port": 3, "reg4": 9, "reg7": 6})
    found = packetin.PacketIn(77, b"", whole=True, match=known)
    assert (found.register("reg4"), found.register("reg7"), found.register("reg1")) == (9, 6, 0)
    assert found._replace(match=known[:-1]).register("reg7") == 0


@pytest.mark.parametrize("size", range(30))
def test_one_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="packet-in"):
        packetin.handed(Message(5, Type.PACKET_IN, 1, packet_in(b"", 0)[:size]))


def test_a_connection_says_by_which_number_it_goes() -> None:
    assert packetin.identify(9).hex() == "05040018000000090000232000000014" + "00" * 6 + "7669"


@pytest.mark.parametrize("packets", [0, packetin.BY_ACTION])
def test_frames_are_asked_for_where_somebody_wants_them(packets: int) -> None:
    raw = portdesc.announce(1, "normal", packets)
    kinds = {int.from_bytes(raw[n : n + 2]): int.from_bytes(raw[n + 4 : n + 8])
             for n in range(8, 8 + 48, 8)}  # fmt: skip
    assert kinds == {0: packets, 1: packets, 2: 7, 3: 7, 4: 0, 5: 0}
