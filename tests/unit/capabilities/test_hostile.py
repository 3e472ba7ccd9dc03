"""Flavors and images hold what users write: whatever it is, there is an answer, and it is JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.capabilities.asking import OVS, VHOST, asking, host
from vifd.capabilities import names
from vifd.capabilities.binding import check
from vifd.capabilities.enforcement import report
from vifd.capabilities.meeting import meet
from vifd.capabilities.neighbours import Neighbours
from vifd.capabilities.requirements import needs_of
from vifd.plugin import Health, Probe, guest

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
WORDS = st.sampled_from(
    ["true", "large", "any", "2MB", "99999999999999999999GB", "0", "required", "dedicated", "auto",
     "intel", "q35", "amd-sev", "virtio", "\x00", "e1000\n"]
)  # fmt: skip
FLAVOR = [p.flavor_key for p in guest.PROPERTIES.values()] + ["trait:X", "trait:", "quota:vif_x"]
IMAGE = [p.image_key for p in guest.PROPERTIES.values()] + ["trait:Y"]


def properties(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    known = st.dictionaries(st.sampled_from(keys), ANY | WORDS, max_size=6)
    other = st.dictionaries(st.text(max_size=10), ANY, max_size=2)
    return st.builds(lambda a, b: {**b, **a}, known, other)


@given(
    flavor=properties(FLAVOR),
    image=properties(IMAGE),
    profile=properties(["trusted", "capabilities", "allocation"]),
    kind=st.sampled_from(["normal", "direct", "vdpa", "", "x" * 255]),
)
@settings(max_examples=150)
def test_there_is_always_an_answer(flavor: Any, image: Any, profile: Any, kind: str) -> None:
    wanted = asking(flavor, image, vnic_type=kind, binding_profile=profile)
    needs = needs_of(wanted)
    known = host(**{names.vif_model("virtio"): 1, names.SRIOV: None, names.MAX_QUEUES: 1})
    probe = Probe(Health.READY, facts={"pmd_cores": {"0": [1]}})
    refused = [r.error for advert in (OVS, VHOST)
               for r in meet(needs, known, advert, probe) if not r.met]  # fmt: skip
    refused += check(wanted, OVS, probe, known, Neighbours(), plugin="ovs", strict=True)
    for error in refused:
        assert error is not None
        msgspec.json.encode(error.to_dict())
    msgspec.json.encode(report(wanted, OVS, plugin="ovs"))
    msgspec.json.encode(needs.traits)
