"""The whole table of frames, judged by evaluators of both back ends: no difference."""

from __future__ import annotations

import pytest

from functional.spoofing.case import ANY, BARE, FABRIC, FREE, PAIRS, PEER, PLAIN, Case, attachments
from functional.spoofing.table import cases
from support.nftmachine import Machine
from unit.ovs.world import BRIDGE, UPLINK, World, port
from vifd.nft.objects import Element
from vifd.testing import flowkey
from vifd.testing.attachments import flat
from vifd.testing.nft import FakeNft
from vifd_linuxbridge import ruleset
from vifd_linuxbridge.ruleset import TABLE

STATIONS = {"peer": PEER, "uplink": FABRIC}


def wrong(table: list[Case], passes) -> list[str]:
    return [str(case) for case in table if passes(case) is not case.passes]


def test_the_table_is_large_and_says_where_its_rules_come_from():
    table = cases(PEER)
    assert len(table) > 600
    assert all(case.source for case in table)
    told = [(case.sender, case.frame) for case in table]
    assert len(set(told)) == len(told), "each frame once"
    assert {case.sender for case in table} == {PLAIN, PAIRS, ANY, BARE, FREE}


@pytest.mark.parametrize("where", STATIONS)
def test_open_vswitch(where):
    ports = {mac: port(a) for mac, a in attachments(segment=flat()).items()}
    world = World(ports.values())
    target = UPLINK if where == "uplink" else ports[PEER.mac].ofport

    def passes(case: Case) -> bool:
        number = ports[case.sender.mac].ofport
        journey = world.pipeline.send(BRIDGE, {**flowkey.parse(case.frame), "in_port": number})
        assert not journey.failure
        assert not journey.ambiguous, case
        return target in {sent.port for sent in journey.sent}

    assert not wrong(cases(STATIONS[where]), passes)


@pytest.mark.parametrize("where", STATIONS)
def test_linux_bridge(where):
    nft = FakeNft()
    taps = {mac: f"tap{n}" for n, mac in enumerate(attachments())}
    filters = [ruleset.port_filter(a, taps[mac], opened=True) for mac, a in attachments().items()]
    nft.apply(TABLE, ruleset.install(filters, ruleset.base(False)))
    elements = {
        (s.name, key): Element(s.name, key, verdict)
        for s in ruleset.SETS
        for key, verdict in nft.list_elements(TABLE, s.name).items()
    }
    machine = Machine(nft.list_chains(TABLE), elements)
    out = "eth1" if where == "uplink" else taps[PEER.mac]

    def passes(case: Case) -> bool:
        return machine.forwards(case.frame, taps[case.sender.mac], out)

    assert not wrong(cases(STATIONS[where]), passes)
