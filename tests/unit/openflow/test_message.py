"""Messages: os_ken's codec as an independent opinion, errors in words, damaged input."""

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_4 as numbers
from os_ken.ofproto import ofproto_v1_4_parser as oracle

from vifd.openflow import action as act
from vifd.openflow import match as mt
from vifd.openflow import message as msg
from vifd.openflow.flow import Flow, flow
from vifd.openflow.message import Command, Control, Message, Type

DATAPATH = SimpleNamespace(ofproto=numbers, ofproto_parser=oracle)
FLOW = flow(60, 90, 0x7600000000000001, [act.output(3), act.pop_vlan()], goto=70, in_port=5,
            vlan_vid=101, eth_type=0x0800, ipv4_src="10.0.0.0/24")  # fmt: skip


def read(raw: bytes) -> oracle.OFPFlowMod:
    version, kind, size, xid = (raw[0], raw[1], int.from_bytes(raw[2:4]), int.from_bytes(raw[4:8]))
    assert size == len(raw)
    return oracle.msg_parser(DATAPATH, version, kind, size, xid, raw)


def only(raw: bytes) -> Message:
    (message,), rest = msg.split(raw)
    assert rest == len(raw)
    return message


def theirs(message: oracle.MsgBase, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def opinion(entry: Flow, command: int, mask: int = 0, table: int | None = None) -> bytes:
    """The FLOW_MOD as os_ken writes it."""
    actions = [oracle.OFPActionOutput(3, 0), oracle.OFPActionPopVlan()]
    instructions = [
        oracle.OFPInstructionActions(numbers.OFPIT_APPLY_ACTIONS, actions),
        oracle.OFPInstructionGotoTable(70),
    ]
    match = oracle.OFPMatch(
        in_port=5, vlan_vid=0x1065, eth_type=0x0800, ipv4_src=("10.0.0.0", "255.255.255.0")
    )
    mod = oracle.OFPFlowMod(
        DATAPATH, entry.cookie, mask, entry.table, command, 0, 0, entry.priority,
        numbers.OFP_NO_BUFFER, numbers.OFPP_ANY, numbers.OFPG_ANY, 0, 0, match, instructions,
    )  # fmt: skip
    return theirs(mod, 9)


def fields_of(raw: bytes) -> tuple[bytes, Flow]:
    """A FLOW_MOD as its fixed part and its flow, the match in canonical order."""
    size = int.from_bytes(raw[50:52])
    match = mt.canonical(raw[52 : 48 + size])
    rest = raw[48 + (size + 7) // 8 * 8 :]
    return raw[:52] + rest, Flow(0, 0, 0, match)


@pytest.mark.parametrize(
    ("command", "mask"), [(Command.ADD, 0), (Command.DELETE_STRICT, msg.EXACT)]
)
def test_flow_mod(command: Command, mask: int) -> None:
    ours = msg.flow_mod(9, FLOW, command, mask=mask)
    assert fields_of(ours) == fields_of(opinion(FLOW, command, mask))


def test_a_bundled_message_is_wrapped() -> None:
    plain = msg.flow_mod(9, FLOW)
    wrapped = msg.flow_mod(9, FLOW, bundle=4)
    assert wrapped[16:] == plain
    add = oracle.OFPBundleAddMsg(DATAPATH, 4, 3, read(plain), [])
    assert wrapped[:16] == theirs(add, 9)[:16]


def test_delete_by_cookie() -> None:
    everything = oracle.OFPFlowMod(
        DATAPATH, 0x76 << 56, 0xFF << 56, 255, 3, 0, 0, 0, numbers.OFP_NO_BUFFER,
        numbers.OFPP_ANY, numbers.OFPG_ANY, 0, 0, oracle.OFPMatch(), [],
    )  # fmt: skip
    assert msg.delete_by_cookie(9, 0x76 << 56, 0xFF << 56) == theirs(everything, 9)


def test_small_messages() -> None:
    control = oracle.OFPBundleCtrlMsg(DATAPATH, 4, Control.COMMIT, 3, [])
    assert msg.bundle_control(9, 4, Control.COMMIT) == theirs(control, 9)
    assert msg.barrier(9) == theirs(oracle.OFPBarrierRequest(DATAPATH), 9)
    assert msg.echo_reply(9, b"who") == theirs(oracle.OFPEchoReply(DATAPATH, b"who"), 9)
    assert [element.versions for element in read(msg.hello(9)).elements] == [[5]]
    stats = oracle.OFPFlowStatsRequest(
        DATAPATH, 0, 255, numbers.OFPP_ANY, numbers.OFPG_ANY, 5, 7, oracle.OFPMatch()
    )
    assert msg.flow_stats_request(9, 5, 7) == theirs(stats, 9)
    out = oracle.OFPPacketOut(
        DATAPATH, numbers.OFP_NO_BUFFER, 3, [oracle.OFPActionOutput(4, 0)], b"frame"
    )
    assert msg.packet_out(9, b"frame", 3, act.output(4)) == theirs(out, 9)


def entry(table: int = 60, idle: int = 0) -> bytes:
    """One entry of a flow-stats reply, its variable parts written by os_ken."""
    mod = read(msg.flow_mod(1, FLOW))
    tail = bytearray()
    size = mod.match.serialize(tail, 0)
    for instruction in mod.instructions:
        instruction.serialize(tail, size)
        size = len(tail)
    head = struct.pack("!HBxIIHHHHHxxQQQ", 48 + len(tail), table, 3, 4, 90, idle, 0, 0, 0,
                       FLOW.cookie, 8, 9)  # fmt: skip
    return head + tail


def stats_reply(entries: list[bytes], flags: int = 0) -> bytes:
    body = struct.pack("!HH4x", numbers.OFPMP_FLOW, flags) + b"".join(entries)
    return struct.pack("!BBHI", 5, numbers.OFPT_MULTIPART_REPLY, 8 + len(body), 9) + body


def test_os_ken_reads_our_scene_of_a_reply() -> None:
    (seen,) = read(stats_reply([entry()])).body
    assert (seen.table_id, seen.priority, seen.cookie, seen.packet_count) == (
        60, 90, FLOW.cookie, 8,
    )  # fmt: skip


def test_flow_stats_come_back_equal() -> None:
    reply = only(stats_reply([entry(), entry(table=61)]))
    one, two = msg.flows(reply)
    assert one == FLOW
    assert (two.table, one.packets) == (61, 8)
    assert not msg.more(reply)
    assert msg.more(only(stats_reply([], flags=1)))


def test_counters_are_those_of_each_reply() -> None:
    quiet = entry()[:32] + bytes(8) + entry()[40:]
    told = [*msg.flows(only(stats_reply([entry(), quiet, entry()])))]
    assert [flow.packets for flow in told] == [8, 0, 8]
    assert {*told} == {FLOW}


def test_a_flow_that_was_read_before_is_not_decoded_anew() -> None:
    one, two = (next(iter(msg.flows(only(stats_reply([entry(table=62)]))))) for _ in range(2))
    assert one.match is two.match


def test_timeouts_make_a_difference() -> None:
    (seen,) = msg.flows(only(stats_reply([entry(idle=5)])))
    assert seen != FLOW


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_damaged_flow_stats_are_refused(cut: int) -> None:
    body = only(stats_reply([entry()])).body[:-cut]
    with pytest.raises(ValueError, match="impossible length"):
        list(msg.flows(Message(5, Type.MULTIPART_REPLY, 9, body)))


def test_other_multipart_replies_are_refused() -> None:
    with pytest.raises(ValueError, match="no flow-stats reply"):
        list(msg.flows(Message(5, Type.MULTIPART_REPLY, 9, bytes(8))))


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 200))
def test_a_stream_is_cut_into_messages(payloads: list[bytes], cut: int) -> None:
    stream = b"".join(msg.echo_reply(n, payload) for n, payload in enumerate(payloads))
    cut = min(cut, len(stream))
    first, rest = msg.split(stream[:cut])
    second, end = msg.split(stream[rest:])
    assert rest + end == len(stream)
    assert [m.body for m in first + second] == payloads
    assert [m.xid for m in first + second] == list(range(len(payloads)))


