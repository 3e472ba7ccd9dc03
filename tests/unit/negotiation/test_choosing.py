"""Which plugin serves a port, and what the caller is told where none does."""

from __future__ import annotations

from typing import Any

import pytest

from unit.docs import port_id
from unit.negotiation.cases import DOWN, MTU, attachment, candidate
from vifd import errors
from vifd.model import Attachment
from vifd.negotiation import Acceptable, Candidate, choose, no_common_vif, refusal_of, refuse
from vifd.negotiation.refusing import STAGES
from vifd.plugin import Health, Probe, Requirement

SECOND = errors.PhysnetUnmapped(facts={"wanted": "p", "have": []})

#: A plugin that is installed, and made for another kind of host.
ELSEWHERE = Probe(Health.UNAVAILABLE, ["this host is none of its kind"], applies=False)

REFUSALS: list[tuple[dict[str, Any], Candidate, str, str]] = [
    ({"plugin": "b"}, candidate(), "E_PLUGIN_NOT_ASKED", "asked"),
    ({}, candidate(on_request=True), "E_PLUGIN_NOT_ASKED", "asked"),
    ({"vif_type": "vhostuser"}, candidate(), "E_NEG_NO_COMMON_VIF", "vif_type"),
    ({"port__vnic_type": "direct"}, candidate(), "E_VNIC_UNSUPPORTED", "vnic"),
    ({}, candidate(network_types=("vlan",)), "E_SEG_TYPE_UNSUPPORTED", "segment"),
    ({}, candidate(needs=[Requirement("mtu", False, MTU)]), "E_PLUG_MTU", "requirement"),
    ({}, candidate(needs=[Requirement("physnet", False, SECOND)]), "E_SEG_PHYSNET_UNMAPPED",
     "segment"),
    ({}, candidate(needs=[Requirement("hugepages", False)]), "E_PLUGIN_UNHEALTHY", "requirement"),
    ({}, candidate(probe=DOWN), "E_PLUGIN_UNHEALTHY", "health"),
    ({}, candidate(probe=ELSEWHERE), "E_PLUGIN_UNHEALTHY", "host"),
    ({}, candidate(findings=(MTU.copy().at("segment"),)), "E_PLUG_MTU", "segment"),
    ({}, candidate(findings=(errors.AddressesUnresolved(),)), "E_IP_DEFERRED_UNRESOLVED",
     "addresses"),
    ({}, candidate(findings=(errors.FeatureUnenforced(
        facts={"feature": "qos", "plugin": "a", "have": []}),)), "E_FEATURE_UNENFORCED",
     "features"),
]  # fmt: skip


@pytest.mark.parametrize(("doc", "asked", "code", "stage"), REFUSALS)
def test_each_refusal_has_its_code_and_stage(
    doc: dict[str, Any], asked: Candidate, code: str, stage: str
) -> None:
    error = refuse(attachment(**doc), asked)
    assert error is not None
    assert (error.code, error.stage) == (code, stage)
    assert stage in STAGES
    assert "{" not in error.message


def test_who_serves_a_network_type_is_said_and_what_the_plugin_has_itself() -> None:
    vlans = candidate("vlans", network_types=("vlan", "flat"))
    wanted = attachment(plugin="vlans")
    for others, words in (
        (
            (candidate("b"), candidate("c", on_request=True)),
            "ask for plugin b or c in the document",
        ),
        ((), "use a host with a plugin for local"),
    ):
        (refused,) = [r for r in choose(wanted, [vlans, *others]).refused if r.candidate is vlans]
        assert words in refused.error.hint
        assert "a segment of a type that it serves (vlan, flat)" in refused.error.hint


@pytest.mark.parametrize("said", [True, False])
def test_of_one_reason_said_twice_the_hint_of_the_plugin_is_told(said: bool) -> None:
    """The host's checks know no options of plugins."""
    own = errors.PhysnetUnmapped(facts=SECOND.facts, hint="tell OVN of it" if said else None)
    asked = candidate(findings=(SECOND,), needs=[Requirement("physnet", False, own)])
    (refused,) = choose(attachment(), [asked]).refused
    assert refused.also == ()
    assert refused.error.hint == ("tell OVN of it" if said else SECOND.remediation)
    assert SECOND.hint == SECOND.remediation


