"""Who reaches whom on one host, with real frames; and what a damaged port does until healed."""

from __future__ import annotations

import contextlib
import subprocess
import threading

import pytest
from pyroute2 import IPRoute

from functional.linux_scene import LinuxScene
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac
from vifd.testing.guests import PacketGuest, assert_only, assert_reaches, equal_to
from vifd.testing.netns import links
from vifd.testing.wait import PATIENCE, until
from vifd_linuxbridge import wiring
from vifd_linuxbridge.ruleset import TABLE

ONE, OTHER = 1 << 96, 2 << 96


@pytest.fixture
def scene(leaks):
    with LinuxScene() as scene:
        yield scene


@pytest.fixture
def oracle():
    with IPRoute() as netlink:
        yield netlink


def frame(source: int, target: int, payload: bytes = b"vifd") -> bytes:
    return f.udp(mac(source), mac(target), ipv4(source), ipv4(target), payload)


def broadcast(source: int, payload: bytes = b"all") -> bytes:
    return f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", payload)


def test_guests_of_a_network_reach_each_other(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    assert_reaches(one, two, frame(1, 2))
    assert_reaches(two, one, frame(2, 1))
    assert_reaches(one, two, broadcast(1))


def test_guests_of_different_networks_do_not(scene):
    one, two, spy = scene.guests(
        attachment(1, network=ONE), attachment(2, network=ONE), attachment(3, network=OTHER),
    )  # fmt: skip
    friend = scene.guests(attachment(4, network=OTHER))[0]
    forbidden = [
        (one, broadcast(1)),
        (one, frame(1, 3)),
        (two, f.arp_request(mac(2), ipv4(2), ipv4(3))),
    ]
    assert_only(spy, forbidden=forbidden, allowed=(friend, frame(4, 3)))


def test_a_third_guest_sees_only_what_is_for_it(scene):
    one, two, third = scene.guests(*(attachment(n) for n in (1, 2, 3)))
    forbidden = [
        (one, frame(1, 2)),
        (two, frame(2, 1)),
        (one, f.udp(mac(1), "02:00:00:00:00:77", ipv4(1), ipv4(2))),
    ]
    assert_only(third, forbidden=forbidden, allowed=(one, broadcast(1)))


def test_a_silent_guest_is_reached_without_flooding(scene):
    """Its address is in the table before it ever spoke."""
    one, two = scene.guests(attachment(1), attachment(2))
    assert_reaches(one, two, frame(1, 2))


def test_a_closed_port_sends_and_receives_nothing(scene):
    one, two, three = scene.guests(attachment(1), attachment(2), attachment(3))
    scene.ledger.deactivate(attachment(2).id)
    assert not scene.findings()
    assert_only(
        three, forbidden=[(two, frame(2, 3)), (two, broadcast(2))], allowed=(one, frame(1, 3))
    )
    two.drain()
    for sent in (frame(1, 2), broadcast(1)):
        one.send(sent)
    assert_reaches(one, three, frame(1, 3, b"after"))
    assert two.drain() == []
    scene.ledger.activate(attachment(2).id)
    assert_reaches(one, two, frame(1, 2))


def test_a_port_that_is_down_for_its_user_stays_closed(scene):
    one, two, three = scene.guests(
        attachment(1), attachment(2, admin_state_up=False), attachment(3)
    )
    assert_only(three, forbidden=[(two, frame(2, 3))], allowed=(one, frame(1, 3)))


def test_nothing_leaks_while_a_port_is_plugged_and_removed(scene, oracle):
    """A guest that shouts from the first moment on is heard only while its port is open."""
    listener, friend = scene.guests(attachment(1), attachment(3))
    heard: list[bytes] = []
    loud = equal_to(broadcast(2, b"loud")[:48])
    for _ in range(5):
        scene.plug(attachment(2), opened=False)
        shouter = scene.guest(attachment(2).id)
        for _ in range(50):
            shouter.send(broadcast(2, b"loud"))
        scene.plug(attachment(2), opened=False)
        for _ in range(50):
            shouter.send(broadcast(2, b"loud"))
        shouter.close()
        assert not scene.ledger.unplug(attachment(2).id)
        friend.send(broadcast(3, b"mark"))
        heard += listener.collect(PATIENCE, equal_to(broadcast(3, b"mark")))
    assert [h for h in heard if loud(h)] == []


def test_a_change_of_rules_loses_no_frame_and_lets_none_through(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    stop = threading.Event()
    sent = 0
    spoofed = f.udp(mac(1), mac(2), "10.77.0.1", ipv4(2), b"spoofed")

    def change() -> None:
        for turn in range(40):
            pairs = [{"ip_address": f"10.9.{turn}.0/24"}]
            scene.plug(attachment(1, allowed_address_pairs=pairs if turn % 2 else []))
        stop.set()

    changer = threading.Thread(target=change)
    changer.start()
    arrived: list[bytes] = []
    while not stop.is_set():
        me.send(frame(1, 2, b"%06d" % sent))
        me.send(spoofed)
        sent += 1
        arrived += you.drain()
    changer.join()
    last = frame(1, 2, b"last")
    me.send(last)
    arrived += you.collect(PATIENCE, equal_to(last))
    good = [a for a in arrived if a[42:48].isdigit()]
    assert sent > 100
    assert len(good) == sent
    assert not [a for a in arrived if b"spoofed" in a]


def test_the_host_itself_is_not_reached(scene, oracle):
    """Neither its addresses on other devices, which the kernel would answer for, nor the bridge."""
    me, you = scene.guests(attachment(1), attachment(2))
    index = oracle.link_lookup(ifname="lo")[0]
    oracle.addr("add", index=index, address="10.0.0.200", prefixlen=24)
    try:
        bridge = scene.bridge(attachment(1).id)
        own = scene.bridging.get([bridge])[bridge].link.mac
        with PacketGuest(bridge) as host:
            me.drain()
            me.send(f.arp_request(mac(1), ipv4(1), "10.0.0.200"))
            me.send(f.udp(mac(1), own, ipv4(1), "10.0.0.200"))
            me.send(broadcast(1))
            # what is judged on the same thread of the kernel has been by now
            assert_reaches(me, you, frame(1, 2))
            assert [x for x in host.drain() if x[6:12] == f.mac_bytes(mac(1))] == []
            assert me.drain() == []
    finally:
        oracle.addr("del", index=index, address="10.0.0.200", prefixlen=24)


def test_the_host_can_be_opened_to_guests(leaks):
    with LinuxScene(guests_reach_host=True) as scene:
        (me,) = scene.guests(attachment(1))
        with PacketGuest(scene.bridge(attachment(1).id)) as host:
            assert_reaches(me, host, broadcast(1))


def test_frames_that_the_bridge_keeps_teach_it_nothing(scene):
    """A frame to a link-local group is for the host; with a foreign source it would redirect that
    address if the bridge learned from it."""
    me, you, third = scene.guests(
        attachment(1, port_security_enabled=False), attachment(2), attachment(3),
    )  # fmt: skip
    lie = f.ethernet(mac(2), "01:80:c2:00:00:0e", 0x88CC, b"\x02\x07\x04" + f.mac_bytes(mac(2)))
    me.send(lie)
    assert_reaches(third, you, frame(3, 2))
    scene.ledger.deactivate(attachment(1).id)
    me.send(lie)
    assert_reaches(third, you, frame(3, 2))


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.needs("program:nft")
def test_a_flushed_ruleset_is_told_found_and_put_back(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    told: list[str] = []
    scene.nft.subscribe(told.append)
    subprocess.run(["nft", "flush", "ruleset"], check=True, timeout=60)
    until(lambda: TABLE in told, "the change is told")
    assert {"nft.rules", "nft.ports", "nft.prerouting"} <= scene.findings().keys()
    scene.heal()
    lie = f.udp(mac(1), mac(2), "10.77.0.1", ipv4(2))
    assert_only(you, forbidden=[(me, lie)], allowed=(me, frame(1, 2)))


@pytest.mark.needs("program:nft")
def test_our_own_changes_and_those_of_other_tables_are_not_told_as_ours(scene):
    told: list[str] = []
    scene.nft.subscribe(told.append)
    scene.plug(attachment(1))
    subprocess.run(["nft", "add", "table", "inet", "other"], check=True, timeout=60)
    until(lambda: told, "the other table is told")
    assert set(told) == {"other"}
    subprocess.run(["nft", "delete", "table", "inet", "other"], check=True, timeout=60)


@pytest.mark.needs("program:nft")
def test_a_rule_of_another_program_is_found_and_removed(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    device = scene.device(attachment(1).id)
    rule = ["nft", "insert", "rule", "bridge", TABLE, device, "accept"]
    subprocess.run(rule, check=True, timeout=60)
    assert "nft.rules" in scene.findings()
    scene.heal()
    lie = f.udp(mac(1), mac(2), "10.77.0.1", ipv4(2))
    assert_only(you, forbidden=[(me, lie)], allowed=(me, frame(1, 2)))


def test_a_tap_outside_its_bridge_is_brought_back(scene, oracle):
    one, two = scene.guests(attachment(1), attachment(2))
    index = oracle.link_lookup(ifname=one.name)[0]
    oracle.link("set", index=index, master=0)
    assert "bridge.port" in scene.findings()
    scene.heal()
    scene.forwards(one.name)
    assert_reaches(one, two, frame(1, 2))
    assert_reaches(two, one, frame(2, 1))


def test_a_tap_that_another_bridge_took_is_brought_back(scene, oracle):
    one, two = scene.guests(attachment(1), attachment(2))
    with foreign_bridge(oracle, "other0") as bridge:
        oracle.link("set", index=oracle.link_lookup(ifname=one.name)[0], master=bridge)
        assert "bridge.port" in scene.findings()
        scene.heal()
        scene.forwards(one.name)
        assert_reaches(one, two, frame(1, 2))
        assert_reaches(two, one, frame(2, 1))


def test_a_bridge_that_is_deleted_comes_back(scene, oracle):
    one, two = scene.guests(attachment(1), attachment(2))
    oracle.link("del", index=oracle.link_lookup(ifname=scene.bridge(attachment(1).id))[0])
    assert "bridge" in scene.findings()
    scene.heal()
    for guest in (one, two):
        scene.forwards(guest.name)
    assert_reaches(one, two, frame(1, 2))


# --- what is not ours -----------------------------------------------------------------------------


@contextlib.contextmanager
def foreign_bridge(oracle, name):
    oracle.link("add", ifname=name, kind="bridge")
    try:
        yield oracle.link_lookup(ifname=name)[0]
    finally:
        oracle.link("del", index=oracle.link_lookup(ifname=name)[0])


def test_a_foreign_bridge_of_our_name_is_left_alone(scene, oracle):
    name = f"brq{attachment(1).network.id[:11]}"
    with foreign_bridge(oracle, name) as index:
        before = str(oracle.get_links(index)[0]["attrs"][:8])
        error = scene.refused(attachment(1))
        assert error.code == "E_PLUG_NAME_CLASH"
        assert error.facts["name"] == name
        assert "not_undone" not in error.facts
        assert str(oracle.get_links(index)[0]["attrs"][:8]) == before
        assert [n for n in links() if n.startswith("tap")] == []


def test_a_foreign_port_keeps_our_bridge(scene, oracle):
    scene.plug(attachment(1))
    bridge = scene.bridge(attachment(1).id)
    oracle.link("add", ifname="other0", kind="veth", peer={"ifname": "other1"})
    try:
        index = oracle.link_lookup(ifname=bridge)[0]
        oracle.link("set", index=oracle.link_lookup(ifname="other0")[0], master=index)
        assert not scene.ledger.unplug()
        assert bridge in links()
    finally:
        oracle.link("del", index=oracle.link_lookup(ifname="other0")[0])
    scene.plug(attachment(1))
    assert not scene.ledger.unplug()
    assert bridge not in links()


def test_the_last_port_takes_the_bridge_with_it(scene):
    ids = scene.plug(attachment(1), attachment(2))
    bridge = scene.bridge(ids[0])
    assert not scene.ledger.unplug(ids[0])
    assert bridge in links()
    assert not scene.ledger.unplug(ids[1])
    assert bridge not in links()


def test_a_journal_that_was_lost_is_read_from_the_rules(scene):
    wanted = attachment(
        1, allowed_address_pairs=[{"ip_address": f"10.9.{n}.0/24"} for n in range(99)]
    )
    scene.plug(wanted, attachment(2, port_security_enabled=False))
    observed = {o.port_id: o for o in scene.ledger.plugin.observe()}
    for port_id, record in scene.ledger.records.items():
        document = observed[port_id].document
        assert document is not None
        assert document["port"]["id"] == port_id
        assert document["role"] == "ACTIVE"
        assert wiring.read(observed[port_id].wiring) == wiring.read(record.wiring)
    pairs = observed[wanted.id].document["port"]["allowed_address_pairs"]
    assert len(pairs) == 99
