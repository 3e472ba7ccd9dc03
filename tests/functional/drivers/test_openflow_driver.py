"""The OpenFlow driver on a real switch."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.openflow_suite import ONE, OpenFlowSuite, TracerSuite, port_flows
from vifd.drivers.openflow import LocalOpenFlow
from vifd.drivers.tracer import LocalTracer
from vifd.errors import BackendError, BackendUnavailable
from vifd.openflow import action as act
from vifd.openflow import field as fd
from vifd.openflow.flow import flow
from vifd.openflow.monitor import Event, Update
from vifd.testing import frames
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

MAC = "fa:16:3e:00:00:05"


def add_bridge(ovs: PrivateOvs, name: str) -> None:
    ovs.vsctl("add-br", name, "--", "set", "bridge", name, OF_DATAPATH,
              "fail_mode=secure", "protocols=OpenFlow10,OpenFlow14,OpenFlow15")  # fmt: skip


@pytest.fixture
def bridge(ovs: PrivateOvs) -> str:
    add_bridge(ovs, "br-int")
    return "br-int"


@pytest.fixture
def openflow(ovs: PrivateOvs) -> Iterator[LocalOpenFlow]:
    driver = LocalOpenFlow(str(ovs.rundir))
    yield driver
    driver.close()


@pytest.fixture
def tracer(ovs: PrivateOvs) -> Iterator[LocalTracer]:
    driver = LocalTracer(str(ovs.rundir))
    yield driver
    driver.close()


class TestOpenFlow(OpenFlowSuite):
    pass


class TestTracer(TracerSuite):
    pass


# --- what others do -------------------------------------------------------------------------------


def test_changes_by_others_are_told_and_ours_are_not(
    ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str
) -> None:
    news: list[Update] = []
    openflow.watch(lambda _, updates: news.extend(updates))
    openflow.apply(bridge, add=port_flows(ONE, 5))
    ovs.ofctl("add-flow", bridge, "cookie=0xbad,table=3,priority=7,actions=drop")
    openflow.apply(bridge, add=port_flows(ONE + 1, 6))
    ovs.ofctl("mod-flows", bridge, "table=3,actions=NORMAL")
    ovs.ofctl("del-flows", bridge, f"cookie={ONE:#x}/-1,table=0")
    until(lambda: len(news) >= 3, "the switch told of all changes")
    assert news == [
        Update(Event.ADDED, 3, 7, 0xBAD),
        Update(Event.MODIFIED, 3, 7, 0xBAD),
        Update(Event.REMOVED, 0, 100, ONE),
    ]
    openflow.apply(bridge, delete=port_flows(ONE + 1, 6))
    assert len(openflow.dump(bridge, ONE)) == len(port_flows(ONE, 5)) - 1
    assert len(news) == 3


# --- size and concurrency -------------------------------------------------------------------------


def test_five_thousand_flows_in_one_bundle(openflow: LocalOpenFlow, bridge: str) -> None:
    many = [f for port in range(1, 1001) for f in port_flows(ONE + port, port)]
    openflow.apply(bridge, add=many)
    assert set(openflow.dump(bridge, 0, 0)) == set(many)
    openflow.apply(bridge, delete=many)
    assert openflow.dump(bridge, 0, 0) == []


def test_refusals_by_the_thousand(openflow: LocalOpenFlow, bridge: str) -> None:
    bad = [flow(60, 1, ONE, goto=2, reg1=n) for n in range(3000)]
    with pytest.raises(BackendError) as caught:
        openflow.apply(bridge, add=bad)
    assert caught.value.facts["flow"] == str(bad[0])
    assert openflow.dump(bridge, 0, 0) == []


def test_callers_on_many_threads(ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str) -> None:
    add_bridge(ovs, "br-two")

    def work(number: int) -> bool:
        where = (bridge, "br-two")[number % 2]
        mine = port_flows(ONE + number, number + 1)
        for _ in range(10):
            openflow.apply(where, add=mine)
            seen = openflow.dump(where, ONE + number)
            openflow.apply(where, delete_cookies=[(ONE + number, fd.BY_NAME["tun_id"].full)])
            if set(seen) != set(mine) or openflow.dump(where, ONE + number):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_a_frame_is_sent(openflow: LocalOpenFlow, bridge: str) -> None:
    openflow.apply(bridge, add=[flow(0, 5, ONE, [act.in_port()], in_port=fd.LOCAL, eth_src=MAC)])
    frame = frames.arp_request(MAC, "10.0.0.1", "10.0.0.2")
    openflow.packet_out(bridge, frame, in_port=fd.LOCAL, actions=act.resubmit(None, 0))

    def counted() -> bool:
        return openflow.dump(bridge, ONE)[0].packets == 1

    until(counted, "the flow counted the frame")
    with pytest.raises(BackendError, match="packet out"):
        openflow.packet_out(bridge, frame, in_port=fd.LOCAL, actions=act.push_vlan(0x1234))


# --- losses ---------------------------------------------------------------------------------------


class News:
    """What the subscribers were told."""

    def __init__(self, openflow: LocalOpenFlow) -> None:
        self.told: list[tuple[str, bool]] = []
        self._change = threading.Condition()
        openflow.subscribe(self._on)

    def _on(self, bridge: str, connected: bool) -> None:
        with self._change:
            self.told.append((bridge, connected))
            self._change.notify_all()

    def wait(self, *told: tuple[str, bool]) -> None:
        with self._change:
            assert self._change.wait_for(lambda: self.told == list(told), 60), self.told


def test_a_crash_is_seen_at_once_and_mended(
    ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str
) -> None:
    news = News(openflow)
    openflow.apply(bridge, add=port_flows(ONE, 1))
    news.wait((bridge, True))
    before = openflow.generation(bridge)
    ovs.vswitchd.kill()
    news.wait((bridge, True), (bridge, False))
    assert openflow.generation(bridge) > before
    with pytest.raises(BackendUnavailable):
        openflow.dump(bridge, ONE)
    ovs.vswitchd.start()
    news.wait((bridge, True), (bridge, False), (bridge, True))
    assert openflow.generation(bridge) == before + 1
    assert openflow.dump(bridge, ONE) == []
    openflow.apply(bridge, add=port_flows(ONE, 1))
    assert set(openflow.dump(bridge, ONE)) == set(port_flows(ONE, 1))


def test_a_bridge_that_comes_later(ovs: PrivateOvs, openflow: LocalOpenFlow) -> None:
    news = News(openflow)
    with pytest.raises(BackendUnavailable):
        openflow.dump("br-late", ONE)
    add_bridge(ovs, "br-late")
    news.wait(("br-late", True))
    assert openflow.generation("br-late") == 0
    assert openflow.dump("br-late", ONE) == []


def test_a_bridge_that_is_removed(ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str) -> None:
    news = News(openflow)
    openflow.dump(bridge, ONE)
    ovs.vsctl("del-br", bridge)
    news.wait((bridge, True), (bridge, False))
    openflow.forget(bridge)
    assert openflow.generation(bridge) == 0


def test_a_switch_that_hangs_costs_the_deadline(ovs: PrivateOvs, bridge: str) -> None:
    openflow = LocalOpenFlow(str(ovs.rundir), timeout=2)
    try:
        openflow.dump(bridge, ONE)
        ovs.vswitchd.pause()
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="no answer in time"):
            openflow.apply(bridge, add=port_flows(ONE, 1))
        assert 1.9 < time.monotonic() - began < 30
        assert openflow._link(bridge)._silent  # whoever comes next waits for a second at most
        ovs.vswitchd.resume()
        until(lambda: answered(openflow, bridge), "the switch answers again")
        assert openflow.dump(bridge, ONE) == []
        assert not openflow._link(bridge)._silent
    finally:
        ovs.vswitchd.resume()
        openflow.close()


def answered(openflow: LocalOpenFlow, bridge: str) -> bool:
    try:
        openflow.dump(bridge, ONE)
    except BackendUnavailable:
        return False
    return True


def test_a_bridge_without_openflow_14(ovs: PrivateOvs, openflow: LocalOpenFlow) -> None:
    ovs.vsctl("add-br", "br-old", "--", "set", "bridge", "br-old", OF_DATAPATH,
              "protocols=OpenFlow10")  # fmt: skip
    with pytest.raises(BackendError, match=r"does not speak OpenFlow 1\.4") as caught:
        openflow.dump("br-old", ONE)
    assert "OpenFlow14" in caught.value.hint


def test_a_closed_driver_says_so(openflow: LocalOpenFlow, bridge: str) -> None:
    openflow.dump(bridge, ONE)
    openflow.close()
    openflow.close()
    with pytest.raises(BackendUnavailable, match="closed"):
        openflow.dump(bridge, ONE)
