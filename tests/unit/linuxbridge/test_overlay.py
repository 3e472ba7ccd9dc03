"""Who is behind which tunnel endpoint, as entries of a VXLAN device; on fakes."""

from __future__ import annotations

import pytest

from contract import linuxbridge as make
from vifd.drivers import FdbEntry
from vifd.model.sets import SetKind
from vifd.testing.attachments import attachment
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd.testing.sets import MemorySets
from vifd_linuxbridge.overlay import NOBODY, moves

OWN, ONE, TWO = "192.0.2.1", "192.0.2.2", "192.0.2.3"
MACS = [f"fa:16:3e:00:01:{n:02x}" for n in range(9)]
DEVICE = "vxlan-77"


def endpoint(address, *macs):
    return {"address": address, "ports": [{"mac_address": m, "ip_addresses": []} for m in macs]}


class Host:
    def __init__(self, **options):
        self.machine, self.sets = FakeMachine(), MemorySets()
        self.machine.links.place("eth0", kind="", mtu=1600, up=True, carrier=True)
        self.machine.bridging.add_address("eth0", f"{OWN}/24")
        settings = {"local_ip": OWN, **options}
        self.ledger = Ledger(
            self.machine.drivers, lambda host: make.plugin(host, **settings), sets=self.sets
        )
        self.ledger.plugin.probe()
        self.wanted = attachment(1, segment={"network_type": "vxlan", "segmentation_id": 77})

    def say(self, *endpoints):
        change = self.sets.put(
            SetKind.FORWARDING, self.wanted.network.id, endpoints=list(endpoints)
        )
        return set(self.ledger.plugin.refresh([change]))

    def plug(self):
        assert not self.ledger.plug(self.wanted)
        assert not self.ledger.findings()

    @property
    def entries(self):
        return {(e.mac, e.remote) for e in self.machine.bridging.tunnels(DEVICE)}


@pytest.fixture
def host():
    return Host()


def test_the_entries_are_those_of_the_set(host):
    host.say(endpoint(ONE, MACS[1], MACS[2]), endpoint(TWO), endpoint(OWN, MACS[3]),
             endpoint("2001:db8::1", MACS[4]))  # fmt: skip
    host.plug()
    assert host.entries == {(NOBODY, ONE), (NOBODY, TWO), (MACS[1], ONE), (MACS[2], ONE)}


def test_a_set_counts_and_not_the_configuration():
    host = Host(vxlan_remotes=["192.0.2.9"])
    host.plug()
    assert host.entries == {(NOBODY, "192.0.2.9")}
    assert host.say(endpoint(ONE, MACS[1])) == {host.wanted.id}
    assert host.entries == {(NOBODY, ONE), (MACS[1], ONE)}
    assert not host.ledger.findings()


def test_a_group_of_the_configuration_hears_nothing_of_a_network_whose_endpoints_are_known():
    host = Host(vxlan_group="239.1.1.1")
    host.say(endpoint(ONE))
    host.plug()
    assert host.machine.bridging.get([DEVICE])[DEVICE].group == ""


def test_a_change_is_the_difference(host):
    host.say(endpoint(ONE, *MACS[1:5]))
    host.plug()
    host.machine.bridging.calls.clear()
    assert host.say(endpoint(ONE, *MACS[1:4]), endpoint(TWO, MACS[4])) == {host.wanted.id}
    assert host.machine.bridging.calls.count("change_fdb") == 1
    assert (MACS[4], TWO) in host.entries
    assert (MACS[4], ONE) not in host.entries
    assert host.say(endpoint(ONE, *MACS[1:4]), endpoint(TWO, MACS[4])) == set()
    again = host.ledger.restart()
    assert not again.plug(host.wanted)
    assert not again.findings()


def test_drift_is_found_and_mended(host):
    host.say(endpoint(ONE, MACS[1]))
    host.plug()
    host.machine.bridging.change_fdb(delete=[FdbEntry(DEVICE, MACS[1], ONE)])
    assert set(host.ledger.findings()) == {"uplink.forwarding"}
    assert not host.ledger.carry_out([host.wanted.id])
    assert not host.ledger.findings()


def test_an_address_that_moves_is_never_without_a_place():
    before = {FdbEntry(DEVICE, MACS[1], ONE), FdbEntry(DEVICE, NOBODY, ONE)}
    after = {FdbEntry(DEVICE, MACS[1], TWO), FdbEntry(DEVICE, NOBODY, TWO)}
    add, gone = moves(before, after)
    assert set(add) == after
    assert gone == [FdbEntry(DEVICE, NOBODY, ONE)]
