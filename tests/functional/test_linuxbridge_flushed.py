"""What holds on Linux bridges while the packet filter is gone, and nobody is there to repair it."""

from __future__ import annotations

import subprocess

import pytest
from pyroute2 import IPRoute

from functional.linux_scene import LinuxScene
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import TapGuest, assert_only, assert_reaches
from vifd.testing.wait import until
from vifd_linuxbridge import ruleset
from vifd_linuxbridge.guarding import trunk_guard
from vifd_linuxbridge.ruleset import TABLE

HOST = "198.51.100.7"


@pytest.fixture
def scene(leaks):
    with LinuxScene() as scene:
        yield scene


@pytest.fixture
def host_address():
    """An address that the host itself answers for, on a device of its own."""
    with IPRoute() as netlink:
        netlink.addr("add", index=1, address=HOST, prefixlen=32)
        yield HOST
        netlink.addr("del", index=1, address=HOST, prefixlen=32)


def flush(scene: LinuxScene) -> None:
    """Somebody flushes the rules; nobody puts them back."""
    scene.nft.delete_table(TABLE)
    assert not scene.nft.list_chains(TABLE)


def all_of(source: int, target: int) -> list[bytes]:
    """Frames of every family, to one and to all."""
    return [
        f.udp(mac(source), mac(target), ipv4(source), ipv4(target), b"closed"),
        f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", b"closed"),
        f.udp(mac(source), mac(target), ipv6(source), ipv6(target), b"closed"),
        f.arp_request(mac(source), ipv4(source), ipv4(target)),
        f.dhcp_discover(mac(source)),
        f.neighbour_solicitation(mac(source), f.link_local(mac(source)), ipv6(target)),
        f.ethernet(mac(source), mac(target), 0x88B5, bytes(50)),
    ]


@pytest.mark.parametrize("secured", [True, False])
def test_a_closed_port_is_closed_without_the_table(scene, secured):
    one, two = scene.guests(attachment(1), attachment(2))
    (closed_id,) = scene.plug(attachment(3, port_security_enabled=secured), opened=False)
    closed = scene.guest(closed_id)
    flush(scene)
    said = [(closed, frame) for frame in all_of(3, 2)]
    assert_only(two, forbidden=said, allowed=(one, all_of(1, 2)[0]))
    for frame in (*all_of(1, 3), *all_of(2, 3)):
        one.send(frame)
    assert_reaches(one, two, all_of(1, 2)[0])
    assert closed.drain() == [], "nor does it hear anything"


def test_a_port_that_was_closed_again_is_as_closed(scene):
    one, two, three = scene.guests(attachment(1), attachment(2), attachment(3))
    assert_reaches(three, two, all_of(3, 2)[0])
    assert not scene.ledger.deactivate(attachment(3).id)
    flush(scene)
    said = [(three, frame) for frame in all_of(3, 2)]
    assert_only(two, forbidden=said, allowed=(one, all_of(1, 2)[0]))
    for frame in all_of(1, 3):
        one.send(frame)
    assert_reaches(one, two, all_of(1, 2)[0])
    assert three.drain() == []


def lies(source: int, target: int) -> list[bytes]:
    """Frames with a source that the port may not have."""
    own, other = mac(source), "02:00:00:00:77:77"
    to = mac(target)
    return [
        f.udp(other, to, ipv4(source), ipv4(target), b"lie"),
        f.udp(own, to, "10.77.0.1", ipv4(target), b"lie"),
        f.udp(own, to, "fd77::1", ipv6(target), b"lie"),
        f.arp_request(own, "10.77.0.1", ipv4(target)),
        f.arp_reply(other, ipv4(source), to, ipv4(target), src=own),
        f.arp_request(other, ipv4(source), ipv4(target)),
        f.ethernet(own, to, 0x0800, bytes(50), vlan=7),
    ]


