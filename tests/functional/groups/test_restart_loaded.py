"""A host with a hundred ports, three hundred rules and two tunnels: the daemon comes back, changes
no flow, and what was established goes on."""

from __future__ import annotations

from functional.groups.packets import ACK, SYN, Station, tcp
from functional.tunnels.hosts import behind, joined
from functional.tunnels.traffic import segment
from support.flowmonitor import FlowMonitor
from vifd.model.setreading import read_set
from vifd.model.sets import SecurityGroup, SetKey, SetKind
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import assert_reaches

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


def test_a_restart_changes_no_flow_and_what_is_established_goes_on(leaks):
    one_, far_ = (Station(mac(n), ipv4(n), ipv6(n)) for n in (1, FAR))

    def segments_of(flags_asked: int, flags_answer: int) -> tuple[bytes, bytes]:
        """TCP, because what is known of it does not end while a slow machine works."""
        return (tcp(far_, one_, 4, 900, 1234, flags_asked),
                tcp(one_, far_, 4, 1234, 900, flags_answer))  # fmt: skip

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
        with FlowMonitor(here.ovs, "br-int") as monitor:
            here.restart()
            assert not here.findings()
            here.heal()
            for number in (1, 2):
                assert here.know(behind(2, FAR + number - 1), number=number) == set()
        assert not monitor.events, monitor.lines
        assert_reaches(one, far, answer)
        assert_reaches(far, one, asked)
