"""What becomes of connections when ports join and leave groups, address groups change, and a port
comes where another one was."""

from __future__ import annotations

from typing import Any

import pytest

from functional.groups.packets import answer
from functional.groups.packets import first as first_packet
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.table import GROUP, HOLDS, PEER, PORT
from functional.groups.test_changes import ALL_OUT, IN, OTHER, talks, udp_in
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat
from vifd.testing.guests import PacketGuest
from vifd.testing.sandbox import PrivateOvs

THIRD = "11111111-0000-4000-8000-000000000003"


def plug(rig: Rig, groups: list[str], **peer: Any) -> None:
    rig.plug(
        port=attachment(1, segment=flat(), security_groups=groups),
        peer=attachment(2, segment=flat(), **peer),
    )


@pytest.mark.parametrize("version", [4, 6])
def test_an_address_group_that_changes(rig: Rig, version: int) -> None:
    """Whose address goes is cut, whatever prefix it came with; others go on."""
    near, wide = (PEER.ip4, "10.0.0.0/29") if version == 4 else (PEER.ip6, "fd00::/125")
    rule = {**IN, "ethertype": f"IPv{version}", "protocol": "udp",
            "remote_address_group_id": HOLDS}  # fmt: skip
    rig.put("address-group", HOLDS, addresses=[])
    rig.say(GROUP, rule)
    plug(rig, [GROUP])
    seen = []
    for addresses in ([], [near], [near, wide], [wide], [wide, near], ["10.7.0.0/16"], [wide]):
        rig.put("address-group", HOLDS, addresses=addresses)
        seen.append(talks(rig, "udp:53", 900, version))
    both, none = (True, True), (False, False)
    assert seen == [none, both, both, both, both, none, both]


def test_a_port_that_leaves_a_group_is_no_member_any_more(rig: Rig) -> None:
    rig.say(GROUP, {**IN, "remote_group_id": OTHER}, *ALL_OUT)
    rig.say(OTHER, *ALL_OUT, {**IN, "ethertype": "IPv4"})
    rig.say(THIRD, *ALL_OUT, {**IN, "ethertype": "IPv4"})
    plug(rig, [GROUP], security_groups=[OTHER])
    assert talks(rig, "udp:53", 900) == (True, True)
    plug(rig, [GROUP], security_groups=[THIRD])
    assert talks(rig, "udp:53", 900) == (False, False)
    plug(rig, [GROUP], security_groups=[THIRD, OTHER])
    assert talks(rig, "udp:53", 900) == (True, True)


def test_a_group_that_a_port_leaves_takes_what_only_it_allowed(rig: Rig) -> None:
    rig.say(GROUP, udp_in(53))
    rig.say(OTHER, udp_in(53), udp_in(54))
    plug(rig, [GROUP, OTHER])
    assert [talks(rig, name, 900) for name in ("udp:53", "udp:54")] == [(True, True)] * 2
    plug(rig, [GROUP])
    found = [talks(rig, name, 900) for name in ("udp:53", "udp:54")]
    assert found == [(True, True), (False, False)]
    plug(rig, [])
    assert talks(rig, "udp:53", 900) == (False, False)


def test_groups_with_state_and_without_on_one_port(rig: Rig) -> None:
    """Each group judges for itself: what either lets pass passes."""
    rig.say(GROUP, udp_in(53))
    rig.say(OTHER, udp_in(54), stateful=False)
    plug(rig, [GROUP, OTHER])
    found = [talks(rig, name, 900 + n) for n, name in enumerate(("udp:53", "udp:54", "udp:55"))]
    assert found == [(True, True), (True, False), (False, False)]


def test_port_security_off_and_on_again(rig: Rig) -> None:
    rig.say(GROUP, udp_in(53))
    plug(rig, [GROUP])
    assert talks(rig, "tcp:80", 900) == (False, False)
    off = attachment(1, segment=flat(), security_groups=[GROUP], port_security_enabled=False)
    rig.plug(port=off)
    assert talks(rig, "udp:7", 901)[0]
    plug(rig, [GROUP])
    assert talks(rig, "udp:7", 901) == (False, False)
    assert talks(rig, "udp:53", 902) == (True, True)


def _comes_where_another_was(rig: Rig) -> None:
    """The port, its number and its VLAN come back in another network: what the one before it began
    is no connection there."""
    rig.say(GROUP, *ALL_OUT)

    def both(network: int) -> None:
        segment = {"network_type": "local"}
        rig.plug(
            port=attachment(1, network=network, segment=segment, security_groups=[GROUP]),
            peer=attachment(2, network=network, segment=segment),
        )

    both(1)
    details = rig.ledger.records[rig.names["port"]].names.details
    asked = first_packet("udp:53", PORT, PEER, 4, 900)
    assert rig.arrives("port", asked, "peer")
    assert rig.arrives("peer", answer("udp:53", PEER, PORT, 4, 900), "port")
    for name in ("port", "peer"):
        rig.guests.pop(name).close() if isinstance(rig, RealRig) else None  # type: ignore[attr-defined]
        assert not rig.ledger.unplug(rig.names[name])
    both(2)
    again = rig.ledger.records[rig.names["port"]].names.details
    assert (again["ofport"], again["tag"]) == (details["ofport"], details["tag"])
    assert not rig.arrives("peer", answer("udp:53", PEER, PORT, 4, 900), "port")
    assert rig.arrives("port", asked, "peer")
    assert rig.arrives("peer", answer("udp:53", PEER, PORT, 4, 900), "port")


def test_a_number_and_a_vlan_that_are_reused() -> None:
    with FakeRig() as rig:
        _comes_where_another_was(rig)


def test_the_same_on_a_switch(ovs: PrivateOvs, wire: PacketGuest) -> None:
    with RealRig(ovs, wire) as rig:
        _comes_where_another_was(rig)


@pytest.mark.parametrize("header", [43, 60])
def test_what_is_behind_headers_of_ipv6_is_judged(rig: Rig, header: int) -> None:
    """The protocol of a rule is that of the upper layer (RFC 8200, 4.7), whatever stands before."""
    rig.say(GROUP, udp_in(53, ethertype="IPv6"))
    plug(rig, [GROUP])

    def behind(dport: int) -> bytes:
        whole = f.udp(PEER.mac, PORT.mac, PEER.ip6, PORT.ip6, sport=900, dport=dport)
        # eight bytes: routing with no address left, or destination options that are padding
        more = bytes((f.UDP, 0, 4, 0, 0, 0, 0, 0) if header == 43 else (f.UDP, 0, 1, 4, 0, 0, 0, 0))
        return f.ipv6(PEER.mac, PORT.mac, PEER.ip6, PORT.ip6, header, more + whole[54:])

    assert rig.arrives("peer", behind(53), "port")
    assert not rig.arrives("peer", behind(54), "port")
