"""A token binds a choice to the host that it was made on, and says what has changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.docs import port_id
from unit.negotiation.cases import DOWN, attachment, candidate
from vifd import errors
from vifd.negotiation import Candidate, choose, offer, spoken, token
from vifd.plugin import Health, Probe, Uplink

NOW = 1000.0
SEGMENT = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}


def probe(health: Health = Health.READY, mtu: int = 1500, **facts: Any) -> Probe:
    uplink = Uplink("br-eth1", up=True, mtu=mtu)
    return Probe(health, facts=facts, physical_networks={"physnet1": uplink})


def doc() -> Any:
    return attachment(network__segment=SEGMENT)


def one(**changes: Any) -> Candidate:
    given = {"probe": probe(bridge="br-int"), "version": "1.2", **changes}
    return candidate("ovs", **given)


def other(**changes: Any) -> Candidate:
    return candidate("bridge", vif_types=("bridge",), rank=1, probe=probe(), **changes)


def made(*asked: Candidate) -> Any:
    choice = choose(doc(), asked or (one(), other()))
    return offer(doc(), choice, contract="1.0", now=NOW, ttl=60.0)


def redeem(text: str, *asked: Candidate, at: float = NOW + 1) -> Any:
    claims = token.read(text, "query.token")
    return token.redeem(claims, doc(), choose(doc(), asked), at)


def changed(text: str, *asked: Candidate, at: float = NOW + 1) -> dict[str, Any]:
    with pytest.raises(errors.TokenStale) as caught:
        redeem(text, *asked, at=at)
    assert caught.value.http == 409
    return {c["fact"]: (c["was"], c["is"]) for c in caught.value.facts["changed"]}


def test_the_same_host_gives_what_was_offered() -> None:
    choice = redeem(made().token, one(), other())
    assert (choice.plugin, choice.vif_type, choice.asked) == ("ovs", "ovs", True)


def test_the_token_of_another_port_is_none_of_this_one() -> None:
    claims = token.read(made().token, "query.token")
    twin = attachment(network__segment=SEGMENT, port__id=port_id(2))
    with pytest.raises(errors.TokenStale) as caught:
        token.redeem(claims, twin, choose(twin, [one()]), NOW)
    (change,) = caught.value.facts["changed"]
    assert change == {"fact": "port", "was": port_id(1), "is": port_id(2)}


def test_an_offer_says_how_well_each_is() -> None:
    poor = one(probe=Probe(Health.DEGRADED, ["slow"], {}, probe().physical_networks))
    offered = made(poor, other(), candidate("z", probe=DOWN))
    said = [(c.plugin, c.health, c.reasons) for c in offered.candidates]
    assert said == [("ovs", "degraded", ["slow"]), ("bridge", "ready", [])]
    assert [r.health for r in offered.refused] == ["unavailable"]


def test_the_token_of_another_candidate_takes_that_one() -> None:
    second = made().candidates[1]
    assert second.plugin == "bridge"
    choice = redeem(second.token, one(), other())
    assert choice.plugin == "bridge"
    assert [u.name for u in choice.usable] == ["bridge/bridge", "ovs/ovs"]


def test_a_better_candidate_meanwhile_does_not_take_the_port_away() -> None:
    text = made(one()).token
    assert redeem(text, one(), candidate("best", rank=-1)).plugin == "ovs"


@pytest.mark.parametrize(
    ("now", "fact", "was", "have"),
    [
        (one(version="1.3"), "plugin.version", "1.2", "1.3"),
        (one(probe=probe(Health.DEGRADED, bridge="br-int")), "plugin.health", "ready", "degraded"),
        (one(probe=probe(bridge="br-new")), "plugin.bridge", "br-int", "br-new"),
        (one(probe=probe(mtu=9000, bridge="br-int")), "physical_network.physnet1.mtu", 1500, 9000),
        (one(consulted={"COMPUTE_NET_VIF_MODEL_VIRTIO": [True, None]}),
         "capability.COMPUTE_NET_VIF_MODEL_VIRTIO", None, [True, None]),
    ],
)  # fmt: skip
def test_what_has_changed_is_said(now: Candidate, fact: str, was: Any, have: Any) -> None:
    text = made(one()).token
    assert changed(text, now) == {fact: (was, have)}


def test_what_the_offer_did_not_depend_on_may_change() -> None:
    noisy = one(probe=probe(bridge="br-int", dpdk_memory_free=3))
    assert redeem(made(one()).token, noisy).plugin == "ovs"


def test_the_next_port_on_a_bridge_makes_no_token_stale() -> None:
    """Nor does the first, which has the bridge made."""
    bare = {"name": "br-int", "exists": False}
    full = {"name": "br-int", "exists": True, "made_by_vifd": True, "ports": 4}
    text = made(one(probe=probe(bridge=bare))).token
    assert redeem(text, one(probe=probe(bridge=full))).plugin == "ovs"
    assert redeem(text, one(probe=probe(bridge={**full, "ports": 5}))).plugin == "ovs"
    other_one = one(probe=probe(bridge={**full, "name": "br-new"}))
    assert changed(text, other_one) == {"plugin.bridge": ("br-int", "br-new")}


@pytest.mark.parametrize("learned", [[True, None], [False, None], [True, 8]])
def test_what_was_not_known_yet_may_be_learned(learned: list[Any]) -> None:
    """An offer that was made while the host was still being read."""
    text = made(one(consulted={"COMPUTE_NET_VIF_MODEL_VIRTIO": [None, None]})).token
    now = one(consulted={"COMPUTE_NET_VIF_MODEL_VIRTIO": learned})
    assert redeem(text, now).plugin == "ovs"


def test_a_candidate_that_cannot_any_more_says_why() -> None:
    text = made(one()).token
    with pytest.raises(errors.TokenStale) as caught:
        redeem(text, one(probe=DOWN))
    facts = {c["fact"] for c in caught.value.facts["changed"]}
    assert {"candidate", "plugin.health", "plugin.bridge"} <= facts
    assert [e.code for e in caught.value.candidates] == ["E_PLUGIN_UNHEALTHY"]
    assert "plugin.health was ready, is unavailable" in caught.value.message


def test_a_plugin_that_is_gone() -> None:
    assert changed(made().token, other())["plugin"] == ("ovs", None)


def test_it_holds_for_its_time_and_its_port() -> None:
    text = made(one()).token
    assert redeem(text, one(), at=NOW + 60).plugin == "ovs"
    assert changed(text, one(), at=NOW + 61) == {"token.expires": (NOW + 60, NOW + 61)}
    claims = token.read(text, "query.token")
    elsewhere = attachment(network__segment={**SEGMENT, "segmentation_id": 8})
    with pytest.raises(errors.TokenStale, match=r"network\.segment was"):
        token.redeem(claims, elsewhere, choose(elsewhere, [one()]), NOW)


def test_it_holds_the_version_that_was_agreed_on() -> None:
    from vifd.negotiation import Acceptable

    entry = Acceptable(vif_type="vhostuser", max_version="1.0")
    vhost = candidate("v", vif_types=("vhostuser",), probe=probe())
    choice = choose(doc(), [vhost], [entry])
    text = offer(doc(), choice, contract="1.0", now=NOW, ttl=60.0).token
    again = redeem(text, vhost)
    assert (again.chosen.version, again.selection(NOW).version) == ("1.0", "1.0")


def test_it_fits_into_a_query() -> None:
    assert len(made().token) < 1000
    assert token.read(made().token, "x").plugin == "ovs"


@pytest.mark.parametrize("text", ["", "v1.", "v2.AAAA", "v1.!!!!", "v1.AAAAAAAAAAAAAAAA", "ü"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        token.read(text, "query.token")
    assert caught.value.facts["field"] == "query.token"


def test_letters_of_another_alphabet_are_damage() -> None:
    """Of a token of any time: each sum has other letters."""
    spelt = str.maketrans("-_", "+/")
    offers = (offer(attachment(), choose(attachment(), [one()]), contract="1.0", now=now, ttl=60)
              for now in range(50))  # fmt: skip
    found = [o.token for o in offers if {*"-_"} & {*o.token}]
    assert found
    for text in found:
        with pytest.raises(errors.BadDocument):
            token.read(text.translate(spelt), "query.token")


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_a_damaged_token_is_never_believed(at: int, letter: str) -> None:
    text = made().token
    at %= len(text)
    other_text = text[:at] + letter + text[at + 1 :]
    if other_text == text:
        return
    try:
        claims = token.read(other_text, "query.token")
    except errors.BadDocument:
        return
    # the last letter holds bits that are no part of the value
    assert claims == token.read(text, "query.token")
    assert at == len(text) - 1


def test_contract_versions() -> None:
    assert spoken(None) == spoken("1.0") == "1.0"
    for wanted in ("1.1", "2.0", "0.9"):
        with pytest.raises(errors.ContractVersion) as caught:
            spoken(wanted)
        assert caught.value.http == 406
        assert caught.value.facts["have"] == "1.0"
        assert spoken(caught.value.facts["have"]) == "1.0", "one retry is enough"
    with pytest.raises(errors.BadDocument):
        spoken("newest")
