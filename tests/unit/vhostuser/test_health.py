"""When a vhost-user port works: the conclusion from all facts together."""

from __future__ import annotations

import pytest

from vifd.drivers import PortRow
from vifd.model import Report
from vifd_vhostuser import dpdk
from vifd_vhostuser.dpdk import Polling
from vifd_vhostuser.health import WAITING, Guest, evidence
from vifd_vhostuser.memory import GuestMemory, State
from vifd_vhostuser.plugging import half_made

POLLED = Polling({0: [1]}, {"vhu1": 1})
SHARED = Guest(True, 42, GuestMemory(State.SHARED, 96 << 20, "/memfd:ram"))
PRIVATE = Guest(True, 42, GuestMemory(State.PRIVATE, 96 << 20, "/memfd:ram"))
ANONYMOUS = Guest(True, 42, GuestMemory(State.ANONYMOUS, 96 << 20))
UP = PortRow("vhu1", "br-int", link_state="up", mtu=1450, status={"status": "connected"})
DOWN = PortRow("vhu1", "br-int", link_state="down", mtu=0, status={"status": "disconnected"})
STARVED = PortRow("vhu1", "br-int", link_state="down", mtu=0, status={"status": "connected"})


def judged(row, guest, polling=POLLED):
    report = Report(evidence("vhu1", row, polling, guest, 1450))
    return report, [e.fact for e in report.findings]


def test_before_a_guest_comes_the_port_waits_and_nothing_is_wrong():
    report, findings = judged(DOWN, Guest())
    assert findings == []
    assert report.evidence[0].have == WAITING


def test_a_guest_that_has_not_driven_its_device_yet_is_no_error():
    report, findings = judged(DOWN, SHARED)
    assert findings == []
    assert "not driven yet" in report.evidence[0].have


def test_a_guest_that_works():
    assert judged(UP, SHARED)[1] == []


def test_a_guest_whose_process_is_not_found_is_told_as_unknown():
    report, findings = judged(UP, Guest(present=True))
    assert findings == []
    assert "unknown" in report.evidence[1].have


@pytest.mark.parametrize(("row", "guest"), [(UP, PRIVATE), (DOWN, ANONYMOUS)])
def test_private_memory_is_the_finding_though_the_link_may_be_up(row, guest):
    report, findings = judged(row, guest)
    assert findings == ["guest.memory"]
    assert report.beyond_repair


def test_no_buffers_is_told_before_its_consequences():
    report, findings = judged(STARVED, SHARED, Polling({0: [1]}))
    assert findings == ["vhost.buffers", "vhost.link_state", "vhost.mtu"]
    assert not report.findings[0].repairable


def test_a_port_that_is_not_polled_is_found_also_without_a_guest():
    assert judged(DOWN, Guest(), Polling({0: [1]}))[1] == ["vhost.pmd_rxq"]


def test_polling_that_cannot_be_read_is_a_finding():
    assert judged(UP, SHARED, Polling(problem="no answer"))[1] == ["vhost.pmd_rxq"]


def test_another_mtu_is_found_once_a_guest_is_there():
    row = PortRow("vhu1", "br-int", link_state="up", mtu=1500, status={"status": "connected"})
    assert judged(row, SHARED)[1] == ["vhost.mtu"]


def test_a_link_that_stays_down_is_found():
    row = PortRow("vhu1", "br-int", link_state="down", mtu=1450, status={"status": "connected"})
    assert judged(row, SHARED)[1] == ["vhost.link_state"]


PMD = """Displaying last 60 seconds pmd usage %
pmd thread numa_id 0 core_id 1:
  isolated : false
  port: vhu00000001-000   queue-id:  0 (enabled)   pmd usage: NOT AVAIL
  port: vhu00000001-000   queue-id:  1 (disabled)  pmd usage: NOT AVAIL
  overhead: NOT AVAIL
pmd thread numa_id 1 core_id 7:
  isolated : false
  port: dpdk0             queue-id:  0 (enabled)   pmd usage: 12 %
"""


def test_the_switch_answer_about_polling_is_read():
    polling = dpdk.read_polling(PMD)
    assert polling.cores == {0: [1], 1: [7]}
    assert polling.queues == {"vhu00000001-000": 2, "dpdk0": 1}


@pytest.mark.parametrize(
    ("row", "half"), [(UP, False), (DOWN, False), (STARVED, True), (PortRow("vhu1", "b"), False)]
)
def test_a_port_that_the_switch_does_not_run_for_a_guest_that_is_there(row, half):
    assert half_made(row) is half
