"""The ways out of the host: flat, VLAN and VXLAN networks, with real frames to another host."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional.linux_scene import LinuxScene
from support.meddler import has_altname
from vifd.drivers import FdbEntry
from vifd.plugin import Health
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat, ipv4, mac, vlan
from vifd.testing.guests import PacketGuest, assert_only, assert_reaches
from vifd.testing.netns import Namespace, links
from vifd.testing.wait import until

MAPPED: dict[str, Any] = {"physical_interface_mappings": ["physnet1:eth1"]}
FAR_MAC, FAR_IP = "02:00:00:00:00:fa", "10.0.0.250"


@pytest.fixture
def wire(far: Namespace, leaks):
    """A cable to another host: ``eth1`` here, ``far1`` there."""
    far.veth("eth1", "far1")
    yield far
    with IPRoute() as netlink:
        for index in netlink.link_lookup(ifname="eth1"):
            netlink.link("del", index=index)


@pytest.fixture
def oracle():
    with IPRoute() as netlink:
        yield netlink


@contextlib.contextmanager
def listening(space: Namespace, name: str):
    guest = space.run(PacketGuest, name)
    try:
        yield guest
    finally:
        guest.close()


def to_far(source: int, payload: bytes = b"out") -> bytes:
    return f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", payload)


def from_far(target: int) -> bytes:
    return f.udp(FAR_MAC, mac(target), FAR_IP, ipv4(target), b"in")


def master(oracle: IPRoute, name: str) -> int | None:
    (message,) = oracle.get_links(oracle.link_lookup(ifname=name)[0])
    return message.get_attr("IFLA_MASTER")


# --- flat -----------------------------------------------------------------------------------------


def test_a_flat_network_leaves_by_the_interface(wire, oracle):
    with LinuxScene(**MAPPED) as scene, listening(wire, "far1") as host:
        me, spy = scene.guests(attachment(1, segment=flat()), attachment(2, network=7 << 96))
        scene.forwards("eth1")
        assert_reaches(me, host, to_far(1))
        assert_reaches(host, me, from_far(1))
        friend = scene.guests(attachment(3, network=7 << 96))[0]
        everybody = f.udp(FAR_MAC, f.BROADCAST, FAR_IP, "255.255.255.255")
        here = f.udp(mac(3), mac(2), ipv4(3), ipv4(2))
        assert_only(spy, forbidden=[(host, everybody), (me, to_far(1))], allowed=(friend, here))
        assert not scene.ledger.unplug()
    assert master(oracle, "eth1") is None
    assert "eth1" in links()


def test_a_spoofed_frame_does_not_leave_the_host(wire):
    with LinuxScene(**MAPPED) as scene, listening(wire, "far1") as host:
        (me,) = scene.guests(attachment(1, segment=flat()))
        scene.forwards("eth1")
        lie = f.udp(mac(1), f.BROADCAST, "10.77.0.1", "255.255.255.255")
        tagged = f.udp(mac(1), f.BROADCAST, ipv4(1), "255.255.255.255", vlan=5)
        assert_only(host, forbidden=[(me, lie), (me, tagged)], allowed=(me, to_far(1)))


def test_a_guest_that_is_elsewhere_is_reached_there_until_its_port_opens(wire):
    """During a migration both hosts have the port, and the guest runs at the other one."""
    with LinuxScene(**MAPPED) as scene, listening(wire, "far1") as host:
        one, moving = attachment(1, segment=flat()), attachment(2, segment=flat())
        (me,) = scene.guests(one)
        scene.forwards("eth1")
        scene.plug(moving, opened=False)
        arrived = scene.guest(moving.id)
        to_moving = f.udp(mac(1), mac(2), ipv4(1), ipv4(2))
        assert_reaches(me, host, to_moving)
        scene.ledger.activate(moving.id)
        assert_reaches(me, arrived, to_moving)
        scene.ledger.deactivate(moving.id)
        assert_reaches(me, host, to_moving)


def test_forged_frames_do_not_lead_an_address_away(wire):
    """A bridge moves a static entry to where a frame with that source comes in."""
    with LinuxScene(**MAPPED) as scene, listening(wire, "far1") as host:
        me, you = scene.guests(attachment(1, segment=flat()), attachment(2, segment=flat()))
        scene.forwards("eth1")
        here = f.udp(mac(2), mac(1), ipv4(2), ipv4(1), b"here")
        for number in range(30):
            host.send(f.udp(mac(1), f.BROADCAST, ipv4(1), "255.255.255.255", b"%d" % number))
            host.send(f.arp_request(mac(1), ipv4(1), ipv4(2)))
        assert_reaches(host, you, from_far(2))
        assert not scene.findings()
        assert_reaches(you, me, here)
        assert_reaches(host, me, from_far(1))


def test_an_entry_that_could_be_led_away_is_found_and_mended(wire):
    with LinuxScene(**MAPPED) as scene:
        (port,) = scene.plug(attachment(1, segment=flat()))
        own = FdbEntry(scene.device(port), mac(1))
        scene.bridging.change_fdb(delete=[own], add=[own])
        assert scene.findings() == {"bridge.forwarding_fixed": False}
        scene.heal()


def test_an_interface_with_the_hosts_addresses_is_refused(wire, oracle):
    index = oracle.link_lookup(ifname="eth1")[0]
    oracle.addr("add", index=index, address="192.0.2.7", prefixlen=24)
    with LinuxScene(**MAPPED) as scene:
        probe = scene.ledger.plugin.probe()
        assert probe.health is Health.DEGRADED
        assert any("192.0.2.7" in reason for reason in probe.reasons)
        wanted = attachment(1, segment=flat())
        unmet = scene.unmet(wanted)
        assert "192.0.2.7" in unmet[0].message
        error = scene.refused(wanted)
        assert error.code == "E_PLUG_NAME_CLASH"
        assert "192.0.2.7/24" in error.message
        assert "not_undone" not in error.facts
    assert master(oracle, "eth1") is None
    assert [n for n in links() if n.startswith(("brq", "tap"))] == []
    with LinuxScene(enslave_addressed_interfaces=True, **MAPPED) as scene:
        scene.plug(attachment(1, segment=flat()))
        assert master(oracle, "eth1") is not None
        addresses = oracle.get_addr(index=index, family=2)
        assert [a.get_attr("IFA_ADDRESS") for a in addresses] == ["192.0.2.7"]


def test_the_port_of_another_bridge_is_not_taken(wire, oracle):
    oracle.link("add", ifname="theirs", kind="bridge")
    theirs = oracle.link_lookup(ifname="theirs")[0]
    try:
        oracle.link("set", index=oracle.link_lookup(ifname="eth1")[0], master=theirs)
        with LinuxScene(**MAPPED) as scene:
            error = scene.refused(attachment(1, segment=flat()))
            assert error.code == "E_PLUG_NAME_CLASH"
            for words in ("map that bridge in bridge_mappings", "ip link set eth1 nomaster"):
                assert words in error.hint
        assert master(oracle, "eth1") == theirs
        with LinuxScene(bridge_mappings=["physnet1:eth1"]) as scene:
            error = scene.refused(attachment(1, segment=flat()))
            assert error.message == "eth1 is no bridge but a device of kind veth"
            assert "correct bridge_mappings" in error.hint
            assert "create_bridge" not in error.hint
    finally:
        oracle.link("del", index=theirs)


def test_a_flat_network_on_a_bridge_of_others(wire, oracle):
    oracle.link("add", ifname="theirs", kind="bridge", br_forward_delay=0)
    theirs = oracle.link_lookup(ifname="theirs")[0]
    try:
        oracle.link("set", index=oracle.link_lookup(ifname="eth1")[0], master=theirs)
        oracle.link("set", index=theirs, state="up")
        shown = ("IFLA_MTU", "IFLA_IFALIAS", "IFLA_ADDRESS")
        (before,) = oracle.get_links(theirs)
        with LinuxScene(bridge_mappings=["physnet1:theirs"]) as scene:
            with listening(wire, "far1") as host:
                me, you = scene.guests(*(attachment(n, segment=flat()) for n in (1, 2)))
                scene.forwards("eth1")
                assert_reaches(me, host, to_far(1))
                assert_reaches(me, you, f.udp(mac(1), mac(2), ipv4(1), ipv4(2)))
                lie = f.udp(mac(1), f.BROADCAST, "10.77.0.1", "255.255.255.255")
                assert_only(host, forbidden=[(me, lie)], allowed=(me, to_far(1)))
            assert not scene.ledger.unplug()
        (after,) = oracle.get_links(theirs)
        assert [before.get_attr(a) for a in shown] == [after.get_attr(a) for a in shown]
        assert master(oracle, "eth1") == theirs
    finally:
        oracle.link("del", index=theirs)


def test_a_missing_interface_and_a_small_one_are_told_of(wire, oracle):
    with LinuxScene(physical_interface_mappings=["physnet1:nosuch"]) as scene:
        assert any("nosuch" in reason for reason in scene.ledger.plugin.probe().reasons)
        assert "nosuch" in scene.refused(attachment(1, segment=flat())).message
    with LinuxScene(**MAPPED) as scene:
        wanted = attachment(1, segment=flat(), mtu=9000)
        unmet = scene.unmet(wanted)
        assert unmet[0].facts == {"wanted": 9000, "have": 1500, "bottleneck": "eth1"}
        assert scene.refused(wanted).code == "E_PLUG_MTU"
        elsewhere = attachment(1, segment=flat("physnet9"))
        unmet = scene.unmet(elsewhere)
        assert unmet[0].code == "E_SEG_PHYSNET_UNMAPPED"
    assert [n for n in links() if n.startswith(("brq", "tap"))] == []


# --- VLAN -----------------------------------------------------------------------------------------


@pytest.mark.needs("kernel:8021q")
def test_a_vlan_network_leaves_with_its_tag(wire):
    with LinuxScene(**MAPPED) as scene, listening(wire, "far1") as host:
        (me,) = scene.guests(attachment(1, segment=vlan(101)))
        assert "eth1.101" in links()
        scene.forwards("eth1.101")
        assert_reaches(me, host, to_far(1), expect=lambda x: f.vlan_of(x) == 101)
        tagged = f.udp(FAR_MAC, mac(1), FAR_IP, ipv4(1), vlan=101)
        assert_reaches(host, me, tagged, expect=lambda x: x[6:12] == f.mac_bytes(FAR_MAC))
        assert not scene.ledger.unplug()
        assert "eth1.101" not in links()


@pytest.mark.needs("bridge:vlan_filtering")
def test_a_vlan_aware_bridge_keeps_networks_apart(wire):
    with LinuxScene(vlan_aware=True, **MAPPED) as scene, listening(wire, "far1") as host:
        me, you = scene.guests(
            attachment(1, network=1 << 96, segment=vlan(101)),
            attachment(2, network=2 << 96, segment=vlan(102)),
        )
        assert scene.bridge(attachment(1).id) == scene.bridge(attachment(2).id)
        assert_reaches(me, host, to_far(1), expect=lambda x: f.vlan_of(x) == 101)
        assert_reaches(you, host, to_far(2), expect=lambda x: f.vlan_of(x) == 102)
        assert_only(you, forbidden=[(me, to_far(1))],
                    allowed=(host, f.udp(FAR_MAC, mac(2), FAR_IP, ipv4(2), vlan=102)),
                    expect=lambda x: x[6:12] == f.mac_bytes(FAR_MAC))  # fmt: skip


@pytest.mark.parametrize(
    ("options", "segment", "feature"),
    [(MAPPED, vlan(101), "vlan"), ({**MAPPED, "vlan_aware": True}, vlan(101), "vlan_filtering")],
)
def test_what_the_kernel_lacks_is_told_with_its_reason(wire, options, segment, feature):
    with LinuxScene(**options) as scene:
        lacking = scene.bridging.lacking(feature)
        if lacking is None:
            pytest.skip(f"this kernel has {feature}")
        probe = scene.ledger.plugin.probe()
        assert probe.facts["kernel"][feature] == lacking
        assert any(lacking in reason for reason in probe.reasons)
        wanted = attachment(1, segment=segment)
        unmet = scene.unmet(wanted)
        assert lacking in unmet[0].message
        assert unmet[0].code == "E_SEG_TYPE_UNSUPPORTED"
        assert scene.ledger.plug(wanted)
        scene.ledger.records.clear()
    assert [n for n in links() if n.startswith(("brq", "tap"))] == []


# --- VXLAN ----------------------------------------------------------------------------------------


def vxlan(vni: int) -> dict[str, object]:
    return {"network_type": "vxlan", "segmentation_id": vni}


@pytest.fixture
def underlay(wire, oracle):
    """An address on each end of the cable."""
    index = oracle.link_lookup(ifname="eth1")[0]
    oracle.addr("add", index=index, address="192.0.2.1", prefixlen=24)
    wire.command(["ip", "addr", "add", "192.0.2.2/24", "dev", "far1"])
    return wire


@contextlib.contextmanager
def two_hosts(far: Namespace, here: dict[str, Any], there: dict[str, Any]):
    with LinuxScene(**here) as one, LinuxScene(far, **there) as other:
        yield one, other


STATIC: tuple[dict[str, Any], ...] = ({"local_ip": "192.0.2.1", "vxlan_remotes": ["192.0.2.2"]},
          {"local_ip": "192.0.2.2", "vxlan_remotes": ["192.0.2.1"]})  # fmt: skip
GROUP: tuple[dict[str, Any], ...] = ({"local_ip": "192.0.2.1", "vxlan_group": "239.1.1.1"},
         {"local_ip": "192.0.2.2", "vxlan_group": "239.1.1.1"})  # fmt: skip


@pytest.mark.needs("kernel:vxlan", "program:ip")
@pytest.mark.parametrize("options", [STATIC, GROUP], ids=["static", "group"])
def test_guests_of_two_hosts_meet_over_vxlan(underlay, options):
    with two_hosts(underlay, *options) as (one, other):
        (me,) = one.guests(attachment(1, segment=vxlan(77)))
        (you,) = other.guests(attachment(2, segment=vxlan(77)))
        hello = f.arp_request(mac(1), ipv4(1), ipv4(2))
        until(lambda: me.send(hello) or hello[:42] in [x[:42] for x in you.drain()], "ARP arrives")
        assert_reaches(you, me, f.arp_reply(mac(2), ipv4(2), mac(1), ipv4(1)))
        big = f.udp(mac(1), mac(2), ipv4(1), ipv4(2), bytes(1450 - 28))
        assert_reaches(me, you, big)
        (spy,) = other.guests(attachment(3, network=9 << 96, segment=vxlan(78)))
        (friend,) = other.guests(attachment(4, network=9 << 96, segment=vxlan(78)))
        lie = f.udp(mac(1), f.BROADCAST, "10.77.0.1", "255.255.255.255")
        allowed = (friend, f.udp(mac(4), mac(3), ipv4(4), ipv4(3)))
        assert_only(spy, forbidden=[(me, to_far(1)), (me, lie)], allowed=allowed)
        assert_only(you, forbidden=[(me, lie)], allowed=(me, to_far(1)))
        assert not one.findings()
        assert not other.findings()
        assert "vxlan-77" in links()
        assert not one.ledger.unplug()
        assert "vxlan-77" not in links()


@pytest.mark.needs("kernel:vxlan", "program:ip")
def test_a_tunnel_that_the_underlay_cannot_carry_is_refused(underlay):
    with LinuxScene(**STATIC[0]) as scene:
        wanted = attachment(1, segment=vxlan(77), mtu=1500)
        unmet = scene.unmet(wanted)
        assert unmet[0].code == "E_PLUG_MTU"
        assert unmet[0].facts["have"] == 1450
        facts = scene.ledger.plugin.probe().facts["tunnels"]
        assert facts == {"local_ip": "192.0.2.1", "device": "eth1", "mtu": 1500}


@pytest.mark.needs("kernel:vxlan")
def test_vxlan_without_a_local_address_is_refused(leaks):
    with LinuxScene() as scene:
        wanted = attachment(1, segment=vxlan(77))
        unmet = scene.unmet(wanted)
        assert "local_ip" in unmet[0].message
    with LinuxScene(local_ip="198.51.100.1") as scene:
        assert any("198.51.100.1" in reason for reason in scene.ledger.plugin.probe().reasons)


@pytest.mark.needs("kernel:vxlan", "program:ip")
def test_another_local_address_makes_the_tunnel_anew(underlay, oracle):
    with LinuxScene(**STATIC[0]) as scene:
        scene.plug(attachment(1, segment=vxlan(77)))
        index = oracle.link_lookup(ifname="eth1")[0]
        oracle.addr("add", index=index, address="192.0.2.9", prefixlen=24)
        with LinuxScene(local_ip="192.0.2.9", vxlan_remotes=["192.0.2.2"]) as later:
            later.ledger.records = scene.ledger.records
            assert "uplink" in later.findings()
            later.heal()
            assert later.bridging.get(["vxlan-77"])["vxlan-77"].local == "192.0.2.9"
            scene.ledger.records = {}
    text = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "vxlan-77" not in text


@pytest.mark.needs("kernel:vxlan", "program:ip")
@pytest.mark.parametrize("name", ["vxlan-77", "theirs"], ids=["name", "vni"])
def test_a_tunnel_of_another_program_is_refused_by_its_name(underlay, name):
    with LinuxScene(**STATIC[0]) as scene:
        rival = ["ip", "link", "add", name, "type", "vxlan", "id", "77", "dstport", "4789"]
        subprocess.run(rival, check=True)
        wanted = attachment(1, segment=vxlan(77))
        (error,) = scene.ledger.plug(wanted).values()
        assert error.code == "E_PLUG_NAME_CLASH"
        assert name in error.message
        for words in (f"ip -d link show {name}", f"ip link delete {name}", "another VNI"):
            assert words in error.hint
        assert "cannot be had" not in error.message
        assert name in links(), "what vifd did not make stays"
        subprocess.run(["ip", "link", "delete", name], check=True)
        assert not scene.ledger.plug(wanted)
        assert not scene.findings()


@pytest.mark.needs("kernel:8021q", "program:ip")
@pytest.mark.parametrize("name", ["eth1.101", "theirs"], ids=["name", "number"])
def test_a_vlan_device_of_another_program_is_refused_by_its_name(wire, name):
    with LinuxScene(**MAPPED) as scene:
        rival = ["ip", "link", "add", "link", "eth1", "name", name, "type", "vlan", "id", "101"]
        subprocess.run(rival, check=True)
        (error,) = scene.ledger.plug(attachment(1, segment=vlan(101))).values()
        assert error.code == "E_PLUG_NAME_CLASH"
        for words in (f"ip link delete {name}", "another VLAN"):
            assert words in error.hint
        assert name in error.message
        assert name in links(), "what vifd did not make stays"
        subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.mark.parametrize("option", ["physical_interface_mappings", "bridge_mappings"])
def test_a_mapping_names_a_device_by_its_own_name(oracle, option):
    kind = "bridge" if option == "bridge_mappings" else "veth"
    oracle.link("add", ifname="en0", kind=kind)
    try:
        has_altname("en0", "eth-alt")
        with LinuxScene(**{option: ["physnet1:eth-alt"]}) as scene:
            said = "is another name (altname) of en0: map en0"
            (error,) = scene.unmet(attachment(1, segment=flat()))
            assert f"eth-alt {said}" in error.message
            assert any(said in reason for reason in scene.ledger.plugin.probe().reasons)
    finally:
        oracle.link("del", index=oracle.link_lookup(ifname="en0")[0])


def test_a_bridge_is_no_port_of_another_bridge(oracle):
    oracle.link("add", ifname="br-host", kind="bridge")
    try:
        with LinuxScene(physical_interface_mappings=["physnet1:br-host"]) as scene:
            (error,) = scene.unmet(attachment(1, segment=flat()))
            assert "br-host is a bridge" in error.message
            assert "bridge_mappings" in error.message
            assert scene.ledger.plugin.probe().health is Health.DEGRADED
    finally:
        oracle.link("del", index=oracle.link_lookup(ifname="br-host")[0])
