"""What is counted of a port's frames: each by what became of it, each way, IPv4 and IPv6."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from functional.groups.packets import Station, first
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.table import GROUP, PEER, PORT, WIRE
from vifd.engine.sums import Sums
from vifd.model.counted import Count, Counters
from vifd.testing import frames as f
from vifd.testing.attachments import attachment
from vifd.testing.wait import until

STRANGER = Station(PORT.mac, "10.0.9.9", "fd00::9:9")
UDP = [{"direction": way, "ethertype": f"IPv{n}", "protocol": "udp"}
       for way in ("ingress", "egress") for n in (4, 6)]  # fmt: skip


class Counter:
    """The counters of a rig's ports, summed up as the daemon does."""

    def __init__(self, rig: Rig, plugin: str = "ovs") -> None:
        self.rig, self.plugin, self.sums = rig, plugin, Sums()

    def of(self, name: str) -> Counters:
        self.rig.take()  # a tap counts what its guest read
        record = self.rig.ledger.records[self.rig.names[name]]
        found = self.rig.ledger.plugin.counters([record.item()])
        for port_id, counted in found.items():
            self.sums.add(self.plugin, port_id, counted, time.time())
        known = self.sums.of(record.attachment.id, self.plugin)
        assert known is not None
        return known

    def has(self, name: str, before: Counters, sent: dict[str, Any], got: dict[str, Any]) -> None:
        """Wait until just these frames were counted since."""
        until(lambda: self.since(name, before) == (sent, got), f"{name}: {sent}, {got}",
              told=lambda: self.since(name, before))  # fmt: skip

    def since(self, name: str, before: Counters) -> tuple[dict[str, Any], dict[str, Any]]:
        now = self.of(name)
        ways = ((now.sent, before.sent), (now.received, before.received))
        sent, got = ({
            what: count for what, count in {
                "passed": (a.passed or Count()).less(b.passed or Count()),
                "offered": (a.offered or Count()).less(b.offered or Count()),
                **{r: a.refused[r].less(b.refused.get(r, Count())) for r in a.refused},
            }.items() if count.packets
        } for a, b in ways)  # fmt: skip
        return sent, got


@pytest.fixture(params=["fakes", "switch"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "fakes":
        with FakeRig() as rig:
            yield rig
    else:
        with RealRig(request.getfixturevalue("ovs"), request.getfixturevalue("wire")) as real:
            yield real


@pytest.fixture
def counter(rig: Rig) -> Counter:
    rig.say(GROUP, *UDP)
    rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
    return Counter(rig)


def total(*frames: bytes) -> Count:
    return Count(len(frames), sum(map(len, frames)))


@pytest.mark.parametrize("version", [4, 6])
def test_each_frame_is_counted_by_what_became_of_it(rig, counter, version):
    before, other = counter.of("port"), counter.of("peer")
    allowed = [first("udp:53", PORT, PEER, version, 900 + n) for n in range(3)]
    refused = [first("tcp:80", PORT, PEER, version, 900 + n) for n in range(2)]
    spoofed = [first("udp:53", STRANGER, PEER, version, 900 + n) for n in range(4)]
    nowhere = [first("udp:53", PORT, WIRE, version, 900)]
    tagged = [f.ethernet(PORT.mac, PEER.mac, 0x8100, b"\0\7\x08\0" + bytes(46))]
    for frame in (*allowed, *refused, *spoofed, *nowhere, *tagged):
        rig.throw("port", frame)
    inward = [first("udp:54", PEER, PORT, version, 700 + n) for n in range(5)]
    closed = [first("tcp:81", PEER, PORT, version, 700 + n) for n in range(6)]
    for frame in (*inward, *closed):
        rig.throw("peer", frame)

    sent = {"passed": total(*allowed), "no_rule": total(*refused), "spoofed": total(*spoofed),
            "no_way": total(*nowhere), "closed": total(*tagged)}  # fmt: skip
    counter.has("port", before, sent, {"passed": total(*inward), "no_rule": total(*closed)})
    # to whom it went it was given, and what another's rules refused has passed here
    counter.has("peer", other, {"passed": total(*inward, *closed)}, {"passed": total(*allowed)})


@pytest.mark.parametrize("version", [4, 6])
def test_what_a_closed_port_sends_is_counted_as_that(rig, counter, version):
    before = counter.of("port")
    spoofed = first("udp:53", STRANGER, PEER, version, 900)
    rig.throw("port", spoofed)
    counter.has("port", before, {"spoofed": total(spoofed)}, {})
    record = rig.ledger.records[rig.names["port"]]
    rig.ledger.plugin.deactivate([record.item()])
    record.open = False
    frames = [first("udp:53", PORT, PEER, version, 900 + n) for n in range(2)]
    for frame in frames:
        rig.throw("port", frame)
    counter.has("port", before, {"spoofed": total(spoofed), "closed": total(*frames)}, {})
    rig.ledger.plugin.activate([record.item()])
    record.open = True
    rig.settle()
    rig.throw("port", frames[0])
    counter.has("port", before, {"passed": total(frames[0]), "spoofed": total(spoofed),
                                 "closed": total(*frames)}, {})  # fmt: skip


def test_a_repair_and_a_restart_lose_nothing(rig, counter):
    before = counter.of("port")
    spoofed = [first("udp:53", STRANGER, PEER, 4, 900 + n) for n in range(3)]
    for frame in spoofed:
        rig.throw("port", frame)
    counter.has("port", before, {"spoofed": total(*spoofed)}, {})
    openflow = rig.ledger.drivers.openflow
    flows = [x for x in openflow.dump("br-int", 0, 0) if x.table == 140 and x.packets]
    openflow.apply("br-int", delete=flows)
    assert not rig.ledger.carry_out([*rig.ledger.records])
    counter.has("port", before, {"spoofed": total(*spoofed)}, {})
    assert counter.of("port").resets == before.resets + 1
    rig.throw("port", spoofed[0])
    counter.has("port", before, {"spoofed": total(*spoofed, spoofed[0])}, {})
    rig.restart()
    counter.has("port", before, {"spoofed": total(*spoofed, spoofed[0])}, {})


def test_reading_changes_nothing(rig, counter):
    state = rig.state()
    counter.of("port")
    assert rig.state() == state
    rig.ledger.unplug()
    assert rig.ledger.plugin.counters([]) == {}
