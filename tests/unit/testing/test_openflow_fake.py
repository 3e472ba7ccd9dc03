"""The fake flow tables: the suite of all drivers, and the faults that can be asked for."""

import pytest

from support.openflow_suite import OpenFlowSuite, TracerSuite
from vifd.errors import BackendError, BackendUnavailable
from vifd.openflow.flow import flow
from vifd.testing.openflow import FakeOpenFlow
from vifd.testing.tracer import FakeTracer


@pytest.fixture
def bridge() -> str:
    return "br-int"


@pytest.fixture
def openflow(bridge: str) -> FakeOpenFlow:
    return FakeOpenFlow(lambda: {bridge})


@pytest.fixture
def tracer(openflow: FakeOpenFlow) -> FakeTracer:
    return FakeTracer(openflow)


class TestOpenFlow(OpenFlowSuite):
    pass


class TestTracer(TracerSuite):
    pass


def test_a_dropped_connection_keeps_the_flows(openflow: FakeOpenFlow, bridge: str) -> None:
    news: list[tuple[str, bool]] = []
    openflow.subscribe(lambda name, connected: news.append((name, connected)))
    openflow.apply(bridge, add=[flow(0, 1, 1)])
    openflow.drop_connection(bridge)
    assert openflow.generation(bridge) == 1
    assert openflow.dump(bridge, 1) == [flow(0, 1, 1)]
    assert news == [(bridge, True), (bridge, False), (bridge, True)]


def test_a_restart_loses_the_flows(openflow: FakeOpenFlow, bridge: str) -> None:
    openflow.apply(bridge, add=[flow(0, 1, 1)])
    openflow.stop()
    with pytest.raises(BackendUnavailable):
        openflow.dump(bridge, 1)
    openflow.start()
    assert openflow.generation(bridge) == 1
    assert openflow.dump(bridge, 1) == []


def test_a_removed_bridge_loses_the_flows() -> None:
    bridges = {"br-int"}
    openflow = FakeOpenFlow(lambda: bridges)
    openflow.apply("br-int", add=[flow(0, 1, 1)])
    bridges.clear()
    with pytest.raises(BackendUnavailable):
        openflow.dump("br-int", 1)
    bridges.add("br-int")
    assert openflow.dump("br-int", 1) == []


def test_a_subscriber_may_call_back(openflow: FakeOpenFlow, bridge: str) -> None:
    seen: list[int] = []
    openflow.subscribe(lambda name, _: seen.append(openflow.generation(name)))
    openflow.apply(bridge, add=[flow(0, 1, 1)])
    openflow.drop_connection(bridge)
    assert seen == [0, 1, 1]


def test_a_refused_change(openflow: FakeOpenFlow, bridge: str) -> None:
    openflow.fail_next("apply")
    with pytest.raises(BackendError):
        openflow.apply(bridge, add=[flow(0, 1, 1)])
    assert openflow.dump(bridge, 1) == []
    openflow.apply(bridge, add=[flow(0, 1, 1)])


def test_a_lost_commit_may_have_been_done(openflow: FakeOpenFlow, bridge: str) -> None:
    openflow.fail_next("commit")
    with pytest.raises(BackendUnavailable) as caught:
        openflow.apply(bridge, add=[flow(0, 1, 1)])
    assert caught.value.facts["outcome"] == "unknown"
    assert openflow.dump(bridge, 1) == [flow(0, 1, 1)]


def test_an_error_of_ones_own(openflow: FakeOpenFlow, tracer: FakeTracer, bridge: str) -> None:
    mine = BackendError("mine")
    openflow.fail_next("dump", mine)
    with pytest.raises(BackendError) as caught:
        openflow.dump(bridge, 1)
    assert caught.value is mine
    tracer.fail_next(mine)
    with pytest.raises(BackendError) as caught:
        tracer.trace(bridge, "in_port=1")
    assert caught.value is mine
    with pytest.raises(ValueError, match="no such step"):
        openflow.fail_next("nonsense")


def test_frames_are_remembered(openflow: FakeOpenFlow, bridge: str) -> None:
    openflow.packet_out(bridge, b"frame", in_port=3, actions=b"")
    assert openflow.sent == [(bridge, b"frame", 3, b"")]
    openflow.fail_next("packet_out")
    with pytest.raises(BackendError):
        openflow.packet_out(bridge, b"frame", in_port=3, actions=b"")
