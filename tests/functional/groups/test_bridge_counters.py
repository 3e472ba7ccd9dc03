"""What is counted of a port's frames on the kernel's bridge, each way, IPv4 and IPv6."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functional.groups.packets import first
from functional.groups.rig_bridge import FakeBridgeRig, RealBridgeRig
from functional.groups.table import GROUP, PEER, PORT
from functional.groups.test_counters import STRANGER, UDP, Counter, total
from vifd.drivers.nft.objects import TABLE, Change
from vifd.testing.attachments import attachment
from vifd.testing.wait import until
from vifd_linuxbridge.groupbase import egress_chain


@pytest.fixture(params=["fakes", "bridge"])
def plain(request):
    """Ports without groups, which every kernel can serve."""
    made = FakeBridgeRig() if request.param == "fakes" else None
    with made or RealBridgeRig(request.getfixturevalue("cable")) as rig:
        rig.plug(port=attachment(1), peer=attachment(2))
        yield Counter(rig, "linuxbridge")


def judged(rig, *frames):
    """What the kernel counts behind its tracking, which takes the padding of IPv4 off."""
    if isinstance(rig, FakeBridgeRig):
        return total(*frames)
    ends = [14 + int.from_bytes(x[16:18]) if x[12:14] == b"\x08\x00" else len(x) for x in frames]
    return total(*(x[:end] for x, end in zip(frames, ends, strict=True)))


@pytest.fixture
def rig(bridge_rig):
    return bridge_rig


@pytest.fixture
def counter(rig):
    rig.say(GROUP, *UDP)
    rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
    return Counter(rig, "linuxbridge")


@pytest.mark.parametrize("version", [4, 6])
def test_frames_of_ports_without_groups_are_counted(plain, version):
    before, other = plain.of("port"), plain.of("peer")
    passed = [first("udp:53", PORT, PEER, version, 900 + n) for n in range(3)]
    spoofed = [first("udp:53", STRANGER, PEER, version, 900 + n) for n in range(4)]
    for frame in (*passed, *spoofed):
        plain.rig.throw("port", frame)
    inward = [first("tcp:80", PEER, PORT, version, 700 + n) for n in range(5)]
    for frame in inward:
        plain.rig.throw("peer", frame)
    sent = {"offered": total(*passed, *spoofed)}
    plain.has("port", before, sent, {"passed": total(*inward)})
    plain.has("peer", other, {"offered": total(*inward)}, {"passed": total(*passed)})
    told = plain.of("port")
    assert told.sent.passed is None
    assert "closed or spoofed cannot be told" in told.note


@pytest.mark.parametrize("version", [4, 6])
def test_each_frame_is_counted_as_far_as_it_can_be_told(rig, counter, version):
    before, other = counter.of("port"), counter.of("peer")
    allowed = [first("udp:53", PORT, PEER, version, 900 + n) for n in range(3)]
    refused = [first("tcp:80", PORT, PEER, version, 900 + n) for n in range(2)]
    spoofed = [first("udp:53", STRANGER, PEER, version, 900 + n) for n in range(4)]
    for frame in (*allowed, *refused, *spoofed):
        rig.throw("port", frame)
    inward = [first("udp:54", PEER, PORT, version, 700 + n) for n in range(5)]
    closed = [first("tcp:81", PEER, PORT, version, 700 + n) for n in range(6)]
    for frame in (*inward, *closed):
        rig.throw("peer", frame)

    sent = {"offered": total(*allowed, *refused, *spoofed), "no_rule": judged(rig, *refused)}
    counter.has(
        "port", before, sent, {"passed": judged(rig, *inward), "no_rule": judged(rig, *closed)}
    )
    counter.has(
        "peer", other, {"offered": total(*inward, *closed)}, {"passed": judged(rig, *allowed)}
    )


def test_a_repair_and_a_restart_lose_nothing(rig, counter):
    before = counter.of("port")
    refused = [first("tcp:80", PORT, PEER, 4, 900 + n) for n in range(3)]
    for frame in refused:
        rig.throw("port", frame)
    told = {"offered": total(*refused), "no_rule": judged(rig, *refused)}
    counter.has("port", before, told, {})
    # somebody changes the rules of the port: they are made anew, and count from zero
    device = rig.ledger.records[rig.names["port"]].names.device
    chain = rig.nft.list_chains(TABLE)[egress_chain(device)]
    rig.nft.apply(TABLE, Change(chains=[replace(chain, rules=chain.rules[1:])]))
    assert not rig.ledger.carry_out([*rig.ledger.records])
    counter.has("port", before, told, {})
    assert counter.of("port").resets == before.resets + 1
    rig.restart()
    rig.throw("port", refused[0])
    more = (*refused, refused[0])
    told = {"offered": total(*more), "no_rule": judged(rig, *more)}
    counter.has("port", before, told, {})


def test_what_a_closed_port_sends_is_only_counted_as_sent(plain):
    rig, counter = plain.rig, plain
    before, other = counter.of("port"), counter.of("peer")
    record = rig.ledger.records[rig.names["port"]]
    rig.ledger.plugin.deactivate([record.item()])
    record.open = False
    frames = [first("udp:53", PORT, PEER, 4, 900 + n) for n in range(3)]
    for frame in frames:
        rig.throw("port", frame)
    counter.has("port", before, {"offered": total(*frames)}, {})
    counter.has("peer", other, {}, {})


def test_reading_changes_nothing(plain):
    rig, counter = plain.rig, plain
    state = rig.state()
    counter.of("port")
    assert rig.state() == state
    assert not rig.ledger.findings()
    rig.ledger.unplug()
    assert rig.ledger.plugin.counters([]) == {}


def test_what_is_over_a_limit_is_counted_as_that(cable):
    # so low that the slowest machine sends more
    limits = [{"type": "bandwidth_limit", "max_kbps": 10, "max_burst_kbps": 10, "direction": way}
              for way in ("egress", "ingress")]  # fmt: skip
    with RealBridgeRig(cable) as rig:
        rig.plug(port=attachment(1, qos_policy={"rules": limits}), peer=attachment(2))
        counter = Counter(rig, "linuxbridge")

        def limited(sender: str, frame: bytes, way: str) -> bool:
            for _ in range(500):
                rig.throw(sender, frame)
            found = getattr(counter.of("port"), way).refused["limited"]
            assert found.bytes == found.packets * len(frame)
            return bool(found.packets)

        out, back = (first("udp:53", a, b, 4, 900) for a, b in ((PORT, PEER), (PEER, PORT)))
        until(lambda: limited("port", out, "sent"), "more was sent than the limit")
        assert not counter.of("port").received.refused["limited"].packets
        until(lambda: limited("peer", back, "received"), "more was given than the limit")
