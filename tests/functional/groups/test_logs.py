"""Logs of security groups: which packets a plugin hands over, and which it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from functional.groups.packets import answer, first
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.rig_bridge import BridgeRig, FakeBridgeRig, RealBridgeRig
from functional.groups.table import GROUP, PEER, PORT
from functional.groups.test_counters import STRANGER
from vifd.model.sets import SetKey, SetKind
from vifd.plugin.logged import LogDesk, Seen
from vifd.policy import headers
from vifd.testing import frames as f
from vifd.testing.attachments import attachment
from vifd.testing.wait import until

LOG, OTHER = "44444444-0000-4000-8000-000000000001", "44444444-0000-4000-8000-000000000002"
SECOND = "11111111-0000-4000-8000-000000000002"
RULES = [{"direction": way, "ethertype": f"IPv{n}", "protocol": "udp"}
         for way in ("ingress", "egress") for n in (4, 6)]  # fmt: skip


class Told(NamedTuple):
    """A packet that was handed over, in short."""

    port: str
    direction: str
    verdict: str
    protocol: str
    ports: tuple[int, int] | None


class Desk:
    """What was handed over, and the rules by which it passed."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.desk = LogDesk(1000, 1000, self.seen.append)

    def told(self, rig: Rig) -> list[Told]:
        names = {port_id: name for name, port_id in rig.names.items()}
        return sorted(
            Told(names[s.port], str(s.direction), "ACCEPT" if s.accepted else "DROP",
                 headers.read(s.frame).name, headers.read(s.frame).ports)
            for s in self.seen
        )  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=[
    "fakes", "switch", "bridge on fakes",
    pytest.param("bridge", marks=pytest.mark.needs("bridge_tracking")),
])  # fmt: skip
def rig(request: pytest.FixtureRequest, desk: Desk) -> Iterator[Rig]:
    """The same on fakes and for real, on Open vSwitch and on the kernel's bridge."""
    if request.param.endswith("fakes"):
        made = FakeRig if request.param == "fakes" else FakeBridgeRig
        with made(logs=desk.desk) as rig:
            yield rig
        return
    if request.param == "bridge":
        with RealBridgeRig(request.getfixturevalue("cable"), logs=desk.desk) as bridge:
            yield bridge
        return
    ovs, wire = request.getfixturevalue("ovs"), request.getfixturevalue("wire")
    with RealRig(ovs, wire, logs=desk.desk) as real:
        yield real


@pytest.fixture
def ports(rig: Rig) -> Rig:
    """A port with a group, and a peer without."""
    rig.say(GROUP, *RULES)
    rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
    return rig


def again(rig: Rig, version: int) -> None:
    """A connection of three packets, each once the one before has come: two at once are both the
    first."""
    assert rig.arrives("port", first("udp:53", PORT, PEER, version, 901), "peer")
    assert rig.arrives("peer", answer("udp:53", PEER, PORT, version, 901), "port")
    rig.throw("port", first("udp:53", PORT, PEER, version, 901))


def send(rig: Rig, version: int) -> None:
    """A connection and a refused packet each way."""
    again(rig, version)
    rig.throw("port", first("tcp:80", PORT, PEER, version, 902))
    rig.throw("peer", first("udp:54", PEER, PORT, version, 903))
    rig.throw("peer", first("icmp:8/0", PEER, PORT, version, 904))


def wanted(event: str, version: int) -> list[Told]:
    ping = ("icmp", (8, 0)) if version == 4 else ("icmpv6", (128, 0))
    accepted = [Told("port", "egress", "ACCEPT", "udp", (901, 53)),
                Told("port", "ingress", "ACCEPT", "udp", (903, 54))]  # fmt: skip
    dropped = [Told("port", "egress", "DROP", "tcp", (902, 80)),
               Told("port", "ingress", "DROP", *ping)]  # fmt: skip
    return sorted({"ACCEPT": accepted, "DROP": dropped, "ALL": accepted + dropped}[event])


