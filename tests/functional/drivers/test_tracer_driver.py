"""The control socket of a real switch; and the evaluator of flow tables held against it."""

import random
import threading
import time
from collections.abc import Iterator

import pytest

from vifd.drivers.openflow import LocalOpenFlow
from vifd.drivers.tracer import LocalTracer
from vifd.errors import BackendError, BackendUnavailable
from vifd.openflow import action as act
from vifd.openflow import trace
from vifd.openflow.flow import Flow, flow
from vifd.openflow.match import TAGGED, UNTAGGED, Value
from vifd.testing import packet
from vifd.testing.openflow import FakeOpenFlow
from vifd.testing.pipeline import Visit
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.tracer import FakeTracer


@pytest.fixture
def switch(ovs: PrivateOvs) -> PrivateOvs:
    netdev = (OF_DATAPATH, "fail_mode=secure")
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", *netdev)
    for number in range(1, 5):
        ovs.vsctl("add-port", "br-int", f"p{number}", "--", "set", "interface", f"p{number}",
                  "type=internal", f"ofport_request={number}")  # fmt: skip
    return ovs


@pytest.fixture
def tracer(ovs: PrivateOvs) -> Iterator[LocalTracer]:
    driver = LocalTracer(str(ovs.rundir), timeout=60)
    yield driver
    driver.close()


@pytest.fixture
def openflow(ovs: PrivateOvs) -> Iterator[LocalOpenFlow]:
    driver = LocalOpenFlow(str(ovs.rundir))
    yield driver
    driver.close()


def test_any_command(switch: PrivateOvs, tracer: LocalTracer) -> None:
    assert tracer.call("version").startswith("ovs-vswitchd")
    assert "ofproto/trace" in tracer.call("list-commands")
    with pytest.raises(BackendError, match="not a valid command") as caught:
        tracer.call("no/such")
    assert caught.value.facts["command"] == "no/such"
    assert tracer.call("version")


def test_a_large_answer(switch: PrivateOvs, openflow: LocalOpenFlow, tracer: LocalTracer) -> None:
    openflow.apply("br-int", add=[flow(0, 1, n, reg0=n) for n in range(1, 3001)])
    answer = tracer.call("bridge/dump-flows", "br-int")
    assert answer.count("priority=1,reg0=") == 3000


def test_the_daemon_restarts(switch: PrivateOvs, tracer: LocalTracer) -> None:
    assert tracer.call("version")
    switch.vswitchd.kill()
    with pytest.raises(BackendUnavailable):
        tracer.call("version")
    switch.vswitchd.start()
    assert tracer.call("version")
    switch.vswitchd.kill()
    switch.vswitchd.start()
    assert tracer.call("version")


def test_the_daemon_hangs(switch: PrivateOvs) -> None:
    tracer = LocalTracer(str(switch.rundir), timeout=2)
    try:
        assert tracer.call("version")
        switch.vswitchd.pause()
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="no answer in time"):
            tracer.call("version")
        assert 1.9 < time.monotonic() - began < 30
        switch.vswitchd.resume()
        tracer = LocalTracer(str(switch.rundir))
        assert tracer.call("version")
    finally:
        switch.vswitchd.resume()
        tracer.close()


def test_callers_on_many_threads(switch: PrivateOvs, tracer: LocalTracer) -> None:
    wrong: list[str] = []

    def work(number: int) -> None:
        for _ in range(20):
            answer = tracer.trace("br-int", f"in_port={number},arp")
            if f"in_port={number}," not in answer:
                wrong.append(answer)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- the evaluator --------------------------------------------------------------------------------

MACS = ["fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"]
IPS = ["10.0.0.1", "10.0.0.2", "10.0.1.1"]


def random_match(dice: random.Random, table: int) -> dict[str, Value]:
    choices: list[dict[str, Value]] = [
        {}, {"in_port": dice.randint(1, 3)}, {"eth_src": dice.choice(MACS[:2])},
        {"eth_dst": dice.choice([*MACS, "01:00:00:00:00:00/01:00:00:00:00:00"])},
        {"vlan_vid": dice.choice([UNTAGGED, TAGGED, 5, 6])}, {"eth_type": 0x0806},
        {"eth_type": 0x0806, "arp_spa": dice.choice([*IPS, "10.0.0.0/24"])},
        {"eth_type": 0x0800, "ipv4_src": dice.choice([*IPS, "10.0.0.0/23"])},
        {"eth_type": 0x0800, "ip_proto": 17, "udp_dst": dice.choice([67, 68])},
    ]  # fmt: skip
    if table:
        choices += [{"reg5": dice.randint(0, 2)}, {"reg6": (dice.randint(0, 3), 1)}] * 2
    return {**dice.choice(choices), **dice.choice(choices[:5])}


def random_flow(dice: random.Random, number: int) -> Flow:
    table = dice.choice([0, 0, 1, 2, 3])
    match = random_match(dice, table)
    choices = [
        act.output(dice.randint(1, 4)), act.set_field("reg5", dice.randint(0, 2)),
        act.set_field("reg6", dice.randint(0, 3)), act.set_field("eth_dst", dice.choice(MACS)),
        act.in_port(), act.push_vlan() + act.set_vlan(dice.choice([5, 6])),
    ]  # fmt: skip
    if table < 3:
        choices.append(act.resubmit(None, dice.randint(table + 1, 3)))
    actions = dice.sample(choices, dice.randint(0, 3))
    if match.get("vlan_vid", UNTAGGED) != UNTAGGED:
        actions.insert(0, act.pop_vlan())  # only where the match says that there is a tag
    goto = dice.choice([None, *range(table + 1, 4), *range(table + 1, 4)])
    return flow(table, 1000 - number, 0x7600 + number, actions, goto=goto, **match)


def random_packet(dice: random.Random) -> str:
    words = [f"in_port={dice.randint(1, 3)}"]
    kind = dice.choice(["arp", "ip", "udp", ""])
    words += [kind] if kind else ["dl_type=0x88cc"]
    words += [f"dl_vlan={dice.choice([5, 6])}"] if dice.random() < 0.4 else []
    words += [f"dl_src={dice.choice(MACS[:2])}", f"dl_dst={dice.choice(MACS)}"]
    words += [f"arp_spa={dice.choice(IPS)}"] if kind == "arp" else []
    words += [f"nw_src={dice.choice(IPS)}"] if kind in ("ip", "udp") else []
    words += [f"udp_dst={dice.choice([66, 67, 68])}"] if kind == "udp" else []
    return ",".join(words)


@pytest.mark.parametrize("seed", range(12))
def test_the_evaluator_goes_the_way_of_the_switch(
    switch: PrivateOvs, openflow: LocalOpenFlow, tracer: LocalTracer, seed: int
) -> None:
    dice = random.Random(seed)
    flows = [random_flow(dice, number) for number in range(40)]
    openflow.apply("br-int", add=flows)
    fake = FakeOpenFlow()
    fake.install("br-int", *flows)
    steps = 0
    for _ in range(60):
        words = random_packet(dice)
        real = trace.parse(tracer.trace("br-int", words))
        ours = trace.parse(FakeTracer(fake).trace("br-int", words))
        assert way(ours) == way(real), words
        assert ours.dropped == real.dropped, words
        journey = fake.pipeline().send("br-int", packet.parse(words))
        assert len([v for _, v in journey.log if isinstance(v, Visit)]) == len(real.hops)
        steps += len(real.hops)
    assert steps > 60


def way(seen: trace.Trace) -> list[tuple[int, int | None, int, str]]:
    return [(hop.table, hop.priority, hop.cookie, hop.match) for hop in seen.hops]
