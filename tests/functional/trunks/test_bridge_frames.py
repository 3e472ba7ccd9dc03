"""What passes over a parent's tap on bridges of the kernel, by frames."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from functional.linux_scene import LinuxScene
from functional.trunks import documents
from functional.trunks.bridge_machine import state
from functional.trunks.documents import Sub, told_apart
from functional.trunks.test_frames import assert_each_hears, hello, same, tagged
from vifd.model import Attachment
from vifd.testing import frames as f
from vifd.testing.attachments import attachment as plain
from vifd.testing.attachments import ipv4, mac, port_id
from vifd.testing.guests import assert_only, assert_reaches
from vifd.testing.wait import PATIENCE

pytestmark = pytest.mark.needs("kernel:8021q")


def parent(number: int, *subs: Sub, **changes: Any) -> Attachment:
    return told_apart(documents.parent(number, *subs, **changes))


def sub_port(number: int, network: int, **changes: Any) -> Attachment:
    return told_apart(documents.sub_port(number, network, **changes))


def attachment(number: int, **changes: Any) -> Attachment:
    return told_apart(plain(number, **changes))


def _source(frame: bytes) -> str:
    return f.mac_text(frame[6:12])


@pytest.fixture
def host(isolated: None) -> Iterator[LinuxScene]:
    with LinuxScene(serve_local=True) as scene:
        yield scene


@pytest.mark.parametrize("six", [False, True])
def test_each_vlan_is_a_port_on_its_network(host: LinuxScene, six: bool) -> None:
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 7), sub_port(3, 8))
    trunk = host.guest(port_id(1))
    ends = host.guests(attachment(4), attachment(5, network=7), attachment(6, network=8))
    ways = zip((1, 2, 3), (None, 101, 102), ends, (4, 5, 6), strict=True)
    for number, vlan, peer, theirs in ways:
        host.forwards(host.device(port_id(number)))
        sent = hello(number, theirs, vlan, six=six)
        assert_reaches(trunk, peer, sent, expect=same(hello(number, theirs, six=six)))
        answer = hello(theirs, number, six=six)
        expected = same(answer) if vlan is None else tagged(answer, vlan)
        assert_reaches(peer, trunk, answer, expect=expected)
    assert not host.findings()


def test_a_sub_port_is_held_to_its_own_addresses_and_tag(host: LinuxScene) -> None:
    """Also to those of the parent and of another sub-port it may not pretend; also without the
    packet filter. And a tag that no sub-port here has goes nowhere."""
    host.plug(parent(1, (2, 101), (3, 102), (9, 103)), sub_port(2, 7), sub_port(3, 7))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(attachment(5, network=7))
    lies = [f.udp(mac(n), mac(5), ipv4(n), ipv4(5), vlan=101) for n in (1, 3, 9)]
    lies.append(f.udp(mac(2), mac(5), ipv4(9), ipv4(5), vlan=101))
    arp = f.arp_request(mac(2), ipv4(9), ipv4(5))
    lies.append(arp[:12] + b"\x81\0\0\x65" + arp[12:])
    lies += [hello(n, 5, v) for n in (1, 2) for v in (103, 104, 4094)]
    service = hello(2, 5, 101)
    lies.append(service[:12] + b"\x88\xa8" + service[14:])
    lies.append(service[:12] + b"\x81\0\0\x65" + service[12:])
    truth = hello(2, 5, 101)
    assert_only(peer, forbidden=[(trunk, lie) for lie in lies], allowed=(trunk, truth),
                expect=same(hello(2, 5)))  # fmt: skip
    host.nft.delete_table("vifd")
    assert_only(peer, forbidden=[(trunk, lie) for lie in lies[:4]], allowed=(trunk, truth),
                expect=same(hello(2, 5)))  # fmt: skip
    host.heal()


def test_a_broadcast_comes_to_every_port_of_the_network_but_its_sender(host: LinuxScene) -> None:
    host.plug(parent(1, (2, 101), (3, 102)), sub_port(2, 1), sub_port(3, 1))
    trunk = host.guest(port_id(1))
    (peer,) = host.guests(attachment(5))
    for number in (2, 3):
        host.forwards(host.device(port_id(number)))
    sent = f.arp_request(mac(5), ipv4(5), "10.0.9.9")
    peer.send(sent)
    heard = [trunk.recv(predicate=lambda x: f.untagged(x) == sent) for _ in range(3)]
    assert {f.vlan_of(x) for x in heard} == {None, 101, 102}
    assert_each_hears(trunk, {1: None, 2: 101, 3: 102})


def test_whatever_becomes_of_the_parent_becomes_of_its_sub_ports(host: LinuxScene) -> None:
    ids = host.plug(parent(1, (2, 101)), sub_port(2, 7))
    trunk = host.guest(ids[0])
    (peer,) = host.guests(attachment(5, network=7))
    assert_reaches(trunk, peer, hello(2, 5, 101), expect=same(hello(2, 5)))
    assert not host.ledger.deactivate(ids[0])
    assert host.findings(ids[1])["trunk.carried"] == f"port {ids[0]} is closed"
    assert not host.ledger.activate(ids[0])
    assert not host.findings()
    host.forwards(host.device(ids[1]))
    trunk.drain()
    assert_reaches(peer, trunk, hello(5, 2), expect=tagged(hello(5, 2), 101))
    # a parent that is down carries its sub-ports all the same
    host.plug(parent(1, (2, 101), admin_state_up=False))
    assert_reaches(trunk, peer, hello(2, 5, 101), expect=same(hello(2, 5)))
    trunk.close()
    assert not host.ledger.unplug(ids[0])
    assert host.findings(ids[1]) == {"trunk.parent": "no port of this host has it as a sub-port"}
    host.plug(parent(1, (2, 102)))
    assert not host.findings()
    trunk = host.guest(ids[0])
    host.forwards(host.device(ids[1]))
    assert_reaches(trunk, peer, hello(2, 5, 102), expect=same(hello(2, 5)))


def test_others_of_the_trunk_notice_nothing(host: LinuxScene) -> None:
    """While sub-ports come, go, exchange their tags, and the daemon is started anew."""
    ids = host.plug(parent(1, (2, 101)), sub_port(2, 7))
    trunk = host.guest(ids[0])
    beside, seven = host.guests(attachment(4), attachment(5, network=7))
    host.forwards(host.device(ids[1]))
    end, sent = threading.Event(), itertools.count()

    def talk() -> None:
        while not end.wait(0.01):
            number = str(next(sent)).encode()
            trunk.send(f.udp(mac(1), mac(4), ipv4(1), ipv4(4), number))
            trunk.send(f.udp(mac(2), mac(5), ipv4(2), ipv4(5), number, vlan=101))

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        host.plug(parent(1, (2, 101), (3, 102), (6, 103)), sub_port(3, 7), sub_port(6, 8))
        for swap in (((3, 104), (6, 105)), ((3, 105), (6, 104))):
            host.plug(parent(1, (2, 101), *swap))
            assert not host.findings()
        assert not host.ledger.unplug(port_id(3))
        before = state(host.drivers)
        host.ledger = host.ledger.restart()
        assert not host.ledger.carry_out([*host.ledger.records])
        assert state(host.drivers) == before
    finally:
        end.set()
        talking.join()
    count = next(sent)
    for guest, one, two in ((beside, 1, 4), (seven, 2, 5)):
        last = f.udp(mac(one), mac(two), ipv4(one), ipv4(two), str(count - 1).encode())
        heard = guest.collect(PATIENCE, same(last))
        mine = [x for x in heard if _source(x) == mac(one)]
        assert len(mine) == count
    assert not host.findings()


def test_each_sub_port_counts_and_is_limited_by_itself(host: LinuxScene) -> None:
    policy = {"rules": [{"type": "dscp_marking", "dscp_mark": 46},
                        {"type": "packet_rate_limit", "max_kpps": 1}]}  # fmt: skip
    limited = sub_port(2, 7, qos_policy=policy)
    ids = host.plug(parent(1, (2, 101), (3, 102)), limited, sub_port(3, 7))
    trunk = host.guest(ids[0])
    (peer,) = host.guests(attachment(5, network=7))
    for number in (2, 3):
        host.forwards(host.device(port_id(number)))
    assert_reaches(trunk, peer, hello(3, 5, 102), expect=same(hello(3, 5)))
    marked = bytes.fromhex("b8")
    trunk.send(hello(2, 5, 101))
    found = peer.recv(predicate=lambda x: _source(x) == mac(2))
    assert found[15:16] == marked
    items = [host.ledger.records[i].item() for i in ids]
    told = host.ledger.plugin.counters(items)
    offered = [way.packets for i in ids if (way := told[i].sent.offered) is not None]
    assert offered[1:] == [1, 1]
    assert offered[0] >= 2
    assert not host.findings()