def comes_to(rig: Rig, desk: Desk, expected: list[Told]) -> None:
    until(lambda: desk.told(rig) == expected, f"{expected}", told=lambda: desk.told(rig))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("event", ["ACCEPT", "DROP", "ALL"])
def test_what_a_log_is_about_is_handed_over_and_nothing_else(
    ports: Rig, desk: Desk, event: str, version: int
) -> None:
    ports.put("log", LOG, event=event)
    assert ports.ledger.findings() == {}
    send(ports, version)
    comes_to(ports, desk, wanted(event, version))
    rules = {s.judge(packet, None) for s in desk.seen if s.accepted
             and (packet := headers.read(s.frame).packet(s.direction)) is not None}  # fmt: skip
    assert all(by is not None and by.rule is not None and by.rule.number == 17 for by in rules)


def test_without_a_log_not_one_flow_is_another(ports: Rig, desk: Desk) -> None:
    before = ports.state()
    sent = ports.changes()
    ports.put("log", LOG, enabled=False)
    ports.put("log", OTHER, target_id=ports.names["peer"])  # which has no groups
    assert ports.changes() == sent
    ports.put("log", LOG)
    assert before < ports.state() or before != ports.state()
    ports.tell(ports.sets.change(_key(LOG), None))
    assert ports.state() == before
    if not isinstance(ports, BridgeRig):
        assert ports.ledger.drivers.openflow.meters("br-int") == {}
    send(ports, 4)
    assert desk.seen == []


def test_only_ports_that_a_log_names(rig: Rig, desk: Desk) -> None:
    rig.say(GROUP, *RULES)
    rig.say(SECOND, *RULES)
    rig.plug(port=attachment(1, security_groups=[GROUP]),
             peer=attachment(2, security_groups=[SECOND]))  # fmt: skip
    rig.put("log", LOG, event="DROP", resource_id=GROUP)
    rig.put("log", OTHER, event="ACCEPT", target_id=rig.names["peer"])
    rig.throw("peer", first("udp:53", PEER, PORT, 4, 901))  # accepted by both
    rig.throw("peer", first("tcp:80", PEER, PORT, 4, 902))  # refused by the peer's groups
    rig.throw("port", first("tcp:80", PORT, PEER, 4, 903))
    rig.throw("port", first("udp:54", PORT, PEER, 4, 904))
    comes_to(rig, desk, sorted([
        Told("peer", "egress", "ACCEPT", "udp", (901, 53)),
        Told("peer", "ingress", "ACCEPT", "udp", (904, 54)),
        Told("port", "egress", "DROP", "tcp", (903, 80)),
    ]))  # fmt: skip


def test_between_two_ports_of_one_group_each_has_its_own(rig: Rig, desk: Desk) -> None:
    rig.say(GROUP, *RULES)
    rig.plug(port=attachment(1, security_groups=[GROUP]),
             peer=attachment(2, security_groups=[GROUP]))  # fmt: skip
    rig.put("log", LOG, event="ALL")
    again(rig, 4)
    comes_to(rig, desk, sorted([
        Told("port", "egress", "ACCEPT", "udp", (901, 53)),
        Told("peer", "ingress", "ACCEPT", "udp", (901, 53)),
    ]))  # fmt: skip


def test_groups_without_connections(rig: Rig, desk: Desk) -> None:
    rig.say(GROUP, *RULES, stateful=False)
    rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
    rig.put("log", LOG, event="ACCEPT")
    rig.throw("port", first("udp:53", PORT, PEER, 4, 901))
    rig.throw("peer", first("udp:54", PEER, PORT, 4, 902))
    comes_to(rig, desk, sorted([
        Told("port", "egress", "ACCEPT", "udp", (901, 53)),
        Told("port", "ingress", "ACCEPT", "udp", (902, 54)),
    ]))  # fmt: skip


