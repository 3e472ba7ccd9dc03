"""Which plugin serves a port, and what the caller is told where none does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.docs import document, port_id
from vifd import errors
from vifd.model import Attachment, decode
from vifd.negotiation import Candidate, choose, refusal_of, refuse
from vifd.plugin import Advert, Health, Probe, Requirement

READY = Probe(Health.READY)
DOWN = Probe(Health.UNAVAILABLE, ["ovsdb cannot be reached", "no bridge"])


def attachment(**changes: Any) -> Attachment:
    return decode(document(1, **changes)).attachment


def candidate(name: str = "a", **changes: Any) -> Candidate:
    probe = changes.pop("probe", READY)
    needs = changes.pop("needs", ())
    advert = {"vif_types": ("ovs", "bridge"), "network_types": ("local", "vlan")} | changes
    return Candidate(name, Advert(**advert), probe, tuple(needs))


MTU = errors.MtuTooLarge(facts={"wanted": 9000, "have": 1500, "bottleneck": "eth0"})

REFUSALS: list[tuple[dict[str, Any], Candidate, str, str]] = [
    ({"plugin": "b"}, candidate(), "E_PLUGIN_MISSING", "plugin"),
    ({"vif_type": "vhostuser"}, candidate(), "E_NEG_NO_COMMON_VIF", "vif_type"),
    ({"port__vnic_type": "direct"}, candidate(), "E_VNIC_UNSUPPORTED", "vnic"),
    ({}, candidate(network_types=("vlan",)), "E_SEG_TYPE_UNSUPPORTED", "segment"),
    ({}, candidate(needs=[Requirement("mtu", False, MTU)]), "E_PLUG_MTU", "requirement"),
    ({}, candidate(needs=[Requirement("hugepages", False)]), "E_PLUGIN_UNHEALTHY", "requirement"),
    ({}, candidate(probe=DOWN), "E_PLUGIN_UNHEALTHY", "health"),
]


@pytest.mark.parametrize(("doc", "asked", "code", "stage"), REFUSALS)
def test_each_refusal_has_its_code_and_stage(
    doc: dict[str, Any], asked: Candidate, code: str, stage: str
) -> None:
    error = refuse(attachment(**doc), asked)
    assert error is not None
    assert (error.code, error.stage) == (code, stage)
    assert "{" not in error.message


@pytest.mark.parametrize(
    "asked",
    [candidate(), candidate(probe=Probe(Health.DEGRADED, ["old kernel"])),
     candidate(needs=[Requirement("mtu", True, MTU)])],
)  # fmt: skip
def test_one_that_can_is_not_refused(asked: Candidate) -> None:
    assert refuse(attachment(), asked) is None


def test_the_first_that_can_is_chosen_and_the_refusals_before_it_are_kept() -> None:
    asked = [candidate("a", probe=DOWN), candidate("b"), candidate("c")]
    choice = choose(attachment(), asked)
    assert (choice.plugin, choice.vif_type) == ("b", "ovs")
    assert {name: e.code for name, e in choice.refusals.items()} == {"a": "E_PLUGIN_UNHEALTHY"}


def test_a_wish_decides_plugin_and_vif_type() -> None:
    asked = [candidate("a"), candidate("b")]
    choice = choose(attachment(plugin="b", vif_type="bridge"), asked)
    assert (choice.plugin, choice.vif_type) == ("b", "bridge")


def test_all_reasons_of_an_unavailable_plugin_are_told() -> None:
    error = refuse(attachment(), candidate(probe=DOWN))
    assert error is not None
    assert "ovsdb cannot be reached; no bridge" in error.message


def why(doc: Attachment, *asked: Candidate) -> errors.VifError:
    choice = choose(doc, asked)
    assert not choice.plugin
    return refusal_of(choice, doc, [c.name for c in asked])


def test_nothing_installed_is_a_missing_plugin() -> None:
    error = why(attachment())
    assert isinstance(error, errors.PluginMissing)
    assert error.facts == {"wanted": "normal", "have": []}
    assert error.port == port_id(1)


def test_a_wish_that_nobody_meets_names_what_there_is() -> None:
    error = why(attachment(plugin="sriov"), candidate("a"), candidate("b"))
    assert isinstance(error, errors.PluginMissing)
    assert error.facts == {"wanted": "sriov", "have": ["a", "b"]}


def test_the_only_refusal_is_told_as_it_is() -> None:
    error = why(attachment(), candidate(needs=[Requirement("mtu", False, MTU)]))
    assert error.code == "E_PLUG_MTU"
    assert error.candidates == []
    assert error.port == port_id(1)
    assert MTU.port == "", "what the plugin gave is not ours to change"


def test_what_was_not_asked_for_needs_no_excuse() -> None:
    error = why(attachment(plugin="b"), candidate("a"), candidate("b", probe=DOWN))
    assert error.code == "E_PLUGIN_UNHEALTHY"
    assert error.candidates == []


def test_of_several_the_one_that_got_furthest_gives_the_code() -> None:
    asked = [
        candidate("a", vnic_types=("direct",)),
        candidate("b", needs=[Requirement("mtu", False, MTU)]),
        candidate("c", network_types=("vlan",)),
    ]
    error = why(attachment(), *asked)
    assert error.code == "E_PLUG_MTU"
    assert error.facts == MTU.facts
    assert [c.code for c in error.candidates] == [
        "E_VNIC_UNSUPPORTED", "E_PLUG_MTU", "E_SEG_TYPE_UNSUPPORTED",
    ]  # fmt: skip
    assert error.message.startswith("none of 3 plugins can serve this port; the closest says: MTU")
    assert not error.to_dict()["retryable"]


def test_of_equals_the_preferred_one_is_told() -> None:
    asked = [candidate(n, probe=Probe(Health.UNAVAILABLE, [n])) for n in "abc"]
    error = why(attachment(), *asked)
    assert error.facts["plugin"] == "a"
    assert len(error.candidates) == 3


def test_it_may_be_tried_again_where_any_refusal_says_so() -> None:
    asked = [candidate("a", network_types=("vlan",)), candidate("b", probe=DOWN)]
    assert why(attachment(), *asked).to_dict()["retryable"]


CANDIDATES = st.lists(
    st.builds(
        lambda vnic, net, met, health: candidate(
            vnic_types=vnic, network_types=net, probe=Probe(health),
            needs=[Requirement("need", met)],
        ),
        vnic=st.sampled_from([("normal",), ("direct",)]),
        net=st.sampled_from([("local",), ("vlan",)]),
        met=st.booleans(),
        health=st.sampled_from(Health),
    ),
    max_size=5,
)  # fmt: skip


@given(CANDIDATES)
@settings(max_examples=60)
def test_every_candidate_is_chosen_refused_or_behind_the_chosen(some: list[Candidate]) -> None:
    doc = attachment()
    asked = [Candidate(f"p{n}", c.advert, c.probe, c.requirements) for n, c in enumerate(some)]
    choice = choose(doc, asked)
    able = [c.name for c in asked if refuse(doc, c) is None]
    assert choice.plugin == (able[0] if able else "")
    before = [c.name for c in asked][: len(choice.refusals)]
    assert list(choice.refusals) == before
    assert choice.plugin not in choice.refusals
    if not able:
        error = refusal_of(choice, doc, [c.name for c in asked])
        codes = {e.code for e in choice.refusals.values()} or {"E_PLUGIN_MISSING"}
        assert error.code in codes
        assert len(error.candidates) == (len(asked) if len(asked) > 1 else 0)