def test_an_open_port_is_held_to_its_addresses_without_the_table(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    flush(scene)
    sent = [(one, frame) for frame in lies(1, 2)]
    assert_only(two, forbidden=sent, allowed=(one, all_of(1, 2)[0]))
    for frame in all_of(1, 2)[:6]:
        assert_reaches(one, two, frame)


#: By which words of ``nft`` the table says something else than it should, and where that is found.
PRE, POST = (f"chain bridge {TABLE} {name}" for name in ("prerouting", "postrouting"))
UNLIKE = {
    "dormant": (f"add table bridge {TABLE} {{ flags dormant; }}", "nft.prerouting"),
    "dormant and emptied": (
        f"add table bridge {TABLE} {{ flags dormant; }}; flush {PRE}; delete {PRE}",
        "nft.prerouting",
    ),
    "policy before": (f"{PRE} {{ policy drop; }}", "nft.prerouting"),
    "policy behind": (f"{POST} {{ policy drop; }}", "nft.postrouting"),
    "called by nothing": (f"flush {PRE}; delete {PRE}; add {PRE}", "nft.prerouting"),
    "called elsewhere": (
        f"flush {PRE}; delete {PRE}; add {PRE} {{ type filter hook forward priority -350; }}",
        "nft.prerouting",
    ),
    "called later": (
        f"flush {POST}; delete {POST}; add {POST} {{ type filter hook postrouting priority 9; }}",
        "nft.postrouting",
    ),
    "a part that is called by itself": (
        f"flush {PRE}; flush chain bridge {TABLE} tagged; delete chain bridge {TABLE} tagged;"
        f"add chain bridge {TABLE} tagged {{ type filter hook forward priority 0; }}",
        "nft.tagged",
    ),
    "the judge of another port": (
        f"delete element bridge {TABLE} from {{ {{one}} }};"
        f"add element bridge {TABLE} from {{ {{one}} : jump {{two}} }}", "nft.from",
    ),
    "no judge": (
        f"delete element bridge {TABLE} from {{ {{one}} }};"
        f"add element bridge {TABLE} from {{ {{one}} : accept }}", "nft.from",
    ),
    "emptied": (f"flush table bridge {TABLE}", "nft.rules"),
    "a gate less": (f"delete element bridge {TABLE} open {{ {{one}} }}", "nft.open"),
}  # fmt: skip


@pytest.mark.needs("program:nft")
@pytest.mark.parametrize("case", UNLIKE)
def test_a_table_that_says_something_else_is_found_and_put_right(scene, case):
    """A lie that only the rules refuse shows that they are in force again."""
    one, two = scene.guests(attachment(1), attachment(2))
    words, place = UNLIKE[case]
    for name, device in (("{one}", one.name), ("{two}", two.name)):
        words = words.replace(name, device)
    subprocess.run(["nft", "-f", "-"], input=words, text=True, check=True, timeout=60)
    assert place in scene.findings()
    scene.heal()
    offer = f.dhcp_offer(mac(1), ipv4(1), mac(2), "10.0.0.99")
    sent = [(one, frame) for frame in (offer, *lies(1, 2))]
    assert_only(two, forbidden=sent, allowed=(one, all_of(1, 2)[0]))
    for frame in all_of(2, 1)[:6]:
        assert_reaches(two, one, frame)


def test_pairs_and_ports_without_security_go_on_without_the_table(scene):
    pair = {"ip_address": "10.88.0.0/16", "mac_address": "02:00:00:00:00:88"}
    one, two, free = scene.guests(
        attachment(1, allowed_address_pairs=[pair]), attachment(2),
        attachment(3, port_security_enabled=False),
    )  # fmt: skip
    flush(scene)
    assert_reaches(one, two, f.udp("02:00:00:00:00:88", mac(2), "10.88.3.4", ipv4(2)))
    for frame in lies(3, 2)[:4]:
        assert_reaches(free, two, frame)


def test_the_guard_follows_a_change_of_addresses(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    later = f.udp(mac(1), mac(2), "10.99.0.1", ipv4(2), b"pair")
    assert_only(two, forbidden=[(one, later)], allowed=(one, all_of(1, 2)[0]))
    scene.plug(attachment(1, allowed_address_pairs=[{"ip_address": "10.99.0.0/24"}]))
    flush(scene)
    assert_reaches(one, two, later)


def test_a_guard_of_a_trunks_parent_admits_the_tags_of_its_sub_ports(scene):
    """Without VLAN devices that take them, the bridge passes them on as they are."""
    one, two = scene.guests(attachment(1), attachment(2))
    flush(scene)
    own = ruleset.port_filter(attachment(1), one.name, opened=True)
    program = trunk_guard(own, (101, *range(300, 700), 4094))
    assert not scene.bridging.guard({one.name: program})
    assert scene.bridging.guards([one.name]) == {one.name: program}
    plain = all_of(1, 2)[0]
    others = [plain[:12] + b"\x81\0" + tag.to_bytes(2, "big") + plain[12:]
              for tag in (100, 102, 299, 700, 4093)]  # fmt: skip
    others.append(plain[:12] + b"\x88\xa8\0\x65" + plain[12:])
    assert_only(two, forbidden=[(one, frame) for frame in (*others, *lies(1, 2)[:4])],
                allowed=(one, plain))  # fmt: skip
    for tag in (101, 300, 699, 4094, 0x6065):
        admitted = plain[:12] + b"\x81\0" + tag.to_bytes(2, "big") + plain[12:]
        assert_reaches(one, two, admitted, expect=lambda x: f.untagged(x) == plain)


def test_the_host_does_not_hear_a_closed_port(scene, host_address):
    """A tap on no bridge is a device of the host's own stack, which answers for all its addresses
    on every device."""
    (closed_id,) = scene.plug(attachment(3), opened=False)
    guest = scene.guest(closed_id)
    question = f.arp_request(mac(3), ipv4(3), host_address)
    guest.send(question)
    scene.bridging.guard({guest.name: ((0x06, 0, 0, 0xFFFF_FFFF),)})
    assert "device.guard" in scene.findings()
    guest.drain()
    guest.send(question)
    answer = guest.recv(predicate=lambda frame: frame[12:14] == b"\x08\x06")
    assert answer[20:22] == b"\0\2", "without a guard the host answers"
    scene.ledger.carry_out([closed_id], opened=False)
    assert not scene.findings()
    guest.drain()
    for _ in range(3):
        guest.send(question)
    assert heard(guest) == []


def heard(guest: TapGuest) -> list[bytes]:
    """What the host says to a guest: it answers before the system call of the guest returns."""
    return [frame for frame in guest.drain() if frame[12:14] == b"\x08\x06"]


@pytest.mark.needs("program:tc")
def test_a_guard_that_somebody_removes_is_found_and_put_back(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    subprocess.run(["tc", "qdisc", "del", "dev", one.name, "ingress"], check=True, timeout=60)
    assert scene.findings() == {"device.guard": "missing"}
    scene.heal()
    flush(scene)
    sent = [(one, frame) for frame in lies(1, 2)]
    assert_only(two, forbidden=sent, allowed=(one, all_of(1, 2)[0]))


@pytest.mark.needs("program:tc")
@pytest.mark.parametrize("kind", ["clsact", "ingress"])
def test_a_shared_block_in_its_place_is_told_and_its_end_mended(scene, kind):
    """Its filters hold for every device that shares it, so none of ours goes there."""
    one, two = scene.guests(attachment(1), attachment(2))
    tc("qdisc", "del", "dev", one.name, "ingress")
    tc("qdisc", "add", "dev", one.name, "ingress_block", "22", kind)
    (found,) = (e for report in scene.ledger.check().values() for e in report.findings)
    assert (found.fact, found.repairable) == ("device.guard", False)
    assert found.have == f"{kind} with the shared block 22"
    # the rules hold meanwhile, and what passed goes on
    sent = [(one, frame) for frame in lies(1, 2)]
    assert_only(two, forbidden=sent, allowed=(one, all_of(1, 2)[0]))
    (error,) = scene.ledger.carry_out([attachment(1).id]).values()
    assert (error.code, error.facts["device"]) == ("E_PLUG_DEVICE", one.name)
    assert f"{kind} with the shared block 22" in error.message
    hint = error.hint.partition("needs it there: `")[2].partition("`")[0]
    tc(*hint.removeprefix("tc ").split())
    assert scene.findings() == {"device.guard": "missing"}
    scene.heal()
    flush(scene)
    assert_only(two, forbidden=sent, allowed=(one, all_of(1, 2)[0]))


def tc(*words: str) -> None:
    subprocess.run(["tc", *words], check=True, timeout=60)


#: What libvirt runs for a <bandwidth> when a guest starts (virNetDevBandwidthSet); the first two
#: may fail. What polices, where a kernel can, is one more filter in the same place.
LIBVIRT = (
    ("qdisc", "del", "dev", "{}", "root"), ("qdisc", "del", "dev", "{}", "ingress"),
    ("qdisc", "add", "dev", "{}", "root", "handle", "1:", "htb", "default", "1"),
    ("class", "add", "dev", "{}", "parent", "1:", "classid", "1:1", "htb", "rate", "1000kbps"),
    ("qdisc", "add", "dev", "{}", "ingress"),
    ("filter", "add", "dev", "{}", "parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0",
     "0", "flowid", ":1"),
)  # fmt: skip


@pytest.mark.needs("program:tc")
def test_libvirt_sets_its_bandwidth_beside_the_guard(scene):
    """A guest whose limits cannot be set does not start."""
    limited = attachment(1, qos_policy={"rules": [{"type": "bandwidth_limit", "max_kbps": 9000}]})
    one, two = scene.guests(limited, attachment(2))
    for number, argv in enumerate(LIBVIRT):
        done = subprocess.run(["tc", *(a.format(one.name) for a in argv)], timeout=60)
        assert number < 2 or done.returncode == 0, argv
    assert scene.findings() == {"device.guard": "missing"}, "limits of a policy stay"
    scene.heal()
    shown = subprocess.run(["tc", "filter", "show", "dev", one.name, "ingress"], check=True,
                           capture_output=True, text=True, timeout=60).stdout  # fmt: skip
    assert "u32" in shown
    assert "direct-action" in shown
    sent = [(one, frame) for frame in lies(1, 2)]
    assert_only(two, forbidden=sent, allowed=(one, all_of(1, 2)[0]))


def test_a_closed_port_that_somebody_puts_on_the_bridge_is_taken_off(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    (closed_id,) = scene.plug(attachment(3), opened=False)
    closed = scene.guest(closed_id)
    bridge = scene.bridging.get([scene.bridge(closed_id)])[scene.bridge(closed_id)]
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=closed.name)[0]
        netlink.link("set", index=index, master=bridge.link.ifindex)
    said = [(closed, frame) for frame in all_of(3, 2)]
    flush(scene)
    assert_only(two, forbidden=said, allowed=(one, all_of(1, 2)[0]))
    assert "bridge.closed" in scene.findings()
    assert not scene.ledger.carry_out([closed_id], opened=False)
    assert not scene.findings(closed_id)
    until(lambda: scene.bridging.get([closed.name])[closed.name].master is None, "it is off")


def test_a_bridge_stays_for_ports_that_are_closed(scene):
    """They are no ports of it, and need it when they open."""
    scene.plug(attachment(1))
    scene.plug(attachment(2), opened=False)
    bridge = scene.bridge(attachment(1).id)
    assert not scene.ledger.unplug(attachment(1).id)
    assert bridge in scene.bridging.get([bridge])
    assert not scene.findings()
    assert not scene.ledger.unplug(attachment(2).id)
    assert bridge not in scene.bridging.get([bridge])
