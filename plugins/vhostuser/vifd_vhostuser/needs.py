"""What a vhost-user port needs of the guest: pure functions of flavor and image."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.errors import SharedMemoryMissing
from vifd.model import Attachment
from vifd.plugin import Requirement
from vifd.plugin.guest import vhost_user

MODEL = "virtio"


def guest_needs(
    attachment: Attachment, *, max_queues: int, file_backed: bool, iommu: bool = False
) -> Iterator[Requirement]:
    """The needs of :func:`vifd.plugin.guest.vhost_user`, met or not."""
    for name, error in vhost_user(
        attachment, max_queues=max_queues, file_backed=file_backed, iommu=iommu
    ):
        yield Requirement(name, error is None, error)


def unknown_guest(attachment: Attachment, *, asked: bool) -> Iterator[Requirement]:
    """A guest of which the document tells nothing gets such a port only if it asks for it: the
    memory of most is not shared."""
    if attachment.instance is None and not asked:
        problem = "the document has no instance, so nothing is known of its memory"
        yield Requirement("shared_memory", False, SharedMemoryMissing(facts={"problem": problem}))
