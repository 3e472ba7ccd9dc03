"""Where the announcement of a MAC goes, and what it says."""

from __future__ import annotations

import pytest

from unit.ovs.world import BRIDGE, UPLINK, port
from vifd import errors
from vifd.openflow import action as act
from vifd.policy.announcing import announcement
from vifd.testing.attachments import attachment
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge.announcing import announce, announce_back

MAC = "fa:16:3e:00:00:01"


def test_it_says_a_mac_and_nothing_else() -> None:
    frame = announcement(MAC)
    assert len(frame) == 60
    assert frame[:14].hex() == "ffffffffffff" + "fa163e000001" + "8035"
    assert frame[14:42].hex() == "0001080006040003" + ("fa163e000001" + "00000000") * 2


@pytest.mark.parametrize(
    ("kind", "vid", "tagged"),
    [("vlan", 101, act.push_vlan() + act.set_vlan(101)), ("flat", None, b"")],
)
def test_the_segment_hears_it_as_it_hears_the_port(
    kind: str, vid: int | None, tagged: bytes
) -> None:
    machine = FakeMachine()
    machine.add_bridge(BRIDGE)
    segment = {"network_type": kind, "physical_network": "physnet1", "segmentation_id": vid}
    one = port(attachment(1, segment=segment))
    announce(machine.drivers.openflow, BRIDGE, one, UPLINK)
    expected = (BRIDGE, announcement(one.mac), one.ofport, tagged + act.output(UPLINK))
    assert machine.openflow.sent == [expected]


def test_one_that_cannot_be_told_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    machine = FakeMachine()
    machine.add_bridge(BRIDGE)
    machine.openflow.fail_next("packet_out", errors.BackendError(facts={"problem": "no"}))
    one = port(attachment(1))
    announce_back(machine.drivers.openflow, BRIDGE, one)
    assert f"port={one.id}" in caplog.text
    announce_back(machine.drivers.openflow, BRIDGE, one)
    assert [sent[3] for sent in machine.openflow.sent] == [act.normal()]
