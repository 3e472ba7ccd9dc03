"""The host hears nothing of a tap; the switch hears it all. On the userspace datapath that takes a
guard, with the kernel's the switch is there first."""

from __future__ import annotations

import socket
import subprocess

import pytest
from pyroute2 import IPRoute

from functional.scene import Scene
from vifd.drivers.nft.objects import TABLE
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac
from vifd.testing.guests import TapGuest, assert_reaches
from vifd.testing.wait import until

HOST = "198.51.100.7"


@pytest.fixture
def scene(ovs):
    with Scene(ovs) as scene:
        yield scene


@pytest.fixture
def ear():
    """An address of the host on another device, and a socket that listens there."""
    with IPRoute() as netlink, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        netlink.addr("add", index=1, address=HOST, prefixlen=32)
        sock.bind((HOST, 4444))
        sock.setblocking(False)
        yield sock
        netlink.addr("del", index=1, address=HOST, prefixlen=32)


def question(number: int) -> bytes:
    return f.arp_request(mac(number), ipv4(number), HOST)


def answered(guest: TapGuest) -> bool:
    """Whether the host answered: it does so before the guest's system call returns."""
    return any(frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" for frame in guest.drain())


def heard(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(100))
    except BlockingIOError:
        return False


@pytest.mark.parametrize("opened", [True, False])
def test_the_host_does_not_hear_a_tap(scene, ear, opened):
    (port,) = scene.plug(attachment(1), opened=opened)
    guest = scene.guest(port)
    with IPRoute() as netlink:
        device_mac = netlink.get_links(netlink.link_lookup(ifname=guest.name)[0])[0].get(
            "address"
        )  # fmt: skip
    spoofed = f.udp("02:00:00:00:00:99", device_mac, HOST[:-1] + "9", HOST, b"hello", dport=4444)
    for _ in range(3):
        guest.send(question(1))
        guest.send(spoofed)
    assert not answered(guest)
    assert not heard(ear)


@pytest.mark.needs("datapath:netdev")
@pytest.mark.parametrize("opened", [True, False])
def test_it_would_without_the_guard(scene, ear, opened):
    (port,) = scene.plug(attachment(1), opened=opened)
    guest = scene.guest(port)
    nft = scene.machine.drivers.nft
    nft.undeafen(TABLE, [guest.name])
    assert scene.findings() == {"device.unheard": False}
    guest.send(question(1))
    until(lambda: answered(guest), "without it the host answers: the test would have seen it")
    assert not scene.ledger.carry_out([port], opened=opened)
    assert not scene.findings()
    guest.drain()
    guest.send(question(1))
    assert not answered(guest)


def test_the_switch_hears_it_still(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    for turn in range(3):
        frame = f.udp(mac(1), mac(2), ipv4(1), ipv4(2), b"%d" % turn)
        assert_reaches(one, two, frame)
    scene.ovs.vsctl("set", "Interface", one.name, "ingress_policing_rate=100000")
    assert not scene.findings(), (
        "the switch's own limit, an ingress qdisc, has nothing to do with it"
    )
    assert_reaches(one, two, f.udp(mac(1), mac(2), ipv4(1), ipv4(2), b"limited"))


@pytest.mark.needs("datapath:netdev")
def test_nothing_is_left_of_it(scene):
    nft = scene.machine.drivers.nft
    (port,) = scene.plug(attachment(1))
    device = scene.device(port)
    assert nft.list_deaf(TABLE) == [device]
    assert not scene.ledger.unplug(port)
    assert nft.list_deaf(TABLE) == []


@pytest.mark.needs("datapath:netdev")
def test_what_a_dead_daemon_left_is_garbage_once_the_device_is_gone(scene):
    """Later kernels keep what was said of a name."""
    nft, plugin = scene.machine.drivers.nft, scene.ledger.plugin
    scene.plug(attachment(1))
    nft.deafen(TABLE, ["tap-gone"])
    listed = {m.key: m for m in plugin.inventory()}
    (stray,) = set(listed) - set(plugin.expected(scene.ledger.entries()))
    assert stray.name == "tap-gone"
    assert plugin.discard([listed[stray]]) == {}
    assert nft.list_deaf(TABLE) == [scene.device(attachment(1).id)]


@pytest.mark.needs("program:nft", "datapath:netdev")
def test_a_table_that_sleeps_is_found_and_woken(scene, ear):
    (port,) = scene.plug(attachment(1))
    guest = scene.guest(port)
    asleep = ["nft", "add", "table", "netdev", TABLE, "{ flags dormant; }"]
    subprocess.run(asleep, check=True, timeout=60)
    assert scene.findings() == {"device.unheard": False}
    guest.send(question(1))
    until(lambda: answered(guest), "the host answers meanwhile")
    scene.heal()
    guest.drain()
    guest.send(question(1))
    assert not answered(guest)


@pytest.mark.needs("program:nft", "datapath:netdev")
def test_rules_of_others_in_its_chain_are_found(scene):
    (port,) = scene.plug(attachment(1))
    device = scene.device(port)
    rule = ["nft", "add", "rule", "netdev", TABLE, device, "accept"]
    subprocess.run(rule, check=True, timeout=60)
    assert scene.findings() == {"device.unheard": False}
    scene.heal()
    subprocess.run(["nft", "flush", "ruleset"], check=True, timeout=60)
    assert scene.findings() == {"device.unheard": False}
    scene.heal()
