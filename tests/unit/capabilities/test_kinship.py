"""Parents and sub-ports that cannot stand beside each other."""

from __future__ import annotations

from typing import Any

import pytest

from functional.trunks.documents import parent, sub_port
from vifd.capabilities.binding import check
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.neighbours import Neighbours
from vifd.errors import FeatureUnenforced, TrunkConflict
from vifd.model import Attachment
from vifd.plugin import Advert, Health, Probe
from vifd.testing.attachments import attachment, port_id, vlan

ABLE = Advert(vif_types=("ovs",), network_types=("local", "vlan"), features=frozenset({"trunk"}))


def problems(wanted: Attachment, *present: Attachment) -> list[str]:
    found = check(wanted, ABLE, Probe(Health.READY), Inventory(), Neighbours(present), plugin="p")
    return [e.facts["problem"] for e in found if isinstance(e, TrunkConflict)]


def inheriting(number: int, tag: int) -> Attachment:
    return sub_port(number, 100 + tag, segment=vlan(tag))


@pytest.mark.parametrize(("wanted", "present", "words"), [
    (parent(1, (2, 5)), [parent(3, (2, 6))], "is a sub-port of port"),
    (parent(1, (2, 5)), [attachment(2)], "has a device of its own"),
    (attachment(2), [parent(1, (2, 5))], "device_owner is not trunk:subport"),
    (parent(2), [parent(1, (2, 5))], "device_owner is not trunk:subport"),
    (parent(1, (2, None)), [sub_port(2, 7)], "of its network, which is local"),
    (sub_port(2, 7), [parent(1, (2, None))], "shall inherit the VLAN"),
    (parent(1, (2, None), (3, 9)), [inheriting(2, 9)], "have VLAN 9"),
    (inheriting(2, 9), [parent(1, (2, None), (3, 9))], "have VLAN 9"),
    (inheriting(2, 9), [parent(1, (3, None), (2, None)), inheriting(3, 9)], "have VLAN 9"),
    (sub_port(3, 7), [parent(1, (3, 9), (2, None)), inheriting(2, 9)], "have VLAN 9"),
])  # fmt: skip
def test_conflicts(wanted: Attachment, present: list[Attachment], words: str) -> None:
    found = problems(wanted, *present)
    assert found
    assert all(words in text for text in found)


def test_a_trunk_has_one_parent() -> None:
    other = parent(3)
    trunk: dict[str, Any] = {"trunk_id": port_id(0xF003), "sub_ports": []}
    assert "has a parent here" in problems(attachment(1, trunk_details=trunk), other)[0]


@pytest.mark.parametrize(("wanted", "present"), [
    (parent(1, (2, 5), (3, None)), [sub_port(2, 7), inheriting(3, 9), attachment(4)]),
    (sub_port(2, 7), [parent(1, (2, 5), (3, None)), inheriting(3, 9)]),
    (inheriting(3, 9), [parent(1, (2, 5), (3, None)), sub_port(2, 7)]),
    (sub_port(2, 7), []),
    (parent(1, (2, 5)), [parent(1, (2, 6))]),
])  # fmt: skip
def test_what_goes_together(wanted: Attachment, present: list[Attachment]) -> None:
    assert problems(wanted, *present) == []


def test_who_is_gone_is_in_nobodys_way() -> None:
    index = Neighbours([parent(3, (2, 6)), attachment(4)])
    index.drop(port_id(3))
    index.drop(port_id(4))
    assert list(index.kinship.clashes(parent(1, (2, 5), (4, 6)))) == []


def test_a_plugin_without_trunks_makes_no_device_for_a_sub_port() -> None:
    found = check(sub_port(2, 7), Advert(vif_types=("tap",)), Probe(Health.READY), Inventory(), [])
    assert [e.facts["feature"] for e in found if isinstance(e, FeatureUnenforced)] == ["trunk"]