def test_a_plugin_for_another_kind_of_host_never_tells_why_a_port_has_none() -> None:
    near = candidate("a", needs=[Requirement("physnet", False, SECOND)])
    for asked in ([near, candidate("b", probe=ELSEWHERE)], [candidate("b", probe=ELSEWHERE), near]):
        error = no_common_vif(choose(attachment(), asked), attachment())
        assert error.facts["reason_code"] == "E_SEG_PHYSNET_UNMAPPED"


@pytest.mark.parametrize(
    "asked",
    [candidate(), candidate(probe=Probe(Health.DEGRADED, ["old kernel"])),
     candidate(needs=[Requirement("mtu", True, MTU)])],
)  # fmt: skip
def test_one_that_can_is_not_refused(asked: Candidate) -> None:
    assert refuse(attachment(), asked) is None


def test_every_reason_is_told_the_first_one_on_top() -> None:
    """A host that lacks three things is not mended in three rounds."""
    asked = candidate(
        probe=DOWN, needs=[Requirement("mtu", False, MTU)], network_types=("vlan",),
        vnic_types=("direct",),
    )  # fmt: skip
    (refused,) = choose(attachment(), [asked]).refused
    assert refused.error.code == "E_VNIC_UNSUPPORTED"
    codes = [error.code for error in refused.also]
    assert codes == ["E_SEG_TYPE_UNSUPPORTED", "E_PLUG_MTU", "E_PLUGIN_UNHEALTHY"]


def test_what_plugin_and_host_find_both_is_said_once() -> None:
    asked = candidate(needs=[Requirement("mtu", False, MTU)], findings=(MTU.copy().at("segment"),))
    (refused,) = choose(attachment(), [asked]).refused
    assert (refused.error.stage, refused.also) == ("segment", ())


def test_the_first_that_can_is_chosen_and_all_refusals_are_kept() -> None:
    asked = [
        candidate("a", probe=DOWN, rank=0), candidate("b", rank=1), candidate("c", rank=2),
        candidate("d", probe=DOWN, rank=3),
    ]  # fmt: skip
    choice = choose(attachment(), asked)
    assert (choice.plugin, choice.vif_type) == ("b", "ovs")
    assert [usable.name for usable in choice.usable] == ["b/ovs", "c/ovs"]
    codes = {name: e.code for name, e in choice.refusals.items()}
    assert codes == {"a": "E_PLUGIN_UNHEALTHY", "d": "E_PLUGIN_UNHEALTHY"}


def test_the_journal_keeps_how_it_was_chosen() -> None:
    asked = [candidate("a", probe=DOWN), candidate("b", rank=1), candidate("n", on_request=True)]
    selection = choose(attachment(), asked).selection(5.0)
    assert selection is not None
    assert (selection.vif_class, selection.version) == ("VIFOpenVSwitch", "1.0")
    assert (selection.profile, selection.profile_version) == ("VIFPortProfileOpenVSwitch", "1.4")
    assert selection.usable == ["b/ovs"]
    (refused,) = selection.refused
    assert (refused["plugin"], refused["error"]["code"]) == ("a", "E_PLUGIN_UNHEALTHY")
    assert (selection.at, selection.asked) == (5.0, False)


def test_a_wish_decides_plugin_and_vif_type() -> None:
    asked = [candidate("a"), candidate("b", vif_types=("ovs", "bridge"))]
    choice = choose(attachment(plugin="b", vif_type="bridge"), asked)
    assert (choice.plugin, choice.vif_type) == ("b", "bridge")
    assert [usable.name for usable in choice.usable] == ["b/bridge"]
    assert choice.asked


def test_every_vif_type_of_a_plugin_is_a_candidate_in_its_own_order() -> None:
    choice = choose(attachment(), [candidate("a", vif_types=("bridge", "ovs"))])
    assert [usable.name for usable in choice.usable] == ["a/bridge", "a/ovs"]


# --- the network side's list ----------------------------------------------------------------------


def taken(*entries: Acceptable, some: list[Candidate] | None = None) -> Any:
    asked = some or [
        candidate("a", vif_types=("ovs",)), candidate("b", vif_types=("vhostuser",), rank=1),
        candidate("c", vif_types=("bridge",), rank=2),
    ]  # fmt: skip
    return choose(attachment(), asked, list(entries))


