"""What holds for any candidates: nothing is violated, order means nothing, more is better."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from unit.negotiation.cases import attachment
from vifd.capabilities import names
from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.meeting import meet
from vifd.capabilities.requirements import needs_of
from vifd.negotiation import Acceptable, Candidate, Choice, choose, refusal_of, refuse
from vifd.plugin import Advert, Health, Probe, Requirement
from vifd.plugin.vifs.versions import Range

TYPES = ("ovs", "vhostuser", "bridge", "tap")


@st.composite
def candidates(draw: Any) -> list[Candidate]:
    """Any plugins with names of their own, in any order of the host."""
    found = []
    for name in draw(st.lists(st.sampled_from("abcdefg"), unique=True, max_size=5)):
        advert = Advert(
            vif_types=tuple(draw(st.lists(st.sampled_from(TYPES), unique=True, min_size=1))),
            vnic_types=draw(st.sampled_from([("normal",), ("direct",), ("normal", "direct")])),
            network_types=draw(st.sampled_from([("local",), ("vlan",)])),
            on_request=draw(st.sampled_from([False, False, False, True])),
        )
        needs = tuple(
            Requirement(f"n{i}", draw(st.booleans())) for i in range(draw(st.integers(0, 2)))
        )
        rank = draw(st.integers(0, 3))
        found.append(
            Candidate(name, advert, Probe(draw(st.sampled_from(Health))), needs, rank=rank)
        )
    return found


ACCEPTABLE = st.none() | st.lists(
    st.builds(
        Acceptable,
        vif_type=st.sampled_from(TYPES),
        min_version=st.sampled_from(["1.0", "1.1"]),
        max_version=st.sampled_from([None, "1.0", "1.3"]),
    ),
    min_size=1,
    max_size=4,
)


def shape(choice: Choice) -> Any:
    usable = [(u.name, u.version, u.profile) for u in choice.usable]
    refused = [(r.candidate.name, r.vif_type, r.error.code, [e.code for e in r.also])
               for r in choice.refused]  # fmt: skip
    return usable, refused


@given(candidates(), ACCEPTABLE)
@settings(max_examples=150)
def test_what_is_usable_violates_nothing(some: list[Candidate], acceptable: Any) -> None:
    doc = attachment()
    for usable in choose(doc, some, acceptable).usable:
        one = usable.candidate
        assert all(need.met for need in one.requirements)
        assert one.probe.health is not Health.UNAVAILABLE
        assert doc.port.vnic_type in one.advert.vnic_types
        assert doc.network.segment.network_type in one.advert.network_types
        assert not one.advert.on_request
        assert usable.version in usable.kind.vif.versions
        if acceptable is not None:
            entry = acceptable[usable.order[0]]
            assert entry.vif_type == usable.vif_type
            assert usable.version in Range(entry.min_version, entry.max_version)


@given(candidates(), ACCEPTABLE, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_the_order_of_the_input_means_nothing(
    some: list[Candidate], acceptable: Any, chance: random.Random
) -> None:
    doc = attachment()
    other = list(some)
    chance.shuffle(other)
    one, two = choose(doc, some, acceptable), choose(doc, other, acceptable)
    assert shape(one) == shape(two)
    if not one.usable:
        have = [c.name for c in some]
        assert refusal_of(one, doc, have).to_dict() == refusal_of(two, doc, have).to_dict()


@given(candidates(), ACCEPTABLE)
@settings(max_examples=100)
def test_every_candidate_is_usable_or_refused(some: list[Candidate], acceptable: Any) -> None:
    doc = attachment()
    choice = choose(doc, some, acceptable)
    told = {u.candidate.name for u in choice.usable} | {r.candidate.name for r in choice.refused}
    assert told == {c.name for c in some}
    pairs = [u.name for u in choice.usable]
    pairs += [f"{r.candidate.name}/{r.vif_type}" for r in choice.refused]
    assert len(pairs) == len(set(pairs))
    if acceptable is None:
        able = {c.name for c in some if refuse(doc, c) is None}
        assert able == {u.candidate.name for u in choice.usable}


@given(candidates(), ACCEPTABLE)
@settings(max_examples=100)
def test_the_order_is_the_network_s_then_the_host_s(some: list[Candidate], acceptable: Any) -> None:
    ordered = [u.order for u in choose(attachment(), some, acceptable).usable]
    assert ordered == sorted(ordered)


@given(candidates())
@settings(max_examples=100)
def test_a_plugin_that_gets_better_is_never_lost(some: list[Candidate]) -> None:
    doc = attachment()
    before = {u.name for u in choose(doc, some).usable}
    for i, one in enumerate(some):
        met = tuple(replace(need, met=True) for need in one.requirements)
        better = replace(one, probe=Probe(Health.READY), requirements=met)
        after = {u.name for u in choose(doc, [*some[:i], better, *some[i + 1 :]]).usable}
        assert before <= after


NAMES = [
    names.vif_model("virtio"), names.vif_model("e1000"), names.MAX_QUEUES, names.TUN_MULTIQUEUE,
    names.VHOST_USER, names.VIRTIO_PACKED, names.SRIOV, names.VFIO, names.IOMMU, names.SWITCHDEV,
]  # fmt: skip


@st.composite
def inventories(draw: Any) -> Inventory:
    found = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        present = draw(st.sampled_from([True, False, None]))
        found[name] = Capability(name, present=present, value=draw(st.sampled_from([None, 1, 4])))
    return Inventory(found)


GUESTS = st.fixed_dictionaries(
    {},
    optional={
        "hw:vif_multiqueue_enabled": st.just("true"),
        "hw:virtio_packed_ring": st.just("true"),
        "hw:mem_page_size": st.sampled_from(["small", "large"]),
    },
)


@given(inventories(), st.sampled_from(NAMES), GUESTS, st.sampled_from(["virtio", "e1000", None]),
       st.sampled_from(["normal", "direct"]))  # fmt: skip
@settings(max_examples=200)
def test_a_capability_more_never_loses_a_candidate(
    before: Inventory, added: str, flavor: dict[str, str], model: str | None, vnic: str
) -> None:
    guest = {
        "id": "00000000-0000-4000-8000-000000000001", "vcpus": 4, "flavor_extra_specs": flavor,
        "image_properties": {"hw_vif_model": model} if model else {},
    }  # fmt: skip
    doc = attachment(instance=guest, port__vnic_type=vnic)
    value = 8 if added in (names.MAX_QUEUES, names.TUN_MULTIQUEUE) else None
    more = Capability(added, present=True, value=value)
    after = Inventory({**before.capabilities, added: more})
    assert usable(doc, before) <= usable(doc, after)


def usable(doc: Any, inventory: Inventory) -> set[str]:
    advert = Advert(("ovs", "vhostuser"), ("normal", "direct"), ("local",))
    probe, needs = Probe(Health.READY), needs_of(doc)
    asked = [
        Candidate("p", advert, probe, tuple(meet(needs, inventory, advert, probe, vif_type=kind)),
                  vif_type=kind)
        for kind in advert.vif_types
    ]  # fmt: skip
    return {u.name for u in choose(doc, asked).usable}
