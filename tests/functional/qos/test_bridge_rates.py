"""Limits on a bridge of the kernel by measurement: what passes is what was asked for, whichever way
and whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from functional.linux_scene import LinuxScene
from functional.qos.cabled import Cabled
from functional.qos.measuring import (
    RATE,
    assert_marked,
    assert_not_limited,
    close_to,
    limit,
)
from functional.qos.stations import datagrams, rates, stream
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac

#: The kernel lets the bytes of a second come at once.
AT_ONCE = RATE * 1000


@pytest.fixture
def scene(leaks) -> Iterator[LinuxScene]:
    with LinuxScene() as scene:
        yield scene


@pytest.fixture
def stations(scene) -> Iterator[Callable[..., list[Cabled]]]:
    with contextlib.ExitStack() as stack:

        def make(*wanted):
            scene.plug(*wanted)
            return [Cabled(scene, stack, a) for a in wanted]

        yield make


def past_burst(found: Iterator[tuple[float, float]]) -> None:
    """What may come at once passes first."""
    for _ in range(2):
        next(found)


@pytest.mark.parametrize("direction", ["egress", "ingress"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_bandwidth_limit_holds(stations, direction, protocol):
    """Asked for 10 Mbit/s: within 10 %."""
    limited = attachment(1, qos_policy={"rules": [limit(direction)]})
    one, two = stations(limited, attachment(2))
    source, target = (one, two) if direction == "egress" else (two, one)
    passing = stream(source, target) if protocol == "tcp" else datagrams(source, target, 1300, 25e6)
    with passing:
        measured = rates(target)
        past_burst(measured)
        found = close_to(RATE * 1000, (bits for bits, _ in measured), AT_ONCE)
    assert found == pytest.approx(RATE * 1000, rel=0.1)


def test_the_other_way_is_not_limited(stations):
    one, two = stations(attachment(1, qos_policy={"rules": [limit("ingress")]}), attachment(2))
    assert_not_limited(one, two)


def test_a_rate_changes_while_frames_pass(scene, stations):
    one, two = stations(attachment(1, qos_policy={"rules": [limit("egress")]}), attachment(2))
    with datagrams(one, two, 1300, 25e6):
        measured = rates(two)
        past_burst(measured)
        (index,) = {d.link.ifindex for d in scene.bridging.get([one.name]).values()}
        scene.plug(attachment(1, qos_policy={"rules": [limit("egress", 5_000)]}))
        assert scene.bridging.get([one.name])[one.name].link.ifindex == index
        past_burst(measured)
        found = close_to(5e6, (bits for bits, _ in measured), 5e6)
    assert found == pytest.approx(5e6, rel=0.1)
    assert not scene.findings()


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_a_packet_rate_holds(stations, direction):
    """Asked for 1,000 packets a second: within 10 %."""
    rule = {"type": "packet_rate_limit", "max_kpps": 1, "direction": direction}
    one, two = stations(attachment(1, qos_policy={"rules": [rule]}), attachment(2))
    source, target = (one, two) if direction == "egress" else (two, one)
    with datagrams(source, target, 100, 2500 * 800):
        measured = rates(target)
        next(measured)
        found = close_to(1000, (packets for _, packets in measured), burst=800)
    assert found == pytest.approx(1000, rel=0.1)


def test_what_one_port_may_not_have_others_get(scene):
    """A flood to ports of which the first two may have next to nothing."""
    few = {"rules": [{"type": "packet_rate_limit", "max_kpps": 1, "max_burst_kpps": 1,
                      "direction": "ingress"},
                     {"type": "bandwidth_limit", "max_kbps": 1, "max_burst_kbps": 1,
                      "direction": "ingress"}]}  # fmt: skip
    one, two, three, four = scene.guests(
        attachment(1), attachment(2, qos_policy=few), attachment(3, qos_policy=few),
        attachment(4, port_security_enabled=False),
    )  # fmt: skip
    sent = [f.arp_request(mac(1), ipv4(1), f"10.0.9.{n}") + bytes(1300) for n in range(150)]
    for frame in sent:
        one.send(frame)
        assert four.recv(predicate=lambda got, frame=frame: got[:42] == frame[:42])
    for limited in (two, three):
        assert 1 <= len([x for x in limited.drain() if x[:42] in {s[:42] for s in sent}]) < 75


@pytest.mark.parametrize("secured", [True, False])
def test_packets_are_marked_and_congestion_is_kept(scene, secured):
    policy = {"rules": [{"type": "dscp_marking", "dscp_mark": 46}]}
    one, two = scene.guests(
        attachment(1, qos_policy=policy, port_security_enabled=secured), attachment(2)
    )
    assert_marked(one, two)


@pytest.mark.parametrize("mark", [0, 56])
def test_a_mark_is_read_back_as_it_is_set(scene, mark):
    scene.plug(attachment(1, qos_policy={"rules": [{"type": "dscp_marking", "dscp_mark": mark}]}))
    (report,) = scene.ledger.check(attachment(1).id).values()
    facts = {e.fact: e for e in report.evidence}
    assert facts["qos.dscp_marking.egress"].have == [mark]
    assert not scene.findings()
