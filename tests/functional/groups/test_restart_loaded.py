"""A host with a hundred ports, three hundred rules and two tunnels: the daemon comes back, changes
no flow, and what was established goes on; the switch comes back and has every flow again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from functional.groups.packets import ACK, SYN, Station, tcp
from functional.tunnels.hosts import VifdHost, behind, joined
from functional.tunnels.traffic import segment
from support.flowmonitor import FlowMonitor
from vifd.model.setreading import read_set
from vifd.model.sets import SecurityGroup, SetKey, SetKind
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.census import Census
from vifd.testing.guests import TapGuest, assert_reaches
from vifd.testing.wait import until

GROUP = "11111111-0000-4000-8000-000000000001"
PORTS, RULES, FAR = 100, 300, 200


def rules() -> SecurityGroup:
    """What may come, port by port; nothing may be begun from here."""
    said = [
        {"id": f"22222222-0000-4000-8000-{n:012}", "direction": "ingress", "protocol": "tcp",
         "port_range_min": n, "port_range_max": n}
        for n in range(1000, 1000 + RULES)
    ]  # fmt: skip
    found = read_set({"rules": said}, SetKey(SetKind.SECURITY_GROUP, GROUP))
    assert isinstance(found, SecurityGroup)
    return found


@dataclass
class Loaded:
    """The host, another one, a guest on each, and a connection between the two: its packets by
    name."""

    here: VifdHost
    there: VifdHost
    one: TapGuest
    far: TapGuest
    asked: bytes
    answer: bytes


def segments_of(flags_asked: int, flags_answer: int) -> tuple[bytes, bytes]:
    """TCP, because what is known of it does not end while a slow machine works."""
    one, far = (Station(mac(n), ipv4(n), ipv6(n)) for n in (1, FAR))
    return tcp(far, one, 4, 900, 1234, flags_asked), tcp(one, far, 4, 1234, 900, flags_answer)


@pytest.fixture
def loaded(leaks: Census) -> Iterator[Loaded]:
    syn, taken = segments_of(SYN, SYN | ACK)
    asked, answer = segments_of(ACK, ACK)
    with joined(1, 2) as (here, there):
        here.sets.groups[GROUP] = rules()
        for number in (1, 2):
            here.know(behind(2, FAR + number - 1), number=number)
            there.know(behind(1, number), number=number)
        segments = {1: segment(), 2: segment("geneve", 102)}
        here.plug(*(
            attachment(n, network=1 + (n % 2 == 0), segment=segments[1 + (n % 2 == 0)], mtu=1300,
                       security_groups=[GROUP])
            for n in range(1, PORTS + 1)
        ))  # fmt: skip
        one = here.guest(attachment(1).id)
        (far,) = there.guests(attachment(FAR, segment=segments[1], mtu=1300))
        for sender, receiver, frame in ((far, one, syn), (one, far, taken), (far, one, asked)):
            assert_reaches(sender, receiver, frame)
        yield Loaded(here, there, one, far, asked, answer)


def test_a_restart_changes_no_flow_and_what_is_established_goes_on(loaded):
    here = loaded.here
    with FlowMonitor(here.ovs, "br-int") as monitor:
        here.restart()
        assert not here.findings()
        here.heal()
        for number in (1, 2):
            assert here.know(behind(2, FAR + number - 1), number=number) == set()
    assert not monitor.events, monitor.lines
    assert_reaches(loaded.one, loaded.far, loaded.answer)
    assert_reaches(loaded.far, loaded.one, loaded.asked)


def test_a_switch_that_was_killed_has_every_flow_again(loaded):
    """What the userspace datapath knew of connections is gone with it: one goes on with the next
    packet that the rules let begin it."""
    here = loaded.here
    before = flows(here)
    here.ovs.vswitchd.kill()
    here.ovs.vswitchd.start()
    until(lambda: here.readable("br-int"), "its flow tables can be read")
    here.space.run(here.ledger.plugin.reconnected, "br-int")
    here.meet([loaded.there])
    here.ovs.wait_for_carrier("up", loaded.one.name)
    here.heal()
    assert flows(here) == before
    assert not here.findings()
    assert_reaches(loaded.far, loaded.one, loaded.asked)
    assert_reaches(loaded.one, loaded.far, loaded.answer)


def flows(host: VifdHost) -> set[str]:
    """Every flow, by what it is."""
    found = host.space.run(host.drivers.openflow.dump, "br-int", 0, 0)
    return {str(one) for one in found}