def test_the_network_side_s_order_comes_before_the_host_s() -> None:
    choice = taken(
        Acceptable(vif_class="VIFVHostUser"), Acceptable(vif_type="bridge"),
        Acceptable(vif_type="ovs"),
    )  # fmt: skip
    assert [usable.name for usable in choice.usable] == ["b/vhostuser", "c/bridge", "a/ovs"]


def test_what_the_network_side_does_not_take_is_refused_by_name() -> None:
    choice = taken(Acceptable(vif_class="VIFBridge"))
    assert choice.plugin == "c"
    codes = {name: e.code for name, e in choice.refusals.items()}
    assert codes == {"a": "E_NEG_NO_COMMON_VIF", "b": "E_NEG_NO_COMMON_VIF"}
    assert "does not accept VIFOpenVSwitch" in choice.refusals["a"].message


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        (Acceptable(vif_class="VIFVHostUser"), "1.1"),
        (Acceptable(vif_class="VIFVHostUser", max_version="1.0"), "1.0"),
        (Acceptable(vif_class="VIFVHostUser", max_version="1.7"), "1.1"),
        (Acceptable(vif_class="VIFVHostUser", min_version="1.1", max_version="3.0"), "1.1"),
    ],
)
def test_the_highest_common_version_is_taken(entry: Acceptable, version: str) -> None:
    chosen = taken(entry).chosen
    assert (chosen.version, chosen.profile) == (version, ("VIFPortProfileOpenVSwitch", "1.4"))


def test_versions_that_do_not_meet() -> None:
    error = taken(Acceptable(vif_class="VIFVHostUser", min_version="1.2")).refusals["b"]
    assert (error.code, error.stage) == ("E_NEG_NO_COMMON_VERSION", "version")
    assert error.facts["have"] == "VIFVHostUser 1.0 to 1.1"
    assert "VIFVHostUser 1.2 to any" in error.message


def test_of_several_entries_that_do_not_meet_the_first_is_told() -> None:
    wanted = [Acceptable(vif_class="VIFVHostUser", min_version=v) for v in ("1.2", "1.3")]
    assert "VIFVHostUser 1.2 to any" in taken(*wanted).refusals["b"].message


def test_port_profiles_are_negotiated_as_well() -> None:
    from vifd.negotiation import AcceptableProfile as Profile

    newer = Profile("VIFPortProfileOpenVSwitch", min_version="1.5")
    older = Profile("VIFPortProfileOpenVSwitch", max_version="1.2")
    base = Profile("VIFPortProfileBase")
    entry = Acceptable(vif_type="vhostuser", port_profiles=[newer, base, older])
    assert taken(entry).chosen.profile == ("VIFPortProfileBase", "1.1")
    entry = Acceptable(vif_type="ovs", port_profiles=[older])
    assert taken(entry).chosen.profile == ("VIFPortProfileOpenVSwitch", "1.2")
    error = taken(Acceptable(vif_type="ovs", port_profiles=[newer])).refusals["a"]
    assert error.code == "E_NEG_NO_COMMON_VERSION"
    assert "VIFPortProfileOpenVSwitch 1.5 to any" in error.message


def test_a_later_entry_may_take_what_an_earlier_one_does_not() -> None:
    newer = Acceptable(vif_type="ovs", min_version="2.0")
    choice = taken(newer, Acceptable(vif_type="ovs"))
    assert choice.chosen.order[0] == 1


def test_an_entry_may_name_the_plugin() -> None:
    some = [candidate("a"), candidate("b", rank=1)]
    assert taken(Acceptable(vif_type="ovs", plugin="b"), some=some).plugin == "b"


# --- nobody can -----------------------------------------------------------------------------------


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
    assert error.facts == MTU.facts
    assert error.candidates == []
    assert error.port == port_id(1)
    assert MTU.port == "", "what the plugin gave is not ours to change"


def test_what_was_not_asked_for_needs_no_excuse() -> None:
    error = why(attachment(plugin="b"), candidate("a"), candidate("b", probe=DOWN))
    assert error.code == "E_PLUGIN_UNHEALTHY"
    assert error.candidates == []


def test_the_reasons_of_an_unavailable_plugin_are_all_told() -> None:
    error = why(attachment(), candidate(probe=DOWN))
    assert "ovsdb cannot be reached; no bridge" in error.message


