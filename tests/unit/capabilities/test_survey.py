"""The sources put together on a host of fakes, and the events upon which they are read again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from support.hosttree import HostTree
from support.hypervisor import FakeHypervisor
from vifd.capabilities import names, survey
from vifd.capabilities.host import HostCapabilities
from vifd.plugin import Health, Probe
from vifd.testing.machines import FakeMachine
from vifd.testing.wait import PATIENCE


class Listener(HostCapabilities):
    """Notes what is suspected."""

    def __init__(self) -> None:
        super().__init__([])
        self.suspected: Counter[str] = Counter()

    def suspect(self, *sources: str) -> None:
        self.suspected.update(sources)


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


@pytest.fixture
def heard(machine: FakeMachine, tmp_path: Path) -> Listener:
    listener = Listener()
    HostTree(tmp_path).card("eth0", "0000:3b:00.0")
    survey.subscribe(listener, machine.drivers, FakeHypervisor(), str(tmp_path))
    return listener


def test_bridges_and_the_connection_concern_the_switch(machine, heard):
    machine.add_bridge("br-int")
    assert heard.suspected["openvswitch"] == 1
    machine.ovsdb.stop()
    assert heard.suspected["openvswitch"] == 2


def test_ports_of_the_switch_do_not(machine, heard):
    machine.add_bridge("br-int")
    before = heard.suspected.total()
    machine.ovsdb.decide("br-int")
    assert heard.suspected.total() == before


def test_links_of_cards_concern_them_and_taps_do_not(machine, heard):
    machine.links.place("eth0", kind="")
    machine.links.place("tap1", kind="tun")
    assert heard.suspected == {"interfaces": 1}


def test_a_guest_that_comes_or_goes_concerns_no_capability(machine, tmp_path):
    listener, hypervisor = Listener(), FakeHypervisor()
    survey.subscribe(listener, machine.drivers, hypervisor, str(tmp_path))
    hypervisor.define("one", ["tap1"])
    assert not listener.suspected


def test_every_source_reads_a_host_of_fakes(machine, tmp_path):
    tree = HostTree(tmp_path)
    tree.file("dev/net/tun", "")
    machine.add_bridge("br-int")
    machine.tracer.commands["dpif/show-dp-features"] = lambda bridge: "CT state: Yes"
    probes = {"ovs": Probe(Health.READY, facts={"bridge": {"name": "br-int"}})}
    found = survey.sources(
        machine.drivers, FakeHypervisor(), lambda: probes, dict, emulator="/nowhere",
        root=str(tmp_path),
    )  # fmt: skip
    host = HostCapabilities(found)
    host.start()
    inventory = host.refresh().result(PATIENCE)
    host.stop(60)
    assert {c.source for c in inventory} >= {source.name for source in found} - {"plugins"}
    assert inventory.has(names.OVS_CONNTRACK)
    assert inventory.get(names.QEMU).present is None
    assert {s["problem"] for s in host.sources()} == {None}


@pytest.mark.parametrize(
    ("facts", "bridges"),
    [({"bridge": "br-int"}, ["br-int"]), ({"bridge": {"name": "br-int"}}, ["br-int"]), ({}, [])],
)
def test_integration_bridges_as_plugins_tell_them(facts, bridges):
    assert survey.integration_bridges({"x": Probe(Health.READY, facts=facts)}) == bridges
