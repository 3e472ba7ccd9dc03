"""What a vhost-user port needs of the guest: pure functions of flavor and image."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vifd import guest
from vifd.errors import (
    MemoryEncrypted,
    MultiqueueUnsupported,
    SharedMemoryMissing,
    VifModelUnsupported,
)
from vifd.model import Attachment, Instance
from vifd.plugin import Requirement

MODEL = "virtio"
_TRUE = ("1", "t", "true", "on", "y", "yes")
#: KiB of an ordinary page; what is larger is a huge page, and those are always shared.
_SMALL = 4
_SIZE = re.compile(r"^(\d+)\s*([kmg]?)i?b?$")
_UNITS = {"": 1, "k": 1, "m": 1024, "g": 1024 * 1024}


def guest_needs(
    attachment: Attachment, *, max_queues: int, file_backed: bool
) -> Iterator[Requirement]:
    """Shared memory that is not encrypted, a virtio device, and the queues.

    Without an instance in the document nothing is known of the guest, and nothing is refused: what
    then runs is judged by its memory maps.

    :param file_backed: the memory of every guest is shared, whatever its flavor says
    """
    model = guest.model(attachment)
    facts = {"wanted": model, "have": [MODEL]}
    yield Requirement("vif_model", model == MODEL, VifModelUnsupported(facts=facts))
    instance = attachment.instance
    if instance is None:
        return
    encrypted = encryption(instance)
    yield Requirement(
        "memory_not_encrypted", not encrypted, MemoryEncrypted(facts={"property": encrypted})
    )
    problem = None if file_backed else private_memory(instance)
    yield Requirement(
        "shared_memory", problem is None, SharedMemoryMissing(facts={"problem": problem})
    )
    wanted = guest.queues(attachment, instance.vcpus)
    enough = wanted == 1 or max_queues > 1
    refusal = MultiqueueUnsupported(facts={"wanted": wanted, "have": max_queues})
    yield Requirement("multiqueue", enough, refusal)


def encryption(instance: Instance) -> str:
    """The property that asks for encrypted memory, or the empty string."""
    for properties, key in (
        (instance.flavor_extra_specs, "hw:mem_encryption"),
        (instance.image_properties, "hw_mem_encryption"),
    ):
        if str(properties.get(key, "")).strip().lower() in _TRUE:
            return key
    return ""


def private_memory(instance: Instance) -> str | None:
    """Why the guest's memory would not be shared, or ``None``."""
    for properties, key in (
        (instance.flavor_extra_specs, "hw:mem_page_size"),
        (instance.image_properties, "hw_mem_page_size"),
    ):
        if key in properties:
            wanted = str(properties[key])
            return None if large_pages(wanted) else f"{key} is {wanted!r}, which is a small page"
    return "the flavor has no hw:mem_page_size"


def large_pages(text: str) -> bool:
    """Whether a page size is a large one: ``large``, ``any``, or a size such as ``2MB``; a number
    alone counts KiB."""
    text = text.strip().lower()
    found = _SIZE.match(text)
    if found is None:
        return text in ("large", "any")
    return int(found.group(1)) * _UNITS[found.group(2)] > _SMALL
