"""The question for meters, and its answers."""

from __future__ import annotations

import struct

import pytest
from os_ken.ofproto import ofproto_v1_4, ofproto_v1_4_parser
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from vifd.openflow import meters
from vifd.openflow.message import Message, Type


def reply(body: bytes, kind: int = Type.MULTIPART_REPLY) -> Message:
    return Message(5, kind, 7, body)


def test_the_question_is_what_another_implementation_asks():
    wanted = ofproto_v1_4_parser.OFPMeterFeaturesStatsRequest(
        ProtocolDesc(version=ofproto_v1_4.OFP_VERSION), 0
    )
    wanted.set_xid(7)
    wanted.serialize()
    assert meters.request(7) == bytes(wanted.buf)


def test_the_number_in_the_answer():
    body = struct.pack("!HH4xIIIBB2x", 11, 0, 4294901760, 6, 15, 1, 0)
    assert meters.most([reply(body)]) == 4294901760


@pytest.mark.parametrize(
    "replies",
    [[], [reply(b"")], [reply(b"\0\x0b\0\0\0\0\0\0")], [reply(bytes(24))],
     [reply(struct.pack("!HH4xIIIBB2x", 11, 0, 1, 0, 0, 0, 0), Type.ERROR)]],
)  # fmt: skip
def test_no_answer_is_none(replies):
    assert meters.most(replies) == 0
