"""What a vhost-user port needs of flavor and image."""

from __future__ import annotations

import msgspec
import pytest

from vifd.errors import (
    MemoryEncrypted,
    MultiqueueUnsupported,
    SharedMemoryMissing,
    VifModelUnsupported,
    ViommuUnsupported,
)
from vifd.plugin.guest import large_pages
from vifd.testing.attachments import attachment
from vifd_vhostuser.needs import guest_needs, unknown_guest

LARGE = {"hw:mem_page_size": "large"}


def refusals(flavor=None, image=None, *, max_queues=8, file_backed=False, vcpus=1):
    instance = {"vcpus": vcpus, "flavor_extra_specs": flavor or {}, "image_properties": image or {}}
    wanted = attachment(1, instance=instance)
    needs = guest_needs(wanted, max_queues=max_queues, file_backed=file_backed)
    return {type(need.error): need.error for need in needs if not need.met}


@pytest.mark.parametrize(
    "size", ["large", "any", "2048", "2MB", "2MiB", "1GB", "1048576", " Large"]
)
def test_large_pages_are_shared(size):
    assert large_pages(size)
    assert refusals({"hw:mem_page_size": size}) == {}


@pytest.mark.parametrize("size", ["small", "4", "4KB", "4k", "", "huge", "-1"])
def test_small_pages_are_not(size):
    assert not large_pages(size)
    assert set(refusals({"hw:mem_page_size": size})) == {SharedMemoryMissing}


def test_a_flavor_without_a_page_size_is_refused_with_its_reason():
    (error,) = refusals().values()
    assert error.code == "E_CAP_SHARED_MEMORY"
    assert "hw:mem_page_size" in error.message
    assert not error.retryable
    assert not error.reschedulable


def test_the_image_may_ask_for_the_pages():
    assert refusals(image={"hw_mem_page_size": "2MB"}) == {}


def test_file_backed_memory_needs_no_flavor():
    assert refusals(file_backed=True) == {}


@pytest.mark.parametrize(
    ("flavor", "image"), [({"hw:mem_encryption": "True"}, {}), ({}, {"hw_mem_encryption": True})]
)
def test_encrypted_memory_is_refused(flavor, image):
    assert set(refusals({**LARGE, **flavor}, image)) == {MemoryEncrypted}


def test_another_model_is_refused():
    (error,) = refusals(LARGE, {"hw_vif_model": "e1000"}).values()
    assert isinstance(error, VifModelUnsupported)
    assert "e1000" in error.message


def test_queues():
    many = {**LARGE, "hw:vif_multiqueue_enabled": "true"}
    assert refusals(many, vcpus=4) == {}
    assert refusals(many, vcpus=1, max_queues=1) == {}
    assert set(refusals(many, vcpus=4, max_queues=1)) == {MultiqueueUnsupported}


def test_a_virtual_iommu_needs_a_switch_that_follows_it():
    wanted = attachment(1, instance={"flavor_extra_specs": {**LARGE, "hw:viommu_model": "intel"}})
    found = {
        iommu: [
            need.error
            for need in guest_needs(wanted, max_queues=8, file_backed=False, iommu=iommu)
            if not need.met
        ]
        for iommu in (True, False)
    }
    assert found[True] == []
    (error,) = found[False]
    assert isinstance(error, ViommuUnsupported)
    assert "vhost-iommu-support" in error.message
    assert refusals({**LARGE, "hw:viommu_model": "none"}) == {}


def test_nothing_is_known_of_a_guest_that_is_not_named():
    bare = attachment(1)
    bare = type(bare)(**{**{f: getattr(bare, f) for f in bare.__struct_fields__}, "instance": None})
    assert all(n.met for n in guest_needs(bare, max_queues=1, file_backed=False))


def test_a_guest_that_nobody_knows_must_ask_for_it():
    stranger = msgspec.structs.replace(attachment(1), instance=None)
    (need,) = unknown_guest(stranger, asked=False)
    assert not need.met
    assert isinstance(need.error, SharedMemoryMissing)
    assert "no instance" in need.error.message
    assert not list(unknown_guest(stranger, asked=True))
    assert not list(unknown_guest(attachment(1, instance={}), asked=False))
