"""Questions for meters, their answers, and changes of them."""

from __future__ import annotations

import struct

import pytest
from os_ken.ofproto import ofproto_v1_4, ofproto_v1_4_parser
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from vifd.openflow import meters
from vifd.openflow.flow import flow, through
from vifd.openflow.message import Message, Type
from vifd.openflow.meters import Command, Meter


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


PROTOCOL = ProtocolDesc(version=ofproto_v1_4.OFP_VERSION)
LIMITS = [Meter(0x76100001, 10_000, 8_000), Meter(0x76110001, 1000, 100, packets=True)]


@pytest.mark.parametrize("meter", LIMITS)
@pytest.mark.parametrize("command", [Command.ADD, Command.MODIFY])
def test_a_change_is_what_another_implementation_sends(meter, command):
    band = ofproto_v1_4_parser.OFPMeterBandDrop(rate=meter.rate, burst_size=meter.burst)
    flags = 4 | (2 if meter.packets else 1)
    wanted = ofproto_v1_4_parser.OFPMeterMod(PROTOCOL, int(command), flags, meter.id, [band])
    wanted.set_xid(7)
    wanted.serialize()
    assert meters.change(7, meter, command) == bytes(wanted.buf)


def test_a_question_for_meters_is_what_another_implementation_asks():
    wanted = ofproto_v1_4_parser.OFPMeterConfigStatsRequest(PROTOCOL, 0, 5)
    wanted.set_xid(7)
    wanted.serialize()
    assert meters.config_request(7, 5) == bytes(wanted.buf)


def test_what_was_set_is_read():
    entries = b""
    for meter in LIMITS:
        sent = meters.change(1, meter, Command.ADD)
        entries += struct.pack("!H", 8 + 16) + sent[10:16] + sent[16:]
    assert [*meters.configs(reply(struct.pack("!HH4x", 10, 0) + entries))] == LIMITS


@pytest.mark.parametrize("entry", [
    struct.pack("!HHI", 8, 5, 3),  # no band
    struct.pack("!HHIHHII4x", 24, 1, 3, 1, 16, 5, 5),  # no burst
    struct.pack("!HHIHHIIB3x", 24, 5, 3, 2, 16, 5, 5, 1),  # marks and drops nothing
])  # fmt: skip
def test_a_meter_of_others_is_like_none_of_ours(entry):
    (meter,) = meters.configs(reply(struct.pack("!HH4x", 10, 0) + entry))
    assert meter.id == 3
    assert meter.odd
    assert meter != Meter(3, 5, 5)


@pytest.mark.parametrize("body", [
    b"", bytes(8), struct.pack("!HH4xH", 10, 0, 8),
    struct.pack("!HH4xHHI", 10, 0, 4, 5, 3), struct.pack("!HH4xHHI", 10, 0, 99, 5, 3),
])  # fmt: skip
def test_a_damaged_answer_is_refused(body):
    with pytest.raises((ValueError, struct.error)):
        list(meters.configs(reply(body)))


def test_a_flow_through_a_meter_in_words():
    assert str(through(5, flow(0, 1, 9, goto=3))).endswith("actions=meter:5,goto_table:3")
    assert str(through(5, flow(0, 1, 9))).endswith("actions=meter:5")
    assert through(None, flow(0, 1, 9)) == flow(0, 1, 9)
