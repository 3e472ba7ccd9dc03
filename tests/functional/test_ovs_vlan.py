"""Flat and VLAN networks: two bridges play two hosts with a physical bridge each and a cable
between them; a third party on the cable's far end sees what is on the wire."""

from __future__ import annotations

import pytest

from functional.scene import Scene
from vifd.errors import BridgeMissing, PhysnetUnmapped
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat, ipv4, mac, vlan
from vifd.testing.guests import assert_only, assert_reaches
from vifd.testing.sandbox import OF_DATAPATH
from vifd.testing.wait import PATIENCE, until


def unicast(source: int, target: int, payload: bytes = b"vifd", **more) -> bytes:
    return f.udp(mac(source), mac(target), ipv4(source), ipv4(target), payload, **more)


def broadcast(source: int, **more) -> bytes:
    return f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", **more)


def add_bridge(ovs, name: str) -> None:
    ovs.vsctl("add-br", name, "--", "set", "Bridge", name, OF_DATAPATH)


@pytest.fixture
def host(ovs, wire):
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        yield scene


@pytest.fixture
def other(ovs, wire):
    """A second host, whose integration bridge hangs on the same wire."""
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"], integration_bridge="br-int2") as scene:
        # its local VLAN ids shall differ from those of the first
        scene.plug(attachment(900, network=900), attachment(901, network=901))
        yield scene


def tagged(vid: int):
    return lambda frame: f.vlan_of(frame) == vid


def test_out_and_in_with_the_networks_vlan(host, wire):
    (one,) = host.guests(attachment(1, segment=vlan(101)))
    arrived = assert_reaches(one, wire, unicast(1, 9), expect=tagged(101))
    assert f.untagged(arrived) == unicast(1, 9)
    assert_reaches(wire, one, unicast(9, 1, vlan=101), expect=lambda x: x == unicast(9, 1))


def test_other_vlans_and_untagged_frames_stay_out(host, wire):
    (one,) = host.guests(attachment(1, segment=vlan(101)))
    assert_only(
        one,
        forbidden=[(wire, unicast(9, 1, b"no", vlan=v)) for v in (None, 0, 1, 102)],
        allowed=(wire, unicast(9, 1, vlan=101)),
        expect=lambda x: x == unicast(9, 1),
        leaked=lambda _, arrived: b"no" in arrived,
    )


def test_flat(host, wire):
    (one,) = host.guests(attachment(1, segment=flat()))
    arrived = assert_reaches(one, wire, unicast(1, 9))
    assert f.vlan_of(arrived) is None
    assert_reaches(wire, one, unicast(9, 1))
    assert_only(
        one,
        forbidden=[(wire, unicast(9, 1, b"no", vlan=101))],
        allowed=(wire, unicast(9, 1)),
        leaked=lambda _, arrived: b"no" in arrived,
    )


def test_two_hosts(host, other, wire):
    segment = vlan(101)
    (one, two) = host.guests(*(attachment(n, segment=segment) for n in (1, 2)))
    (three,) = other.guests(attachment(3, segment=segment))
    tags = [
        scene.ledger.records[attachment(n).id].names.details["tag"]
        for scene, n in ((host, 1), (other, 3))
    ]
    assert tags[0] != tags[1]
    assert_reaches(one, three, unicast(1, 3))
    assert_reaches(three, one, unicast(3, 1))
    assert_reaches(three, two, broadcast(3))
    assert_reaches(one, three, f.arp_request(mac(1), ipv4(1), ipv4(3)))
    # what is local stays off the wire
    assert_only(
        wire,
        forbidden=[(one, unicast(1, 2, b"local"))],
        allowed=(one, unicast(1, 9)),
        expect=tagged(101),
        leaked=lambda _, arrived: b"local" in arrived,
    )
    assert not host.findings()
    assert not other.findings()


def test_networks_of_two_hosts_stay_apart(host, other):
    one, four = host.guests(
        attachment(1, segment=vlan(101)), attachment(4, network=2, segment=vlan(102))
    )
    two, three = other.guests(
        attachment(2, segment=vlan(101)), attachment(3, network=2, segment=vlan(102))
    )
    assert_only(three, forbidden=[(one, broadcast(1))], allowed=(four, unicast(4, 3)))
    assert_only(two, forbidden=[(four, broadcast(4))], allowed=(one, unicast(1, 2)))


