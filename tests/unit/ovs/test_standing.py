"""Names rebuilt from marks, held against what would be chosen: pure."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from vifd.testing.attachments import attachment, flat, vlan
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.numbers import Taken
from vifd_ovs.bridge.standing import completed, joined
from vifd_ovs.bridge.wiring import OvsWiring

PATCH, _ = marks.patch_names("br-int", "br-ex")


def bridges() -> Bridges:
    return Bridges(FakeMachine().ovsdb, "br-int", True, "netdev", {"physnet1": "br-ex"}, 1.0)


def names(**more: Any) -> OvsWiring:
    values: dict[str, Any] = {"bridge": "br-int", "ofport": 5, "tag": 3, "generation": 9}
    return OvsWiring(**values | more)


CHOSEN = names(
    ofport=77, tag=8, generation=1, network_id="n", network_type="vlan", segmentation_id=101,
    physical_network="physnet1", patch=PATCH,
)  # fmt: skip
NETWORK = ("n", "vlan", "physnet1", 101)


class TestCompleted:
    @pytest.mark.parametrize("segment", [flat(), vlan(101)])
    def test_what_document_and_configuration_decide_is_theirs(self, segment):
        wanted = attachment(1, segment=segment)
        found = completed(wanted, names(), bridges())
        assert found.patch == PATCH
        assert found.network_id == wanted.network.id
        assert found.segment == (
            segment["network_type"], "physnet1", segment.get("segmentation_id"),
        )  # fmt: skip
        assert (found.ofport, found.tag, found.generation) == (5, 3, 9)

    def test_right_names_are_the_same_object(self):
        wanted = attachment(1, segment=vlan(101))
        right = completed(wanted, names(), bridges())
        assert completed(wanted, right, bridges()) is right

    def test_a_network_without_a_mapping_keeps_its_way(self):
        wanted = attachment(1, segment=vlan(101, "physnet9"))
        found = completed(wanted, names(patch="int-old"), bridges())
        assert (found.patch, found.physical_network) == ("int-old", "physnet9")


class TestJoined:
    def test_numbers_that_were_found_are_kept_and_the_rest_is_as_chosen(self):
        found = joined(names(network_id="?", patch=""), CHOSEN, Taken("br-int"))
        assert (found.ofport, found.tag, found.generation) == (5, 3, 9)
        assert (found.network_id, found.patch) == ("n", PATCH)

    def test_the_tag_that_the_network_has_holds(self):
        taken = Taken("br-int", tags={4: NETWORK}, networks={NETWORK: 4})
        assert joined(names(), CHOSEN, taken).tag == 4

    @pytest.mark.parametrize("tag", [0, 3, 4095])
    def test_a_tag_of_another_network_or_none_is_not_believed(self, tag):
        taken = Taken("br-int", tags={3: ("other", "local", None, None)})
        assert joined(names(tag=tag), CHOSEN, taken).tag == CHOSEN.tag

    def test_a_number_that_is_taken_is_chosen_anew(self):
        assert joined(names(), CHOSEN, Taken("br-int", ofports={5})).ofport == 77
        assert joined(names(ofport=0), CHOSEN, Taken("br-int")).ofport == 77

    def test_a_lost_generation_is_drawn_anew(self):
        assert joined(names(generation=0), CHOSEN, Taken("br-int")).generation == 1

    def test_what_an_adopted_port_was_is_kept(self):
        found = joined(replace(names(), port_tag=7), CHOSEN, Taken("br-int"))
        assert found.port_tag == 7
