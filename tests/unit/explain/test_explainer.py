"""What is said besides the findings: wish, plugin, guest, the last attempt, the past."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from unit.explain.test_causes import FOREIGN, finding, gone, record, subject
from vifd.explain import Serving, explain
from vifd.explain.explanation import Name, State
from vifd.hypervisor import GuestInterface
from vifd.model import Evidence, Phase, Report, Selection, decode
from vifd.model.event import Event
from vifd.model.family import Family, Relative
from vifd.model.trunks import SUB_PORT_OWNER

CARRIER = Evidence("device.carrier", have=True, source="netlink")
NO_CARRIER = Evidence("device.carrier", have=False, source="netlink")
THEIRS = Evidence("uplink.carrier", "down", "up", ok=False, source="ovsdb", repairable=False)


def error(code: str, stage: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "stage": stage, "class": "plug", "message": "it did not work",
            "remediation": "mend it", "retryable": True, "facts": {}, **more}  # fmt: skip


def step(found: Any, name: Name) -> Any:
    return next(s for s in found.steps if s.name is name)


# --- the wish -------------------------------------------------------------------------------------


def test_a_port_that_is_well():
    found = explain(subject([CARRIER]))
    assert (found.healthy, found.broken, found.action, found.hint) == (True, None, "", "")
    assert found.sentence == "nothing is broken"
    assert [s.state for s in found.steps if s.state is State.BROKEN] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role": "INACTIVE"}, "role on this host is INACTIVE"),
        ({"port__admin_state_up": False}, "admin_state_up is false"),
    ],
)
def test_a_port_that_shall_be_closed_is_not_broken(changes, words):
    doc = decode(document(1, **changes))
    found = explain(subject([CARRIER], record=record(doc=doc, open=False, phase=Phase.READY)))
    assert found.healthy
    assert words in found.sentence


def test_a_port_that_is_being_removed():
    removed = record(removing=True, phase=Phase.UNPLUGGING)
    found = explain(subject(gone("device", "ovsdb.port"), record=removed))
    assert (found.broken, found.action) == (Name.INTENT, "removes the port")


def test_a_port_that_vifd_is_at_work_on():
    busy = record(open=False, phase=Phase.PLUGGING, wiring=None)
    found = explain(subject([], record=busy, report=None, asked=False, unasked="nothing is there"))
    assert found.healthy
    assert "nothing was ever read" in found.sentence
    assert step(found, Name.DEVICE).state is State.SKIPPED
    found = explain(subject([CARRIER], record=record(open=False, phase=Phase.ISOLATED)))
    assert "at work on it (ISOLATED)" in found.sentence


# --- the plugin -----------------------------------------------------------------------------------


def test_a_plugin_that_is_not_there_comes_before_what_was_read():
    missing = {"message": "no plugin 'ovs'", "remediation": "install it"}
    found = explain(subject(gone("device"), serving=Serving(refusal=missing)))
    assert (found.broken, found.hint) == (Name.CHOICE, "install it")
    assert step(found, Name.DEVICE).state is State.BROKEN


def test_a_plugin_that_hangs():
    found = explain(subject([], asked=False, unasked="it hangs", serving=Serving(hangs="in plug")))
    assert found.broken is Name.CHOICE
    assert "hangs in plug" in found.sentence
    assert (found.asked, found.unasked) == (False, "it hangs")


def test_why_the_others_lost_and_what_nothing_enforces():
    selection = Selection(
        refused=[{"plugin": "vhostuser", "vif_type": "vhostuser",
                  "error": {"code": "E_CAP_SHARED_MEMORY", "message": "no large pages"}}],
        notes=["no effect: port trusted"],
    )  # fmt: skip
    asked = subject([], record=record(selection=selection), unenforced=["qos"])
    said = step(explain(asked), Name.CHOICE).sentence
    assert "not vhostuser/vhostuser: E_CAP_SHARED_MEMORY: no large pages" in said
    assert "enforced by nothing here: qos" in said
    assert "no effect: port trusted" in said


# --- the guest ------------------------------------------------------------------------------------


def guest(**changes: Any) -> GuestInterface:
    mac = document(1)["port"]["mac_address"]
    values = {"device": "tap1", "guest": "g", "name": "web", "mac": mac, **changes}
    return GuestInterface(**values)


def test_nobody_is_there_yet_is_no_fault():
    found = explain(subject([NO_CARRIER]))
    assert found.healthy
    assert step(found, Name.GUEST).state is State.UNKNOWN
    assert "nobody holds tap1 open" in found.sentence


def test_a_guest_that_runs_and_does_not_hold_its_device():
    found = explain(subject([NO_CARRIER], guest=guest(), hypervisor=True))
    assert found.broken is Name.GUEST
    assert "web runs with tap1" in found.sentence
    # that the device is gone is why
    found = explain(subject([*gone("device"), NO_CARRIER], guest=guest(), hypervisor=True))
    assert found.broken is Name.DEVICE
    assert step(found, Name.GUEST).because is Name.DEVICE


def test_a_guest_with_another_mac_address():
    found = explain(subject([CARRIER], guest=guest(mac="02:00:00:00:00:01"), hypervisor=True))
    assert found.broken is Name.GUEST
    assert "02:00:00:00:00:01" in found.sentence


def test_a_guest_that_is_off():
    found = explain(subject([NO_CARRIER], guest=guest(running=False), hypervisor=True))
    assert found.healthy
    assert "does not run" in step(found, Name.GUEST).sentence


# --- the last attempt, and what vifd does ---------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "klass", "named"),
    [
        ("name", "plug", Name.NAMES),
        ("device", "plug", Name.DEVICE),
        ("bridge", "plug", Name.SWITCH),
        ("ofport", "plug", Name.PORT),
        ("flows", "plug", Name.FLOWS),
        ("filter", "plug", Name.FILTER),
        ("patch", "segment", Name.UPLINK),
        ("elsewhere", "segment", Name.UPLINK),
        ("health", "plugins", Name.CHOICE),
    ],
)
def test_an_attempt_that_left_nothing_to_read(stage, klass, named):
    failed = record(
        wiring=None, open=False, phase=Phase.FAILED, error=error("E_X", stage, **{"class": klass})
    )
    found = explain(subject([], record=failed, report=None, asked=False, retry_in=12.2))
    assert found.broken is named
    assert "E_X: it did not work" in found.sentence
    assert found.hint == "mend it"
    assert "the next one is in 12 s" in found.action
    later = [s for s in found.steps if s.name in (Name.DEVICE, Name.GUEST)]
    assert all(s.state is not State.OK or s.name is named for s in later)


@pytest.mark.parametrize(
    ("fact", "text", "named"),
    [
        ("ovsdb.ofport", "ovsdb.ofport is -1, wanted 4096", Name.PORT),
        ("trace.dhcp", f"trace.dhcp is {FOREIGN!r}, wanted 'delivered'", Name.FLOWS),
        ("trace.arp", "trace.arp is 'it ended in table 120'", Name.TRACE),
    ],
)
def test_a_proof_that_failed_ended_at_what_it_found(fact, text, named):
    facts = {"findings": [fact], "finding": text}
    failed = record(
        wiring=None, open=False, phase=Phase.FAILED,
        error=error("E_WIRE_TIMEOUT", "verify", facts=facts),
    )  # fmt: skip
    assert explain(subject([], record=failed, report=None, asked=False)).broken is named


def test_what_is_read_says_it_better_than_the_last_attempt():
    failed = record(phase=Phase.FAILED, error=error("E_WIRE_TIMEOUT", "verify"))
    found = explain(subject(gone("device"), record=failed))
    assert found.broken is Name.DEVICE
    assert "the last attempt ended with E_WIRE_TIMEOUT" in found.action


@pytest.mark.parametrize(
    ("changes", "finding_", "words"),
    [
        ({}, finding("ovsdb.tag", 7, 1), "repairs it"),
        ({}, THEIRS, "not for vifd to mend"),
        ({"repair": False}, finding("ovsdb.tag", 7, 1), "repair is off"),
        ({"held": True}, finding("ovsdb.tag", 7, 1), "vifctl reconcile --approve"),
        ({"unwritable": "the disk is full"}, finding("ovsdb.tag", 7, 1), "the disk is full"),
        ({"unwritable": "the disk is full"}, THEIRS, "not for vifd to mend"),
        ({"running": False, "asked": False}, finding("ovsdb.tag", 7, 1), "and repairs it"),
        ({"running": False, "asked": False}, THEIRS, "reads the port back"),
    ],
)
def test_what_vifd_does_about_it(changes, finding_, words):
    assert words in explain(subject([finding_], **changes)).action


def test_a_status_that_the_network_service_does_not_take():
    waiting = {"waiting": "ACTIVE", "service": "neutron"}
    found = explain(subject([CARRIER], **waiting))
    assert found.healthy
    assert step(found, Name.REPORT).state is State.UNKNOWN
    found = explain(subject([CARRIER], **waiting, unreachable="no route to host"))
    assert found.broken is Name.REPORT
    assert "no route to host" in found.sentence


# --- age and past ---------------------------------------------------------------------------------


def test_an_old_report_says_so():
    found = explain(subject([finding("ovsdb.tag", 7, 1)], asked=False, unasked="it is busy"))
    assert (found.asked, found.unasked, found.age) == (False, "it is busy", 1.0)
    assert found.sentence.startswith("port: when it was last read: ")


def event(name: str, at: float, **more: Any) -> Event:
    return Event(int(at), name, at, port=port_id(1), **more)


def test_what_happened_before_and_how_long_it_lasted():
    drift = [replace(finding("ovsdb.tag", 77, 1))]
    events = [
        event("degraded", 90.0, findings=drift),
        event("live", 50.5),
        event("degraded", 50.2, findings=drift),
        event("live", 31.0),
        event("failed", 30.0, error={"code": "E_X", "message": "no"}),
        event("plugging", 29.0),
    ]
    found = explain(subject([CARRIER], events=events)).history
    assert [(h.event, h.text, h.lasted and round(h.lasted, 1)) for h in found] == [
        ("degraded", "ovsdb.tag was 77, wanted 1", None),
        ("degraded", "ovsdb.tag was 77, wanted 1", 0.3),
        ("failed", "E_X: no", 1.0),
    ]


def test_frames_of_others_are_told_and_no_fault():
    facts = [
        Evidence("flows.port", 11, 11, source="openflow"),
        Evidence("flows.frames", {"let in": 4, "refused as spoofed": 2}, source="openflow"),
        Evidence("flows.foreign", ["table=0, priority=200 actions=drop"], source="openflow"),
    ]
    found = explain(subject(facts))
    flows = step(found, Name.FLOWS)
    assert (found.healthy, flows.state) == (True, State.UNKNOWN)
    assert "4 let in, 2 refused as spoofed" in flows.sentence
    assert "priority=200" in flows.sentence


def test_the_report_is_kept_as_it_was():
    report = Report([CARRIER], at=7.0)
    found = explain(subject([], report=report, asked=False))
    assert (found.read_at, found.age) == (7.0, 93.0)


def test_a_flow_of_others_breaks_the_proof_as_well():
    steps = explain(subject([finding("trace.dhcp", FOREIGN)])).steps
    (trace,) = [s for s in steps if s.name is Name.TRACE]
    assert (trace.state, trace.because) == (State.BROKEN, Name.FLOWS)


def test_steps_that_could_not_be_read_this_time_are_not_reached():
    good = [Evidence(f, 1, 1, source=s) for f, s in (("flows.port", "openflow"),
                                                     ("trace.dhcp", "trace"))]  # fmt: skip
    known = record(report=Report(good, at=1.0))
    found = explain(subject(gone("switch.bridge", "ovsdb.port"), record=known))
    states = {s.name: s.state for s in found.steps}
    assert states[Name.FLOWS] is states[Name.TRACE] is State.SKIPPED
    assert states[Name.PORT] is State.BROKEN


# --- trunks ---------------------------------------------------------------------------------------


def test_a_parent_tells_of_its_sub_ports_and_of_other_tags():
    well, lame = (
        Relative(port=port_id(n), name="", vlan=n, status="", problem=p)
        for n, p in ((2, ""), (3, "it is gone"))
    )
    facts = [CARRIER, Evidence("flows.port", 15, 15, source="openflow"),
             Evidence("trunk.tags", [5, 6, 7, 9], source="openflow")]  # fmt: skip
    found = explain(subject(facts, trunk=Family(trunk_id="t", sub_ports=[well, lame])))
    assert found.healthy
    assert found.sentence == "nothing is broken; of its 2 sub-ports 1 is not as wanted"
    said = step(found, Name.FLOWS).sentence
    assert "VLANs of sub-ports that are here: 5-7, 9; a frame with any other tag is dropped" in said
    found = explain(subject(facts, trunk=Family(trunk_id="t", sub_ports=[well])))
    assert found.sentence == "nothing is broken"


def test_a_sub_port_has_no_device_and_is_reached_by_its_parent():
    child = record(doc=decode(document(2, port__device_owner=SUB_PORT_OWNER)))
    facts = [Evidence("trunk.parent", "port p", source="journal"),
             Evidence("trunk.vlan", 101, source="journal"),
             Evidence("trunk.device", "tap1 stands", source="ovsdb")]  # fmt: skip
    found = explain(subject(facts, record=child))
    assert found.healthy
    said = {s.name: s.sentence for s in found.steps}
    assert said[Name.PORT] == "its frames come and go by VLAN 101 of port p; tap1 stands"
    assert "none of its own" in said[Name.DEVICE]
    assert "guest is that of its parent" in said[Name.GUEST]
    assert said[Name.NAMES].startswith("no device, bridge br-int")
