"""What the kernel counted of ports, as counters."""

from __future__ import annotations

from vifd.drivers import Tap
from vifd.model.counted import Count, Reason
from vifd.openflow.counts import Traffic
from vifd.testing.attachments import attachment
from vifd.testing.machines import FakeMachine
from vifd_linuxbridge import counting

CHAINS = {"tap1-out": (1, 10), "tap1-from": (2, 20), "tap1-in": (3, 30), "tap1-to": (4, 40)}


def test_each_chain_is_a_reason_and_rules_count_no_ethernet_header():
    found = counting.counted("tap1", Traffic(9, 8, 900, 800), CHAINS)
    assert found.sent.offered == Count(9, 900)
    assert found.sent.refused == {Reason.NO_RULE: Count(1, 24), Reason.LIMITED: Count(2, 48)}
    assert found.sent.untold == {Reason.SPOOFED, Reason.CLOSED}
    assert found.received.passed == Count(8, 800)
    assert found.received.refused == {Reason.NO_RULE: Count(3, 72), Reason.LIMITED: Count(4, 96)}
    assert not found.received.untold


def test_a_port_without_such_chains_is_refused_nothing():
    found = counting.counted("tap1", Traffic(1, 1, 60, 60), {})
    assert set(found.sent.refused.values()) == set(found.received.refused.values()) == {Count()}


def test_many_ports_are_read_in_pieces_and_those_without_a_device_left_out():
    machine = FakeMachine()
    made = [Tap(f"tap{n}", "fa:16:3e:00:00:01", 1450, "vifd:x") for n in range(1, 100) if n != 50]
    machine.links.create_taps(made)
    machine.links.count("tap99", received=60)
    devices = {attachment(n).id: f"tap{n}" for n in range(1, 100)}
    found = counting.read(machine.links, machine.nft, devices)
    assert found.keys() == devices.keys() - {attachment(50).id}
    assert found[attachment(99).id].sent.offered == Count(1, 60)
    assert machine.nft.calls.count("counted") == 4