def test_of_several_the_one_that_got_furthest_is_on_top() -> None:
    asked = [
        candidate("a", vnic_types=("direct",)),
        candidate("b", needs=[Requirement("mtu", False, MTU)], rank=1),
        candidate("c", network_types=("vlan",), rank=2),
        candidate("n", on_request=True, rank=3),
    ]
    error = why(attachment(), *asked)
    assert (error.code, error.stage, error.http) == ("E_NEG_NO_COMMON_VIF", "negotiate", 409)
    assert error.facts == {
        "reason_code": "E_PLUG_MTU", "reason": MTU.message, "plugin": "b", "vif_type": "ovs",
    }  # fmt: skip
    assert error.hint == MTU.hint
    assert [(c.code, c.facts["plugin"]) for c in error.candidates] == [
        ("E_PLUG_MTU", "b"), ("E_SEG_TYPE_UNSUPPORTED", "c"), ("E_VNIC_UNSUPPORTED", "a"),
    ]  # fmt: skip
    assert error.message.startswith(
        "none of 3 candidates can serve this port; the closest, b/ovs, says E_PLUG_MTU: MTU 9000"
    )
    assert not error.to_dict()["retryable"]
    assert "plugin" not in MTU.facts


def test_of_equals_the_preferred_one_is_told() -> None:
    down = {n: Probe(Health.UNAVAILABLE, [n]) for n in "abc"}
    asked = [candidate(n, probe=down[n], rank=rank) for rank, n in enumerate("bca")]
    error = why(attachment(), *asked)
    assert error.facts["plugin"] == "b"
    assert [c.facts["plugin"] for c in error.candidates] == ["b", "c", "a"]


def test_it_may_be_tried_again_where_any_refusal_says_so() -> None:
    asked = [candidate("a", network_types=("vlan",)), candidate("b", probe=DOWN)]
    assert why(attachment(), *asked).to_dict()["retryable"]


def test_one_candidate_is_no_better_than_the_worst_against_it() -> None:
    """Its uplink comes back, the device model does not; another host has the same flavor."""
    down = errors.PhysnetDown(facts={"wanted": "p", "device": "e", "problem": "link down"})
    model = errors.VifModelUnsupported(facts={"wanted": "x", "have": []})
    only = candidate("a", findings=(down,), needs=[Requirement("model", False, model)])
    for asked in ([only], [only, candidate("b", findings=(model,), rank=1)]):
        for error in (
            no_common_vif(choose(attachment(), asked), attachment()), why(attachment(), *asked)
        ):  # fmt: skip
            body = error.to_dict()
            assert not body["retryable"], body
            assert not body["reschedulable"], body
    other = [only, candidate("b", network_types=("vlan",), rank=1)]
    body = no_common_vif(choose(attachment(), other), attachment()).to_dict()
    assert (body["retryable"], body["reschedulable"]) == (False, True)
    assert [c["reschedulable"] for c in body["candidates"]] == [False, True]


def test_how_long_to_wait_is_the_shortest_of_those_that_may_help() -> None:
    soon, later = (errors.PhysnetDown(retry_after=s, facts={"wanted": s}) for s in (2.0, 5.0))
    never = errors.PhysnetDown(retry_after=1.0, facts={"wanted": 1})
    asked = [
        candidate("a", findings=(later,)), candidate("b", findings=(soon,), rank=1),
        candidate("c", findings=(never, MTU), rank=2),
    ]  # fmt: skip
    body = no_common_vif(choose(attachment(), asked), attachment()).to_dict()
    assert (body["retryable"], body["retry_after"]) == (True, 2.0)


def test_versions_that_do_not_meet_are_closer_than_what_is_not_taken_at_all() -> None:
    asked = [candidate("a", vif_types=("vhostuser",)), candidate("b", rank=1)]
    found = choose(attachment(), asked, [Acceptable(vif_type="ovs", min_version="9.0")])
    error = no_common_vif(found, attachment())
    assert (error.facts["reason_code"], error.facts["plugin"]) == ("E_NEG_NO_COMMON_VERSION", "b")


