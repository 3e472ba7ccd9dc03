"""What a vhost-user port needs of the guest: pure functions of flavor and image."""

from __future__ import annotations

from collections.abc import Iterator

from vifd import guest
from vifd.errors import MemoryEncrypted, SharedMemoryMissing
from vifd.model import Attachment
from vifd.plugin import Requirement

MODEL = "virtio"


def guest_needs(
    attachment: Attachment, *, max_queues: int, file_backed: bool
) -> Iterator[Requirement]:
    """Shared memory that is not encrypted, a virtio device, and the queues.

    Without an instance in the document nothing is known of the guest, and nothing is refused: what
    then runs is judged by its memory maps.

    :param file_backed: the memory of every guest is shared, whatever its flavor says
    """
    model = guest.wrong_model(attachment, (MODEL,))
    yield Requirement("vif_model", model is None, model)
    instance = attachment.instance
    if instance is None:
        return
    encrypted = guest.encryption(instance)
    yield Requirement(
        "memory_not_encrypted", not encrypted, MemoryEncrypted(facts={"property": encrypted})
    )
    problem = None if file_backed else guest.private_memory(instance)
    yield Requirement(
        "shared_memory", problem is None, SharedMemoryMissing(facts={"problem": problem})
    )
    queues = guest.too_few_queues(attachment, max_queues)
    yield Requirement("multiqueue", queues is None, queues)
