"""Ports of others on the VLAN of a network of ours, and what a flood says of them."""

from __future__ import annotations

from dataclasses import replace

from vifd.drivers import PortRow
from vifd.openflow.field import LOCAL
from vifd.testing.attachments import attachment, port_id
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.flows import Network, network_flows
from vifd_ovs.bridge.neighbours import NOBODY, Neighbours, neighbours
from vifd_ovs.bridge.ports import switch_port
from vifd_ovs.bridge.tables import DELIVER
from vifd_ovs.bridge.wiring import NOWHERE, OvsWiring


def row(name: str, ofport: int | None, tag: int | None = None, **more) -> PortRow:
    return PortRow(name, "br-int", ofport=ofport, tag=tag, admin_state="up", **more)


OURS = {marks.PORT: port_id(1)}
ROWS = [
    row("a", 1, 7), row("b", 2, 7), row("other", 3, 8), row("trunk", 4),
    row("ours", 5, 7, external_ids=OURS), row("patch", 6, NOWHERE, external_ids={marks.PATCH: "x"}),
    row("broken", -1, 7), row("br-int", 65534),
]  # fmt: skip


def test_an_access_vlan_has_its_ports_and_the_trunks():
    found = neighbours(ROWS, 7)
    assert found == Neighbours((1, 2), (4,), 7)
    assert found.without({1}) == Neighbours((2,), (4,), 7)


def test_untagged_frames_go_to_all_without_a_tag_and_to_the_host():
    assert neighbours(ROWS, 0) == Neighbours((4, LOCAL), (), 0)
    down = [replace(ROWS[-1], admin_state="down")]
    assert not neighbours(down, 0)


def _port(number: int, port_tag: int | None):
    wiring = OvsWiring(bridge="br-int", ofport=100 + number, tag=1, generation=1, port_tag=port_tag)
    return switch_port(attachment(number), wiring, opened=True)


def outputs(others: Neighbours) -> str:
    flows = network_flows(Network(1, ("local", None, None), neighbours=others), [_port(1, 7)])
    return " | ".join(str(f) for f in flows if f.table == DELIVER)


def test_a_flood_reaches_them_and_so_does_what_is_known_to_nobody():
    text = outputs(Neighbours((1, 2), (4,), 7))
    assert text.count("output:1,output:2") == 2
    assert "push_vlan" in text
    assert "output:4" in text
    assert "output:2" not in outputs(NOBODY)


def test_a_member_is_no_neighbour_of_itself():
    assert "output:101,output:101" not in outputs(Neighbours((101,)))


def test_the_row_of_a_port_that_shares_its_vlan():
    plain = OvsWiring(bridge="b", ofport=1, tag=5, generation=1)
    assert (plain.row_tag(opened=True), plain.row_tag(opened=False)) == (5, 5)
    shared = OvsWiring(bridge="b", ofport=1, tag=5, generation=1, port_tag=7)
    assert (shared.row_tag(opened=True), shared.row_tag(opened=False)) == (7, NOWHERE)
    untagged = OvsWiring(bridge="b", ofport=1, tag=5, generation=1, port_tag=0)
    assert (untagged.row_tag(opened=True), untagged.row_tag(opened=False)) == (None, NOWHERE)
