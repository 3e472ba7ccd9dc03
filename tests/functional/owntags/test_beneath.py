"""What stands beneath two tags: refused where the switch does not look there and must, judged as
any other frame where it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functional.owntags.documents import carrying, equal, hello, on, tagged
from functional.scene import Scene
from functional.trunks.documents import parent, sub_port
from vifd.model import Attachment
from vifd.model.sets import SetKind
from vifd.policy.owntags import BENEATH
from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, mac, port_id, vlan
from vifd.testing.guests import PacketGuest, assert_only, assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.sets import MemorySets

GROUP = port_id(0xABC)
UDP: dict[str, Any] = {"direction": "ingress", "protocol": "udp", "ethertype": "IPv4"}


@pytest.fixture
def shallow(ovs: PrivateOvs, wire: PacketGuest) -> Iterator[Scene]:
    """As Open vSwitch is by itself."""
    with _grouped(ovs) as scene:
        yield scene


@pytest.fixture
def deep(ovs: PrivateOvs, wire: PacketGuest) -> Iterator[Scene]:
    """Told to look at two tags."""
    ovs.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
    ovs.vswitchd.kill()
    ovs.start()
    ovs.wait_for_carrier("eth-phys")
    with _grouped(ovs) as scene:
        yield scene


def _grouped(ovs: PrivateOvs) -> Scene:
    scene = Scene(ovs, bridge_mappings=["physnet1:br-phys"])
    sets = MemorySets()
    scene.ledger.sets = sets
    scene.ledger.__post_init__()
    sets.put(SetKind.SECURITY_GROUP, GROUP, rules=[UDP])
    return scene


def grouped(number: int) -> Attachment:
    return on(number, segment=vlan(101), security_groups=[GROUP])


def lacking(host: Scene) -> str:
    return str(host.ledger.plugin.probe().unenforced.get(BENEATH, ""))


def test_a_switch_that_looks_at_one_refuses_what_it_would_have_to_judge(
    shallow: Scene, wire: PacketGuest
) -> None:
    assert "vlan-limit=2" in lacking(shallow)
    shallow.plug(parent(1, (2, 301)), carrying(sub_port(2, 7)))
    trunk = shallow.guest(port_id(1))
    (peer, judged) = shallow.guests(on(5, network=7), grouped(6))
    plain = tagged(hello(2, 5), 301)
    assert_only(peer, forbidden=[(trunk, tagged(hello(2, 5), 301, 6))], allowed=(trunk, plain),
                expect=equal(hello(2, 5)))  # fmt: skip
    assert_only(judged, forbidden=[(wire, tagged(hello(9, 6), 101, 5))],
                allowed=(wire, tagged(hello(9, 6), 101)), expect=equal(hello(9, 6)))  # fmt: skip
    assert not shallow.findings()


def test_a_switch_that_looks_at_two_judges_them(deep: Scene, wire: PacketGuest) -> None:
    assert lacking(deep) == ""
    deep.plug(parent(1, (2, 301)), carrying(sub_port(2, 7)))
    trunk = deep.guest(port_id(1))
    (peer, judged) = deep.guests(on(5, network=7), grouped(6))
    lie = f.udp(mac(2), mac(5), ipv4(9), ipv4(5))
    assert_only(peer, forbidden=[(trunk, tagged(lie, 301, 6))],
                allowed=(trunk, tagged(hello(2, 5), 301, 6)),
                expect=equal(tagged(hello(2, 5), 6)))  # fmt: skip
    refused = f.ping(mac(9), mac(6), ipv4(9), ipv4(6))
    assert_only(judged, forbidden=[(wire, tagged(refused, 101, 5))],
                allowed=(wire, tagged(hello(9, 6), 101, 5)),
                expect=equal(tagged(hello(9, 6), 5)))  # fmt: skip
    assert not deep.findings()


def test_no_tag_is_lost_where_the_switch_looks_at_two(deep: Scene, wire: PacketGuest) -> None:
    one, two = deep.guests(*(on(n, segment=vlan(101), port_security_enabled=False) for n in (1, 2)))
    assert_reaches(one, two, tagged(hello(1, 2), 5, 6))
    assert_reaches(one, wire, tagged(hello(1, 9), 5), expect=equal(tagged(hello(1, 9), 101, 5)))
    assert_reaches(wire, one, tagged(hello(9, 1), 101, 5, 6),
                   expect=equal(tagged(hello(9, 1), 5, 6)))  # fmt: skip
    assert_reaches(one, wire, tagged(hello(1, 9), 5, 6),
                   expect=equal(tagged(hello(1, 9), 101, 5, 6)))  # fmt: skip
