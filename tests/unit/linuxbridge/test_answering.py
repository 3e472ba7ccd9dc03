"""What is answered of guests' questions on bridges of the kernel."""

from __future__ import annotations

import pytest

from contract import linuxbridge as make
from vifd.drivers.nft.objects import ANSWERED
from vifd.model.sets import Endpoint, Forwarding, Reachable
from vifd.plugin import ANSWERS, Health
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_linuxbridge.answering import known

NET = attachment(1).network.id


def behind(host: int, *numbers: int) -> Endpoint:
    ports = tuple(Reachable(mac_address=mac(n), ip_addresses=(ipv4(n), ipv6(n))) for n in numbers)
    return Endpoint(address=f"192.0.2.{host}", ports=ports)


def of(*endpoints: Endpoint, local: tuple[int, ...] = (1,)) -> set[str]:
    there = known(Forwarding(id=NET, endpoints=endpoints), [attachment(n) for n in local])
    return {ip for ip in there if ":" not in ip}


def test_what_is_elsewhere_is_answered():
    there = known(Forwarding(id=NET, endpoints=(behind(2, 2),)), [attachment(1)])
    assert there == {ipv4(2): mac(2), ipv6(2): mac(2)}


def test_what_two_claim_or_a_port_here_is_not():
    assert of(behind(2, 2, 3), behind(3, 4)) == {ipv4(2), ipv4(3), ipv4(4)}
    shared = Reachable(mac_address=mac(9), ip_addresses=(ipv4(2),))
    assert of(behind(2, 2, 3), Endpoint(address="192.0.2.3", ports=(shared,))) == {ipv4(3)}
    assert of(behind(2, 2, 3), local=(1, 3)) == {ipv4(2)}


@pytest.mark.parametrize("address", ["10.0.0.0/24", "fe80::1", "224.0.0.1", "0.0.0.0"])
def test_what_is_nobodys_own_is_not(address):
    port = Reachable(mac_address=mac(2), ip_addresses=(address,))
    forwarding = Forwarding(id=NET, endpoints=(Endpoint(address="192.0.2.2", ports=(port,)),))
    assert known(forwarding, [attachment(1)]) == {}


@pytest.mark.parametrize(
    ("on", "cannot", "reason"),
    [(False, "", "arp_responder is off"), (True, "", None), (True, "no fwd", "no fwd")],
)
def test_the_probe_says_whether_it_can(on, cannot, reason):
    machine = FakeMachine()
    machine.nft.no_answers = cannot
    ledger = Ledger(machine.drivers, lambda host: make.plugin(host, arp_responder=on))
    probe = ledger.plugin.probe()
    assert (reason or "") in probe.unenforced.get(ANSWERS, "")
    assert (ANSWERS in probe.unenforced) is (reason is not None)
    assert (probe.health is Health.DEGRADED) is bool(on and cannot)
    assert machine.nft.list_answers(ANSWERED) == ([], [])