@pytest.mark.parametrize("name", ["of-tomorrow", ""])
def test_an_offer_for_a_plugin_that_is_not_here_says_so(name: str) -> None:
    wanted = attachment(plugin=name)
    found = choose(wanted, [candidate("a"), candidate("n", on_request=True)])
    error = no_common_vif(found, wanted)
    assert error.code == "E_NEG_NO_COMMON_VIF"
    assert error.facts["reason_code"] == "E_PLUGIN_MISSING"
    assert (error.facts["wanted"], error.facts["have"]) == (name, ["a", "n"])
    assert [c.code for c in error.candidates] == ["E_PLUGIN_MISSING"]
    assert error.hint == errors.PluginMissing.remediation
    assert why(wanted, candidate("a")).facts["wanted"] == name


def test_one_candidate_is_not_called_several() -> None:
    error = no_common_vif(choose(attachment(), [candidate("a", probe=DOWN)]), attachment())
    assert error.message.startswith("a/ovs cannot serve this port: E_PLUGIN_UNHEALTHY: plugin 'a'")


def test_an_offer_of_nothing_is_no_common_vif_whatever_the_reason() -> None:
    for asked in ([candidate(probe=DOWN)], [candidate(on_request=True)], []):
        error = no_common_vif(choose(attachment(), asked), attachment())
        assert error.code == "E_NEG_NO_COMMON_VIF"
        assert len(error.candidates) == len(asked)


def test_further_reasons_stand_in_the_facts() -> None:
    asked = candidate(probe=DOWN, needs=[Requirement("mtu", False, MTU)])
    error = why(attachment(), asked)
    assert error.code == "E_PLUG_MTU"
    (also,) = error.facts["also"]
    assert also.startswith("E_PLUGIN_UNHEALTHY: plugin 'a' cannot work")


def test_what_stands_against_every_candidate_is_the_port_s_own_reason() -> None:
    """It is no matter of negotiation, and nobody else's hopes make it better."""
    conflict = errors.FlavorImageConflict(
        facts={"property": "x", "flavor": 1, "image": 2, "problem": "they differ"}
    )
    asked = [
        candidate("a", network_types=("vlan",), needs=[Requirement("c", False, conflict)]),
        candidate("b", probe=DOWN, needs=[Requirement("c", False, conflict)], rank=1),
    ]
    error = why(attachment(), *asked)
    assert (error.code, error.http) == ("E_CAP_FLAVOR_IMAGE_CONFLICT", 400)
    assert not error.to_dict()["retryable"]
    assert not error.to_dict()["reschedulable"]
    codes = [(c.code, c.facts["plugin"], len(c.facts["also"])) for c in error.candidates]
    assert codes == [("E_CAP_FLAVOR_IMAGE_CONFLICT", n, 1) for n in "ab"]
    offered = no_common_vif(choose(attachment(), asked), attachment())
    assert offered.code == "E_NEG_NO_COMMON_VIF"


def test_that_all_are_unwell_is_no_reason_of_the_port_s() -> None:
    error = why(attachment(), candidate("a", probe=DOWN), candidate("b", probe=DOWN, rank=1))
    assert error.code == "E_NEG_NO_COMMON_VIF"
    assert error.to_dict()["retryable"]


def test_two_features_that_nobody_enforces_are_two_reasons() -> None:
    found = tuple(
        errors.FeatureUnenforced(facts={"feature": f, "plugin": "a", "have": []})
        for f in ("trunk", "qinq")
    )
    (refused,) = choose(attachment(), [candidate(findings=found)]).refused
    assert [e.facts["feature"] for e in (refused.error, *refused.also)] == ["trunk", "qinq"]


def test_a_refusal_tells_the_facts_of_the_plugin_that_has_the_vif_type() -> None:
    """What another plugin lacks explains nothing to somebody who asked for this one's VIF type."""

    def unmapped(plugin: str, have: list[str]) -> errors.PhysnetUnmapped:
        return errors.PhysnetUnmapped(facts={"wanted": "x", "have": have, "plugin": plugin})

    asked = [
        candidate("a", vif_types=("bridge",), findings=(unmapped("a", []),)),
        candidate("b", vif_types=("ovs",), findings=(unmapped("b", ["physnet1"]),), rank=1),
    ]
    error = why(attachment(vif_type="ovs"), *asked)
    assert (error.code, error.facts["plugin"]) == ("E_SEG_PHYSNET_UNMAPPED", "b")
    assert error.facts["have"] == ["physnet1"]
    error = why(attachment(), *asked)
    assert error.code == "E_SEG_PHYSNET_UNMAPPED"