def test_a_stream_that_is_no_openflow() -> None:
    with pytest.raises(ValueError, match="impossible length 3"):
        msg.split(b"\5\0\0\3aaaa")


@pytest.mark.parametrize(
    ("raw", "offered"),
    [
        (msg.hello(1), {5}),
        (bytes([4, 0, 0, 8, 0, 0, 0, 1]), {1, 2, 3, 4}),
        (bytes.fromhex("06000010000000010001000800000062"), {1, 5, 6}),
        # an element of another type comes first, padded to 8 bytes
        (bytes.fromhex("060000180000000100070005aa0000000001000800000020"), {5}),
    ],
)
def test_versions_on_offer(raw: bytes, offered: set[int]) -> None:
    assert msg.versions(only(raw)) == offered


def error(kind: int, code: int, data: bytes = b"") -> msg.SwitchError:
    body = kind.to_bytes(2) + code.to_bytes(2) + data
    return msg.error(Message(5, Type.ERROR, 9, body))


PREFIXES = {"OFPHFC": 0, "OFPBRC": 1, "OFPBAC": 2, "OFPBIC": 3, "OFPBMC": 4, "OFPFMFC": 5,
            "OFPBFC": 17}  # fmt: skip


def test_errors_have_the_names_of_the_specification() -> None:
    known = 0
    for name in dir(numbers):
        prefix, _, code = name.partition("_")
        if prefix in PREFIXES and code:
            assert error(PREFIXES[prefix], getattr(numbers, name)).name == name
            known += 1
    assert known > 50


@pytest.mark.parametrize(
    ("kind", "code", "data", "text"),
    [
        (4, 9, b"\5\16\0\0", "OFPBMC_BAD_PREREQ"),
        (4, 99, b"", "type 4 code 99"),
        (12, 2, b"", "OFPMMFC_INVALID_METER"),
        (16, 2, b"", "OFPET_FLOW_MONITOR_FAILED code 2"),
        (77, 1, b"", "type 77 code 1"),
        (0xFFFF, 3, b"\0\0\x23\x20", "NXBRC_NXM_BAD_TYPE"),
        (0xFFFF, 999, b"\0\0\x23\x20", "Nicira error 999"),
        (0xFFFF, 5, b"\0\0\0\1", "experimenter 0x1 error 5"),
        (0, 0, b"only 1.0 here", "OFPHFC_INCOMPATIBLE: only 1.0 here"),
    ],
)
def test_errors_in_words(kind: int, code: int, data: bytes, text: str) -> None:
    assert str(error(kind, code, data)) == text


def test_an_error_too_short_to_say_anything() -> None:
    assert msg.error(Message(5, Type.ERROR, 9, b"\0")).name == "error without a type"


def test_what_does_not_fit_into_a_message() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        msg.flow_mod(1, flow(0, 1, 1, [act.output(n) for n in range(5000)]))
    with pytest.raises(ValueError, match="does not fit"):
        msg.packet_out(1, bytes(65536), 1, b"")
