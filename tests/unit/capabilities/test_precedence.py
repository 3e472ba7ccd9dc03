"""Flavor against image: what holds, what conflicts."""

from __future__ import annotations

import pytest

from unit.capabilities.asking import asking
from vifd.errors import FlavorImageConflict
from vifd.plugin import guest

AGREE = [
    ("vif_multiqueue_enabled", "true", "false"),
    ("virtio_packed_ring", "yes", "no"),
    ("mem_encryption", True, False),
    ("locked_memory", "1", "0"),
    ("mem_encryption_model", "amd-sev", "amd-sev-es"),
    ("pci_numa_affinity_policy", "required", "preferred"),
    ("viommu_model", "intel", "virtio"),
]


def ask(name, flavor=None, image=None):
    specs = {} if flavor is None else {f"hw:{name}": flavor}
    properties = {} if image is None else {f"hw_{name}": image}
    return guest.asked(asking(specs, properties).instance, name)


@pytest.mark.parametrize(("name", "one", "other"), AGREE)
def test_what_both_state_must_agree(name, one, other):
    assert ask(name, one, one).conflict is None
    conflict = ask(name, one, other).conflict
    assert isinstance(conflict, FlavorImageConflict)
    assert (conflict.code, conflict.http) == ("E_CAP_FLAVOR_IMAGE_CONFLICT", 400)
    assert not conflict.retryable
    assert not conflict.reschedulable
    assert f"hw:{name}" in conflict.message
    assert f"hw_{name}" in conflict.message


@pytest.mark.parametrize(("name", "one", "other"), AGREE)
def test_one_of_the_two_is_enough(name, one, other):
    flavor, image = ask(name, flavor=one), ask(name, image=one)
    assert flavor.value == image.value
    assert flavor.value is not None
    assert (flavor.source, image.source) == (
        f"flavor extra spec hw:{name}", f"image property hw_{name}",
    )  # fmt: skip
    assert flavor.conflict is image.conflict is None
    assert ask(name).value is None


def test_equal_meanings_in_other_words_agree():
    assert ask("vif_multiqueue_enabled", "true", "YES").conflict is None
    assert ask("virtio_packed_ring", False, "off").conflict is None
    assert ask("viommu_model", "Intel", "intel").conflict is None


def test_an_empty_value_states_nothing():
    assert ask("viommu_model", "", "virtio").value == "virtio"
    assert ask("vif_multiqueue_enabled", " ").value is None


@pytest.mark.parametrize(
    ("flavor", "image", "value", "conflicts"),
    [
        ("large", None, "large", False),
        ("large", "2MB", "2mb", False),
        ("any", "small", "small", False),
        ("large", "large", "large", False),
        ("2048", "2048", "2048", True),
        ("small", "large", "small", True),
        (None, "large", "large", True),
    ],
)
def test_the_image_refines_the_page_size(flavor, image, value, conflicts):
    """nova: where the flavor leaves a choice, and only there."""
    found = ask("mem_page_size", flavor, image)
    assert found.value == value
    assert (found.conflict is not None) is conflicts


@pytest.mark.parametrize(
    ("flavor", "image", "value", "conflicts"),
    [
        ("shared", "dedicated", "shared", True),
        ("shared", "mixed", "shared", True),
        ("shared", "shared", "shared", False),
        ("dedicated", "shared", "dedicated", False),
        (None, "dedicated", "dedicated", False),
    ],
)
def test_the_image_takes_no_cpus_that_the_flavor_does_not_give(flavor, image, value, conflicts):
    found = ask("cpu_policy", flavor, image)
    assert found.value == value
    assert (found.conflict is not None) is conflicts


def test_numa_nodes_are_stated_once():
    assert ask("numa_nodes", "2", "2").conflict is not None
    assert ask("numa_nodes", "2").conflict is ask("numa_nodes", image=2).conflict is None


@pytest.mark.parametrize("name", ["vif_model", "machine_type"])
def test_the_flavor_has_no_say(name):
    assert ask(name, "x", "y").value == "y"
    assert ask(name, "x").value is None


@pytest.mark.parametrize("name", ["emulator_threads_policy", "cpu_realtime"])
def test_the_image_has_no_say(name):
    assert ask(name, None, "yes").value is None
    assert ask(name, "yes", "no").value
    assert ask(name, "yes", "no").conflict is None


def test_every_property_is_read_by_a_rule():
    """A property of the table that no rule reads would be a promise that nobody keeps."""
    tested = {name for name, _one, _other in AGREE} | {
        "mem_page_size", "cpu_policy", "numa_nodes", "vif_model", "machine_type",
        "emulator_threads_policy", "cpu_realtime",
    }  # fmt: skip
    assert tested == set(guest.PROPERTIES)


def test_without_an_instance_nothing_is_asked():
    assert guest.asked(None, "vif_model") == guest.Asked()
