"""Sub-ports on bridges of the kernel, on fakes: drift, refusals, what is left and what is told."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from contract import linuxbridge as make
from functional.trunks.documents import parent, sub_port, told_apart
from support.bpf import verdict
from vifd.drivers import MARK, VlanSpec
from vifd.plugin import Host
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac, port_id
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_linuxbridge import ruleset
from vifd_linuxbridge.guarding import OPEN, SHUT, admitted, guard, trunk_guard
from vifd_linuxbridge.ruleset import TABLE

TAP, SUB = "tap00000001-00", "sub00000002-00"


class Trunked(Ledger):
    """A parent and a sub-port of it."""

    machine: FakeMachine


@pytest.fixture
def host():
    machine = FakeMachine()
    ledger = Trunked(machine.drivers, lambda h: make.plugin(h, serve_local=True))
    ledger.plugin.probe()
    assert not ledger.plug(parent(1, (2, 101)), told_apart(sub_port(2, 7)))
    ledger.machine = machine
    yield ledger
    assert not ledger.unplug()
    assert not machine.links.marked(MARK)


# --- the guard of a parent, judged by an evaluator ------------------------------------------------


def tagged(vlan, frame=None, kind=b"\x81\0"):
    raw = frame or f.udp(mac(1), mac(5), ipv4(1), ipv4(5))
    return raw[:12] + kind + vlan.to_bytes(2, "big") + raw[12:]


@pytest.mark.parametrize("secured", [True, False])
@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("vlans", [(), (101,), (101, 300, 4094), tuple(range(1, 600))])
def test_a_parent_admits_the_tags_of_its_sub_ports(secured, opened, vlans):
    wanted = attachment(1, port_security_enabled=secured)
    own = ruleset.port_filter(wanted, TAP, opened=opened)
    program = trunk_guard(own, vlans)
    assert admitted(program) == set(vlans)
    for vlan in {1, 100, 101, 102, 300, 599, 600, 4093, 4094, *vlans[:3]}:
        # also a priority, which is no part of the number
        for tci in (vlan, vlan | 0xE000):
            assert verdict(program, tagged(tci)) == (vlan in vlans), vlan
            assert not verdict(program, tagged(tci, kind=b"\x88\xa8"))
    plain = guard(own)
    mine, lie = (f.udp(mac(n), mac(5), ipv4(n), ipv4(5)) for n in (1, 9))
    for frame in (mine, lie, tagged(0), f.arp_request(mac(1), ipv4(9), ipv4(5))):
        assert verdict(program, frame) == verdict(plain, frame)
    assert verdict(program, mine) == opened
    assert verdict(program, lie) == (opened and not secured)


def test_what_is_no_parents_admits_nothing():
    for program in (None, SHUT, OPEN, guard(ruleset.port_filter(attachment(1), TAP, opened=True))):
        assert admitted(program) == frozenset()
    # an address that ends in a VLAN's number is none
    near = attachment(1, allowed_address_pairs=[{"ip_address": "fd00::65"}])
    assert admitted(guard(ruleset.port_filter(near, TAP, opened=True))) == frozenset()


# --- drift ----------------------------------------------------------------------------------------


def _gone(m):
    m.links.drop(SUB)


def _out(m):
    m.bridging.release([SUB])


def _down(m):
    m.links.set(SUB, up=False)


def _smaller(m):
    m.links.set(SUB, mtu=1400)


def _renumbered(m):
    m.links.drop(SUB)
    m.bridging.make(VlanSpec(SUB, f"{MARK}{port_id(2)}", 1450, TAP, 102))


def _another_mac(m):
    m.links.set(SUB, mac="02:00:00:00:00:77")


def _unguarded(m):
    m.bridging.unguard([SUB])


def _refused_by_its_parent(m):
    m.bridging.unguard([TAP])


def _flushed(m):
    m.nft.delete_table(TABLE)


@pytest.mark.parametrize("drift", [
    _gone, _out, _down, _smaller, _renumbered, _another_mac, _unguarded, _refused_by_its_parent,
    _flushed,
])  # fmt: skip
def test_drift_is_found_and_mended(host, drift):
    before = host.machine.bridging.get([SUB])[SUB]
    drift(host.machine)
    assert host.findings(port_id(2))
    assert not host.carry_out([*host.records])
    assert not host.findings()
    now = host.machine.bridging.get([SUB])[SUB]
    same = {"ifindex": before.link.ifindex}
    assert replace(now, link=replace(now.link, **same)) == before


def test_a_tap_that_is_made_anew_gets_its_sub_ports_again(host):
    host.machine.links.drop(TAP)
    assert SUB not in host.machine.links.names
    assert "trunk.device" in host.findings(port_id(2))
    assert not host.carry_out([port_id(1)])
    assert not host.findings()


# --- what cannot be -------------------------------------------------------------------------------


def refusals(host, wanted):
    return [r.error for r in host.plugin.requires(wanted) if not r.met and r.error is not None]


def larger(wanted, mtu):
    return msgspec.structs.replace(wanted, network=msgspec.structs.replace(wanted.network, mtu=mtu))


def test_packets_that_the_parent_cannot_carry_are_refused(host):
    (error,) = refusals(host, larger(told_apart(sub_port(2, 7)), 1451))
    assert error.code == "E_TRUNK_CONFLICT"
    assert "packets of 1451 bytes on the network of the sub-port, and of 1450" in error.message
    (error,) = refusals(host, larger(parent(1, (2, 101)), 1400))
    assert "packets of 1450 bytes" in error.message
    assert not refusals(host, larger(told_apart(sub_port(2, 7)), 1300))


def test_a_trunk_is_of_one_plugin(host):
    record = host.records[port_id(1)]
    for one in ("wiring", "names"):
        moved = msgspec.structs.replace(getattr(record, one), plugin="ovs")
        setattr(record, one, moved)
    (error,) = refusals(host, told_apart(sub_port(2, 7)))
    assert error.code == "E_TRUNK_CONFLICT"
    assert "its parent, port 00000001" in error.message
    assert "of plugin ovs has no device for it" in str(host.findings(port_id(2))["trunk.parent"])
    for one in ("wiring", "names"):
        setattr(record, one, msgspec.structs.replace(getattr(record, one), plugin="linuxbridge"))


def test_a_port_does_not_become_a_sub_port_in_place(host):
    for number, wanted in ((1, sub_port(1, 1)), (2, attachment(2))):
        (error,) = host.plugin.obstacles(wanted, host.records[port_id(number)].wiring)
        assert error.code == "E_STATE_CONFLICT"


def test_a_tag_that_others_took_is_told_with_the_device(host):
    host.machine.bridging.add_way_out(VlanSpec("theirs", "", 1450, TAP, 102))
    assert not host.plug(parent(1, (2, 101), (3, 102)))
    (error,) = host.plug(told_apart(sub_port(3, 8))).values()
    assert (error.code, "taken by device theirs" in error.message) == ("E_PLUG_NAME_CLASH", True)
    host.machine.links.drop("theirs")
    assert not host.plug(told_apart(sub_port(3, 8)))


# --- what is told and left ------------------------------------------------------------------------


def test_a_sub_port_has_no_device_for_a_guests_definition(host):
    record = host.records[port_id(2)]
    vif = host.plugin.vif(record.attachment, record.wiring)
    assert (vif.type, vif.device) == ("trunk", "")
    assert TAP in host.plugin.leans_on(record.wiring)


def test_counters_are_those_of_its_own_device(host):
    host.machine.links.count(SUB, received=100)
    host.machine.links.count(TAP, received=104)
    items = [host.records[port_id(n)].item() for n in (1, 2)]
    told = host.plugin.counters(items)
    assert [told[port_id(n)].sent.offered.bytes for n in (1, 2)] == [104, 100]


def test_a_sub_port_is_announced_with_its_parent(host):
    assert not host.deactivate(port_id(1))
    assert not host.activate(port_id(1))
    host.plugin.announce([host.records[port_id(1)].item()])
    bridges = {bridge for bridge, _ in host.machine.bridging.said}
    assert len(bridges) == 2


def test_a_lost_record_is_taken_over_where_it_stands(host):
    before = host.machine.bridging.get([SUB])[SUB]
    former = host.records.pop(port_id(2))
    found = host.plugin.recall(former.attachment, host.entries())
    assert found is not None
    assert (found.wiring, found.open) == (former.wiring, True)
    assert not host.plug(former.attachment)
    assert host.machine.bridging.get([SUB])[SUB] == before


def test_an_orphan_goes_while_a_guest_is_on_the_trunk(host):
    """Its VLAN device has the carrier of the parent's tap."""
    links = host.machine.links
    for name in (TAP, SUB):
        links.place(name, kind=links.peek(name).kind, alias=links.peek(name).alias, carrier=True)
    wanted = host.plugin.expected({i: e for i, e in host.entries().items() if i == port_id(1)})
    found = [o for o in host.plugin.inventory() if o.key not in wanted]
    assert {o.kind for o in found if o.owner == port_id(2)} == {"device", "chain"}
    assert not any(o.holder for o in found if o.owner == port_id(2))
    assert not host.plugin.discard(found)
    assert SUB not in links.names
    assert TAP in links.names
    mine = [o for o in found if o.owner == port_id(2)]
    assert all("with its document" in e.message for e in host.plugin.restore(mine).values())


def test_without_8021q_a_parent_is_plugged_alone():
    machine = FakeMachine()
    machine.bridging._missing.add("vlan")
    plugin = make.plugin(Host(machine.drivers, dict), serve_local=True)
    assert "the kernel cannot make vlan" in plugin.probe().unenforced["trunk"]
