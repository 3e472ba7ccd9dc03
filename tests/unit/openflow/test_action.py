"""Actions: bytes and words; os_ken's codec as an independent opinion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_4_parser as oracle

from vifd.openflow import action as act
from vifd.openflow import field as fd
from vifd.openflow import steps


def theirs(action: oracle.OFPAction) -> bytes:
    written = bytearray()
    action.serialize(written, 0)
    return bytes(written)


@pytest.mark.parametrize(
    ("ours", "opinion", "text"),
    [
        (act.output(7), oracle.OFPActionOutput(7, 0), "output:7"),
        (act.in_port(), oracle.OFPActionOutput(fd.IN_PORT, 0), "IN_PORT"),
        (act.normal(), oracle.OFPActionOutput(fd.NORMAL, 0), "NORMAL"),
        (act.controller(), oracle.OFPActionOutput(fd.CONTROLLER, 0xFFFF), "CONTROLLER:65535"),
        (act.push_vlan(), oracle.OFPActionPushVlan(0x8100), "push_vlan:0x8100"),
        (act.pop_vlan(), oracle.OFPActionPopVlan(), "pop_vlan"),
        (act.set_vlan(5), oracle.OFPActionSetField(vlan_vid=0x1005), "set_field:4101->vlan_vid"),
        (act.set_field("reg5", 7), oracle.OFPActionSetField(reg5=7), "set_field:0x7->reg5"),
        (act.set_field("metadata", 7), oracle.OFPActionSetField(metadata=7),
         "set_field:0x7->metadata"),
        (act.set_field("eth_dst", "fa:16:3e:00:00:05"),
         oracle.OFPActionSetField(eth_dst="fa:16:3e:00:00:05"),
         "set_field:fa:16:3e:00:00:05->eth_dst"),
        (act.set_field("ipv6_src", "fd00::1"), oracle.OFPActionSetField(ipv6_src="fd00::1"),
         "set_field:fd00::1->ipv6_src"),
        (act.resubmit(None, 60), oracle.NXActionResubmitTable(0xFFF8, 60), "resubmit(,60)"),
        (act.resubmit(4, 60), oracle.NXActionResubmitTable(4, 60), "resubmit(4,60)"),
        (act.resubmit(4), oracle.NXActionResubmitTable(4, 255), "resubmit:4"),
        (act.move("eth_src", "eth_dst"),
         oracle.NXActionRegMove("eth_src_nxm", "eth_dst_nxm", 48),
         "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]"),
        (act.ct(commit=True, zone=5), oracle.NXActionCT(1, "", 5, 255, 0, []),
         "ct(commit,zone=5)"),
        (act.output_register("reg4"), oracle.NXActionOutputReg(15, "reg4", 0xFFFF),
         "output:NXM_NX_REG4[0..15]"),
        (act.controller_of(0x7669, 128), oracle.NXActionController(128, 0x7669, 1),
         "controller(max_len=128,id=30313)"),
        (act.conjunction(7, 1, 2), oracle.NXActionConjunction(1, 2, 7), "conjunction(7,2/2)"),
        (act.ct(zone="reg6", table=70), oracle.NXActionCT(0, "reg6", 15, 70, 0, []),
         "ct(table=70,zone=NXM_NX_REG6[0..15])"),
    ],
)  # fmt: skip
def test_bytes_and_words(ours: bytes, opinion: oracle.OFPAction, text: str) -> None:
    assert ours == theirs(opinion)
    assert steps.text(ours) == text


@pytest.mark.parametrize("clause", [(2, 2), (-1, 2), (0, 1), (0, 65)])
def test_a_clause_that_is_none(clause: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="conjunction"):
        act.conjunction(1, *clause)


def test_a_list_goes_on_in_a_table() -> None:
    both = act.output(1) + act.pop_vlan()
    assert steps.text(both, 60) == "output:1,pop_vlan,goto_table:60"
    assert steps.text(b"", 60) == "goto_table:60"
    assert steps.text(b"") == "drop"


@given(st.sampled_from([f for f in fd.FIELDS if f.name != "ct_state"]), st.data())
def test_set_field_comes_back(field: fd.Field, data: st.DataObject) -> None:
    top = 0xFFF if field.name == "vlan_vid" else field.full
    value = data.draw(st.integers(0, top))
    action = act.set_field(field.name, value)
    assert len(action) % 8 == 0
    assert list(steps.parse(action)) == [steps.SetField(field, fd.parse(field, value)[0])]


def test_unknown_actions_are_kept_and_shown() -> None:
    group = bytes.fromhex("0016000800000001")
    learn = bytes.fromhex("ffff0010000023200010") + bytes(6)
    assert list(steps.parse(group + learn)) == [steps.Other(group), steps.Other(learn)]
    assert steps.text(group) == f"action:{group.hex()}"


@pytest.mark.parametrize("raw", ["00", "0000000400000000", "0000001000000001", "0011000900000000"])
def test_damaged_lists_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="action"):
        list(steps.parse(bytes.fromhex(raw)))


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("nonsense", 1, "no such field"),
        ("eth_dst", "01:00:00:00:00:00/01:00:00:00:00:00", "whole fields only"),
        ("vlan_vid", 4096, "at most 4095"),
    ],
)
def test_what_cannot_be_set(name: str, value: fd.Scalar, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        act.set_field(name, value)
