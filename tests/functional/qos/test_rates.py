"""Limits by measurement: what passes is what was asked for, whichever way and whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from functional.qos.measuring import (
    RATE,
    assert_marked,
    assert_not_limited,
    close_to,
    limit,
)
from functional.qos.stations import Station, datagrams, rates, stream
from functional.scene import Scene
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac


@pytest.fixture
def scene(ovs) -> Iterator[Scene]:
    with Scene(ovs) as scene:
        yield scene


@pytest.fixture
def stations(scene, ovs) -> Iterator[Callable[..., list[Station]]]:
    with contextlib.ExitStack() as stack:

        def make(*wanted):
            scene.plug(attachment(99))  # so that the bridge is there
            made = [Station(scene, stack, a) for a in wanted]
            scene.plug(*(station.attachment for station in made))
            scene.settle()
            return made

        yield make
        scene._remove_ports()
        scene.ledger.records.clear()


@pytest.mark.parametrize("direction", ["egress", "ingress"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_bandwidth_limit_holds(stations, direction, protocol):
    """Asked for 10 Mbit/s: within 10 %."""
    limited = attachment(1, qos_policy={"rules": [limit(direction)]})
    one, two = stations(limited, attachment(2))
    source, target = (one, two) if direction == "egress" else (two, one)
    passing = stream(source, target) if protocol == "tcp" else datagrams(source, target, 1300, 25e6)
    with passing:
        next(rates(target))  # the burst passes first
        found = close_to(RATE * 1000, (bits for bits, _ in rates(target)))
    assert found == pytest.approx(RATE * 1000, rel=0.1)


def test_the_other_way_is_not_limited(stations):
    one, two = stations(attachment(1, qos_policy={"rules": [limit("ingress")]}), attachment(2))
    assert_not_limited(one, two)


def test_a_rate_changes_while_frames_pass(scene, stations):
    one, two = stations(attachment(1, qos_policy={"rules": [limit("egress")]}), attachment(2))
    with datagrams(one, two, 1300, 25e6):
        next(rates(two))
        other = attachment(1, qos_policy={"rules": [limit("egress", 5_000)]})
        number = scene.number(other.id)
        made = structs.replace(one.attachment, port=other.port)
        scene.plug(made)
        assert scene.number(other.id) == number
        next(rates(two))
        found = close_to(5e6, (bits for bits, _ in rates(two)))
    assert found == pytest.approx(5e6, rel=0.1)
    assert not scene.findings()


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_a_packet_rate_holds(stations, direction):
    """Asked for 1,000 packets a second: within 10 %."""
    rule = {"type": "packet_rate_limit", "max_kpps": 1, "direction": direction}
    one, two = stations(attachment(1, qos_policy={"rules": [rule]}), attachment(2))
    source, target = (one, two) if direction == "egress" else (two, one)
    with datagrams(source, target, 100, 2500 * 800):
        next(rates(target))
        found = close_to(1000, (packets for _, packets in rates(target)), burst=800)
    assert found == pytest.approx(1000, rel=0.1)


def test_what_one_port_may_not_have_others_get(scene):
    """A flood to ports of which the first two may have next to nothing."""
    few = {"rules": [{"type": "bandwidth_limit", "max_kbps": 1, "max_burst_kbps": 1,
                      "direction": "ingress"}]}  # fmt: skip
    one, two, three, four = scene.guests(
        attachment(1), attachment(2, qos_policy=few), attachment(3, qos_policy=few),
        attachment(4, port_security_enabled=False),
    )  # fmt: skip
    scene.settle()
    sent = [f.arp_request(mac(1), ipv4(1), f"10.0.9.{n}") + bytes(1000) for n in range(50)]
    for frame in sent:
        one.send(frame)
        assert four.recv(predicate=lambda got, frame=frame: got[:42] == frame[:42])
    for limited in (two, three):
        assert 1 <= len([x for x in limited.drain() if x[:42] in {s[:42] for s in sent}]) < 25


@pytest.mark.parametrize("secured", [True, False])
def test_packets_are_marked_and_congestion_is_kept(scene, secured):
    policy = {"rules": [{"type": "dscp_marking", "dscp_mark": 46}]}
    one, two = scene.guests(
        attachment(1, qos_policy=policy, port_security_enabled=secured), attachment(2)
    )
    scene.settle()
    assert_marked(one, two)


def test_limits_survive_the_switch_and_the_daemon(ovs, scene):
    """A restart of the switch loses every meter, one of the daemon changes nothing."""
    rules = [limit("egress"), limit("ingress"), {"type": "dscp_marking", "dscp_mark": 46}]
    scene.plug(attachment(1, qos_policy={"rules": rules}), attachment(2))
    openflow = scene.machine.drivers.openflow
    before = openflow.meters("br-int")
    assert len(before) == 2
    scene.ledger = scene.ledger.restart()
    ages = ovs.ofctl("dump-meters", "br-int")
    assert not scene.ledger.carry_out([*scene.ledger.records])
    (switch,) = scene.ledger.plugin._switches.values()
    assert switch.readback.sent == 0
    assert ovs.ofctl("dump-meters", "br-int").splitlines()[1:] == ages.splitlines()[1:]
    ovs.ofctl("del-meters", "br-int")
    assert {"flows.port", "qos.bandwidth_limit.egress"} <= scene.findings(attachment(1).id).keys()
    scene.heal()
    assert openflow.meters("br-int") == before