def test_of_groups_with_and_without_connections_each_has_its_own(rig: Rig, desk: Desk) -> None:
    rig.say(GROUP, *RULES)
    rig.say(SECOND, *({**rule, "protocol": "tcp"} for rule in RULES), stateful=False)
    rig.plug(port=attachment(1, security_groups=[GROUP, SECOND]), peer=attachment(2))
    rig.put("log", LOG, event="ACCEPT")
    again(rig, 4)
    for _ in range(2):
        assert rig.arrives("port", first("tcp:80", PORT, PEER, 4, 902), "peer")
    each = Told("port", "egress", "ACCEPT", "tcp", (902, 80))
    comes_to(rig, desk, sorted([Told("port", "egress", "ACCEPT", "udp", (901, 53)), each, each]))


def test_what_is_no_matter_of_groups_is_in_no_log(ports: Rig, desk: Desk) -> None:
    ports.put("log", LOG, event="ALL")
    spoofed = first("udp:53", STRANGER, PEER, 4, 900)
    asked = f.arp_request(PORT.mac, PORT.ip4, PEER.ip4)
    for frame in (spoofed, asked, f.dhcp_discover(PORT.mac), first("tcp:80", PORT, PEER, 4, 902)):
        ports.throw("port", frame)
    comes_to(ports, desk, [Told("port", "egress", "DROP", "tcp", (902, 80))])


def test_frames_arrive_as_without_a_log(ports: Rig) -> None:
    ports.put("log", LOG, event="ALL")
    for version in (4, 6):
        assert ports.arrives("port", first("udp:53", PORT, PEER, version, 911), "peer")
        assert ports.arrives("peer", answer("udp:53", PEER, PORT, version, 911), "port")
        assert not ports.arrives("peer", first("tcp:80", PEER, PORT, version, 912), "port")
        assert not ports.arrives("port", first("tcp:80", PORT, PEER, version, 913), "peer")


def test_a_restart_changes_nothing_and_drift_is_mended(ports: Rig, desk: Desk) -> None:
    ports.put("log", LOG, event="ALL")
    ports.restart()
    ports.reconnect()
    assert not ports.ledger.carry_out([*ports.ledger.records])
    assert ports.changes() == 0
    assert ports.unlog() <= ports.ledger.findings().keys()
    assert not ports.ledger.carry_out([*ports.ledger.records])
    assert ports.ledger.findings() == {}
    send(ports, 4)
    # the plugin of before, which no test can end, hears them as well
    until(lambda: {*desk.told(ports)} == {*wanted("ALL", 4)}, "all of them")


def test_a_switch_without_meters_logs_nothing_and_says_so(desk: Desk) -> None:
    with FakeRig(logs=desk.desk) as rig:
        rig.machine.openflow.most_meters = 0
        rig.say(GROUP, *RULES)
        rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
        rig.put("log", LOG)
        assert rig.ledger.findings() == {}
        send(rig, 4)
        assert desk.seen == []
        assert "meters" in rig.ledger.plugin.probe().unenforced["security_group_log"]


@pytest.mark.parametrize("lacks", ["no_ear", "no_tracking"])
def test_a_kernel_that_hands_nothing_over_logs_nothing_and_says_so(desk: Desk, lacks: str) -> None:
    with FakeBridgeRig(logs=desk.desk) as rig:
        setattr(rig.machine.nft, lacks, "the kernel has no such thing")
        rig.restart()
        rig.say(GROUP, *RULES)
        rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
        before = rig.state()
        rig.put("log", LOG)
        assert rig.state() == before
        assert rig.ledger.findings() == {}
        send_all(rig)
        assert desk.seen == []
        assert "no such thing" in rig.ledger.plugin.probe().unenforced["security_group_log"]


def send_all(rig: Rig) -> None:
    for frame in (first("tcp:80", PORT, PEER, 4, 902), first("udp:53", PORT, PEER, 4, 902)):
        rig.throw("port", frame)


def _key(log: str) -> SetKey:
    return SetKey(SetKind.LOG, log)