def test_a_closed_port_is_not_reached_from_the_wire(host, wire):
    segment = vlan(101)
    (one,) = host.guests(attachment(1, segment=segment))
    (closed_id,) = host.plug(attachment(2, segment=segment), opened=False)
    closed = host.guest(closed_id)
    wire.send(broadcast(9, vlan=101))
    wire.send(unicast(9, 2, vlan=101))
    for _ in range(2):  # the second is a later turn of the switch
        assert_reaches(wire, one, unicast(9, 1, vlan=101), expect=lambda x: x == unicast(9, 1))
    assert closed.drain() == []
    assert_only(
        wire, forbidden=[(closed, broadcast(2))], allowed=(one, broadcast(1)),
        expect=tagged(101),
        leaked=lambda sent, arrived: f.untagged(arrived) == sent,
    )  # fmt: skip


def test_the_physical_bridge_is_not_rewritten(host, ovs):
    def row() -> str:
        columns = "datapath_type,fail_mode,protocols,external_ids,other_config"
        return ovs.vsctl(f"--columns={columns}", "list", "Bridge", "br-phys")

    before = row()
    host.plug(attachment(1, segment=vlan(101)))
    assert row() == before


def test_a_lost_patch_port_is_found_and_healed(host, wire, ovs):
    (one,) = host.guests(attachment(1, segment=vlan(101)))
    (port,) = [p for p in ovs.vsctl("list-ports", "br-phys").split() if p.startswith("phy-")]
    ovs.vsctl("del-port", "br-phys", port)
    missing = f"port {port} is missing"
    until(lambda: missing in host.findings().get("patch", ""), "the loss is found",
          told=host.findings)  # fmt: skip
    host.heal()
    assert_reaches(wire, one, unicast(9, 1, vlan=101), expect=lambda x: x == unicast(9, 1))


def test_a_normal_flow_of_others_does_not_use_our_patch_port(ovs, wire):
    """On a bridge of others a foreign frame must not flood to the wire as if it were the port's."""
    add_bridge(ovs, "br-int")
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as host:
        (one,) = host.guests(attachment(1, segment=vlan(101)))
        for vid in (None, 1, 102):
            frame = broadcast(50, vlan=vid)
            ovs.ofctl("packet-out", "br-int", f"in_port=LOCAL packet={frame.hex()} actions=NORMAL")
        one.send(unicast(1, 9))
        arrived = wire.collect(PATIENCE, tagged(101))
        assert not [x for x in arrived if f.mac_bytes(mac(50)) in x]


def test_an_unmapped_physical_network_is_refused(host):
    wanted = attachment(1, segment=vlan(101, "physnet9"))
    (requirement, *_) = host.ledger.plugin.requires(wanted)
    assert not requirement.met
    assert requirement.error.facts == {"wanted": "physnet9", "have": ["physnet1"]}
    assert isinstance(host.refused(wanted), PhysnetUnmapped)


def test_a_missing_physical_bridge_costs_its_own_ports_only(ovs):
    with Scene(ovs, bridge_mappings=["physnet1:br-none"]) as host:
        failed = host.ledger.plug(attachment(1, segment=vlan(101)), attachment(2, network=2))
        assert list(failed) == [attachment(1).id]
        assert isinstance(failed[attachment(1).id], BridgeMissing)
        del host.ledger.records[attachment(1).id]
        assert not host.findings()
        add_bridge(ovs, "br-none")
        host.plug(attachment(1, segment=vlan(101)))


def rewired(host: Scene, number: int, **details: object) -> None:
    """A record as an earlier vifd rebuilt it from marks, or as somebody damaged it."""
    record = host.ledger.records[attachment(number).id]
    assert record.wiring is not None
    record.wiring.details.update(details)
    host.ledger = host.ledger.restart()


@pytest.mark.parametrize("segment", [flat(), vlan(101)], ids=["flat", "vlan"])
@pytest.mark.parametrize(
    "lost", [{"patch": ""}, {"patch": "", "physical_network": None}], ids=["patch", "network"]
)
def test_a_record_without_its_way_out_is_found_and_mended(host, wire, segment, lost):
    (one,) = host.guests(attachment(1, segment=segment))
    rewired(host, 1, **lost)
    have = host.findings()["names.network"]
    assert set(have) == set(lost)
    host.heal()
    vid = 101 if segment["network_type"] == "vlan" else None
    assert (
        f.vlan_of(
            assert_reaches(
                one, wire, unicast(1, 9), expect=lambda x: f.untagged(x) == unicast(1, 9)
            )
        )
        == vid
    )
    assert_reaches(wire, one, unicast(9, 1, vlan=vid), expect=lambda x: unicast(9, 1) in x)


def test_a_record_without_its_way_out_and_without_a_mapping_says_so(ovs, wire):
    with Scene(ovs) as host:
        host.plug(attachment(1))
        record = host.ledger.records[attachment(1).id]
        record.attachment = attachment(1, segment=vlan(101))
        assert host.findings()["uplink.mapping"] == []
        record.attachment = attachment(1)
