"""Marks are read as they were written; cookies tell whose a flow is."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from vifd.drivers import PortRow
from vifd.errors import InternalError
from vifd.model import Role, Wiring, decode
from vifd.plugin import packing
from vifd.policy.addresses import allowed, link_local
from vifd.testing.attachments import attachment, mac, port_id, vlan
from vifd_ovs.bridge import cookies, marks, wiring
from vifd_ovs.bridge.wiring import OvsWiring

NAMES = OvsWiring(
    bridge="br-int",
    ofport=4711,
    tag=3,
    generation=0x1F2A,
    network_id="n",
    network_type="vlan",
    physical_network="physnet1",
    segmentation_id=101,
    plugged=True,
)


def row(**fields):
    wanted = attachment(1, segment=vlan(101))
    ids = marks.external_ids(wanted, NAMES, "ovs") | marks.document_ids(wanted)
    made = PortRow("tap1", "br-int", ofport=4711, ofport_request=4711, tag=3, external_ids=ids)
    return replace(made, **fields)


class TestExternalIds:
    def test_what_other_software_reads(self):
        ids = row().external_ids
        assert ids["iface-id"] == port_id(1)
        assert ids["attached-mac"] == mac(1)
        assert ids["vm-uuid"] == attachment(1).instance_id
        assert ids["iface-status"] == "active"

    def test_names_come_back(self):
        assert marks.wiring_of(row()) == NAMES

    def test_the_document_comes_back_in_the_role_that_was_found(self):
        wanted = attachment(1, segment=vlan(101), name="web")
        document = marks.document_of(row(external_ids=marks.document_ids(wanted)), Role.INACTIVE)
        again = decode(document).attachment
        assert again.role is Role.INACTIVE
        assert (again.port, again.network) == (wanted.port, wanted.network)

    def test_the_role_alone_changes_no_mark(self):
        assert "role" not in marks.pack(attachment(1))
        one = decode(marks.document_of(row(), Role.ACTIVE)).attachment
        other = decode(marks.document_of(row(), Role.INACTIVE)).attachment
        assert marks.document_ids(one) == marks.document_ids(other)

    @pytest.mark.parametrize("text", ["", "?", "e30=", "eJwDAAAAAAE="])
    def test_a_damaged_document_is_none(self, text):
        damaged = row(external_ids={packing.DOCUMENT: text})
        assert marks.document_of(damaged, Role.ACTIVE) is None

    def test_a_very_long_document_is_left_out(self):
        import random

        dice = random.Random(1)
        pairs = [
            {"ip_address": ".".join(str(dice.randrange(256)) for _ in range(4))}
            for _ in range(1000)
        ]
        wanted = attachment(1, allowed_address_pairs=pairs)
        assert marks.document_ids(wanted) == {packing.DOCUMENT: ""}

    @pytest.mark.parametrize("ids", [{}, {marks.SEGMENT: "x"}, {marks.GENERATION: "zz"}])
    def test_marks_that_others_damaged_are_read_as_far_as_they_go(self, ids):
        names = marks.wiring_of(row(external_ids=ids))
        assert (names.bridge, names.ofport, names.tag) == ("br-int", 4711, 3)


class TestKnown:
    """A row whose marks somebody took away."""

    names = msgspec.structs.replace(NAMES, ifindex=17)

    def test_by_number_and_device(self):
        assert marks.known(row(external_ids={}, ifindex=17), self.names)

    @pytest.mark.parametrize(
        "other", [{"ofport_request": 5}, {"ifindex": 18}, {"ifindex": None}, {"bridge": "br-ex"}]
    )
    def test_one_that_differs_is_another(self, other):
        assert not marks.known(row(**{"external_ids": {}, "ifindex": 17, **other}), self.names)

    def test_one_that_was_never_plugged_is_not_known(self):
        planned = msgspec.structs.replace(self.names, plugged=False)
        assert not marks.known(row(ifindex=17), planned)
        assert not marks.known(row(ifindex=None), NAMES)


def test_an_empty_type_is_a_device_of_the_kernel():
    assert marks.kind("") == marks.kind("system") != marks.kind("internal")


def test_alias_both_ways():
    assert marks.port_of_alias(marks.alias(port_id(1))) == port_id(1)
    assert marks.port_of_alias("something else") is None


def test_patch_names_fit_and_differ():
    names = marks.patch_names("br-int", "br-a") + marks.patch_names("br-int", "br-b")
    assert len(set(names)) == 4
    assert all(len(name) <= 15 for name in names)
    assert marks.patch_names("br-int", "br-a") == names[:2]


class TestCookies:
    def test_layout(self):
        assert cookies.port(0x1F2A, 4711) == 0x7601_1F2A_0000_1267
        assert cookies.network(3) == 0x7602_0000_0000_0003
        assert cookies.BRIDGE == 0x7603_0000_0000_0000

    def test_all_are_ours(self):
        for cookie in (cookies.port(1, 1), cookies.network(1), cookies.BRIDGE):
            assert cookies.ours(cookie)
            assert cookie & cookies.OURS[1] == cookies.OURS[0]
        assert not cookies.ours(0x1234)

    def test_words(self):
        assert cookies.describe(cookies.port(0x1F2A, 4711)) == "port 4711 of generation 0x1f2a"
        assert cookies.describe(cookies.network(3)) == "network with local VLAN 3"
        assert cookies.describe(0x99) == "foreign cookie 0x99"


class TestWiring:
    def test_round_trip(self):
        assert wiring.read(Wiring("ovs", "ovs", "tap1", NAMES.details())) == NAMES

    def test_one_that_makes_no_sense(self):
        with pytest.raises(InternalError, match="tap1"):
            wiring.read(Wiring("ovs", "ovs", "tap1", {"bridge": 1}))

    def test_one_of_another_plugin(self):
        assert wiring.read_if(Wiring("x", "x", "eth0", {"bridge": "b"})) is None


class TestAddresses:
    def test_link_local(self):
        assert link_local("fa:16:3e:00:00:05") == "fe80::f816:3eff:fe00:5"

    def test_own_mac_comes_first_and_covered_prefixes_go(self):
        pairs = [
            {"ip_address": "10.9.0.0/24", "mac_address": "00:00:5e:00:01:01"},
            {"ip_address": "10.9.0.5", "mac_address": "00:00:5E:00:01:01"},
            {"ip_address": "10.0.0.1"},
        ]
        found = allowed(attachment(1, allowed_address_pairs=pairs))
        assert [a.mac for a in found] == [mac(1), "00:00:5e:00:01:01"]
        assert found[0].ipv4 == ("10.0.0.1",)
        assert found[1].ipv4 == ("10.9.0.0/24",)
