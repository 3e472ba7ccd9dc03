"""Which reports say that nothing passes, and what status follows."""

from __future__ import annotations

from typing import Any

import pytest

from unit.docs import document
from vifd.engine import outcome
from vifd.model import Evidence, Phase, PortRecord, Report, Status, Wiring, decode
from vifd.model.status import status_of
from vifd.plugin.severing import Severing
from vifd_linuxbridge.meanings import MEANINGS as OF_LINUX_BRIDGE
from vifd_ovs.bridge.meanings import MEANINGS as OF_OPEN_VSWITCH

#: By the first words of a case, whose facts they are.
LINUX = ("linux", "a bridge port", "IPv6")


def severed(case: str, report: Report) -> str:
    return (OF_LINUX_BRIDGE if case.startswith(LINUX) else OF_OPEN_VSWITCH).severing.first(report)


def finding(fact: str, have: Any = "x", *, repairable: bool = True) -> Evidence:
    return Evidence(fact, have, "y", ok=False, repairable=repairable)


CUT = {
    "tap gone": [finding("device", "missing")],
    "tap down": [finding("device.up", False)],
    "switch port gone": [finding("ovsdb.port", "missing")],
    "physical bridge gone": [finding("uplink.bridge", "missing")],
    "card gone": [finding("uplink.port", "none", repairable=False)],
    "patch": [finding("patch", "port x is missing")],
    "linux bridge gone": [finding("bridge", "missing")],
    "linux uplink gone": [finding("uplink", "missing")],
    "linux uplink elsewhere": [finding("uplink", "not a port of the bridge")],
    "policy of others": [finding("nft.others", ["chain c: drops what no rule accepts"])],
    "a bridge port that is blocked": [finding("bridge.stops", ["state is blocking, wanted x"])],
    "a switch that is stopped": [finding("flows", "ovs-vswitchd: x; nothing is forwarded: y")],
    "all traces lost": [finding("trace.dhcp"), finding("trace.arp")],
}
PASSING = {
    "nothing wrong": [Evidence("device", "tap", "tap")],
    "another MTU": [finding("device.mtu", 1300)],
    "IPv6 on a bridge": [finding("bridge", "IPv6 is on")],
    "one trace lost": [finding("trace.dhcp"), Evidence("trace.arp", "x", "x")],
    "no trace to be had": [finding("trace.dhcp", "no trace: no answer in time")],
    "the database does not answer": [finding("ovsdb.connected", False)],
    "a bridge port that is locked": [finding("bridge.stops", ["locked is on, wanted off"])],
    "one rule of others": [finding("nft.others", ["table bridge x, chain c: 1 rules refuse"])],
}


@pytest.mark.parametrize("case", CUT)
def test_nothing_passes(case: str) -> None:
    assert severed(case, Report(CUT[case])) == CUT[case][0].fact


@pytest.mark.parametrize("case", PASSING)
def test_something_passes(case: str) -> None:
    assert severed(case, Report(PASSING[case])) == ""


def test_both_back_ends_mind_filters_of_others() -> None:
    report = Report(CUT["policy of others"])
    assert severed("linux", report) == severed("", report) == "nft.others"


def test_a_plugin_without_facts_of_its_own_is_cut_by_its_device() -> None:
    assert Severing().first(Report(CUT["tap gone"])) == "device"
    assert Severing().first(Report(CUT["switch port gone"])) == ""
    assert Severing().first(Report([])) == ""


def test_a_plugin_says_its_own_before_its_library() -> None:
    own = Severing({"x": lambda _: False}, ("a",)).besides(Severing({"x": bool}, ("b",)))
    assert own.first(Report([finding("x")])) == ""
    assert own.first(Report([finding("a"), finding("b")])) == "a"
    assert own.first(Report([finding("a"), Evidence("b", 1, 1)])) == ""


@pytest.mark.parametrize(
    ("facts", "alone"),
    [(["ovsdb.connected"], True), (["ovsdb.connected", "flows"], False), (["flows"], False),
     ([], False)],
)  # fmt: skip
def test_a_database_without_answer_is_all_that_differs(facts: list[str], *, alone: bool) -> None:
    assert Report([finding(fact, False) for fact in facts]).unanswered is alone


def port() -> PortRecord:
    wiring = Wiring("fake", "fake", "tap1")
    return PortRecord(
        doc=decode(document(1)), plugin="fake", vif_type="fake", names=wiring, wiring=wiring,
        phase=Phase.LIVE, open=True, applied=True, report=Report([], at=1.0, passing=True),
    )  # fmt: skip


def test_flows_that_cannot_be_read_are_not_claimed() -> None:
    """Some frames may pass, nobody knows: neither ACTIVE nor cut, nor an error."""
    silent = finding("flows", "ovs-vswitchd: no answer within 3 s", repairable=False)
    seen = outcome.checked(Report([silent]), 2.0)(port())
    assert seen is not None
    assert (seen.phase, seen.open, status_of(seen)) == (Phase.DEGRADED, True, Status.BUILD)
    clean = outcome.checked(Report([], passing=True), 3.0)(seen)
    assert clean is not None
    assert (clean.phase, status_of(clean)) == (Phase.LIVE, Status.ACTIVE)


@pytest.mark.parametrize(
    ("repair", "repairable", "status"),
    [(True, True, Status.ACTIVE), (False, True, Status.DOWN), (True, False, Status.DOWN)],
)
def test_the_status_of_a_port_that_is_cut(repair: bool, repairable: bool, status: Status) -> None:
    """One that is about to be mended is not told to be down in between."""
    cut = [finding("device", "missing", repairable=repairable)]
    report = Report(cut, passing=True, severed=Severing().first(Report(cut)))
    seen = outcome.checked(report, 2.0, repair=repair)(port())
    assert seen is not None
    assert status_of(seen) is status
    clean = outcome.checked(Report([], passing=True), 3.0, repair=repair)(seen)
    assert clean is not None
    if status is Status.DOWN:
        assert (clean.phase, status_of(clean)) == (Phase.LIVE, Status.ACTIVE)
