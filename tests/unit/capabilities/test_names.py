"""The names are those of os-traits, and its rules for names of one's own."""

from __future__ import annotations

import os_traits
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.capabilities import names


def constants():
    for name, value in vars(names).items():
        if not name.isupper():
            continue
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, str) and value.isupper() and not value.endswith("_"):
            yield value


@pytest.mark.parametrize("name", sorted(set(constants())))
def test_each_is_in_the_catalogue_or_a_custom_one(name):
    assert os_traits.check_traits([name]) == ({name}, set()) or os_traits.is_custom(name)


def test_none_is_custom_where_the_catalogue_has_a_name():
    for trait in os_traits.get_traits(prefix="COMPUTE_NET_VIF_MODEL_"):
        word = trait.removeprefix("COMPUTE_NET_VIF_MODEL_").lower()
        assert trait in {names.vif_model(word), names.vif_model(word.replace("_", "-"))}
    for trait in os_traits.get_traits(prefix="COMPUTE_VIOMMU_MODEL_"):
        assert trait == names.viommu_model(trait.rsplit("_", 1)[1].lower())


@given(st.text(min_size=1))
def test_own_names_are_made_as_the_catalogue_makes_them(word):
    assert names.physnet(word) == os_traits.normalize_name(f"PHYSNET_{word}")
    assert names.vnic_type(word) == os_traits.normalize_name(f"VNIC_TYPE_{word}")
    assert names.vif_model(f"x-{word}") == os_traits.normalize_name(f"VIF_MODEL_x-{word}")


@pytest.mark.parametrize(
    ("kib", "name"),
    [(2048, "2MB"), (1 << 20, "1GB"), (64, "64KB"), (16 << 20, "16GB"), (32 << 10, "32MB"),
     (1536, "1536KB")],
)  # fmt: skip
def test_sizes_of_pages_are_named_by_the_largest_unit_that_fits(kib, name):
    assert names.hugepages(kib) == f"CUSTOM_HUGEPAGES_{name}"
