"""What a guest must be like for a switch in user space to serve its device."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.errors import MemoryEncrypted, SharedMemoryMissing, VifError, ViommuUnsupported
from vifd.model import Attachment, Instance
from vifd.plugin.guest.device import VIRTIO, too_few_queues, wrong_model
from vifd.plugin.guest.memory import encryption, private_memory
from vifd.plugin.guest.precedence import asked


def vhost_user(
    attachment: Attachment, *, max_queues: int, file_backed: bool, iommu: bool = True
) -> Iterator[tuple[str, VifError | None]]:
    """Each need by name, with the refusal where it is not met: a virtio device, shared memory that
    is not encrypted, a virtual IOMMU that the switch can follow, the queues.

    Without an instance in the document nothing is known of the guest, and nothing is refused: what
    then runs is judged by its memory maps.

    :param max_queues: the most that a device gets
    :param file_backed: the memory of every guest is shared, whatever its flavor says
    :param iommu: the switch translates the addresses of a guest behind a virtual IOMMU
    """
    yield "vif_model", wrong_model(attachment, (VIRTIO,))
    instance = attachment.instance
    if instance is None:
        return
    encrypted = encryption(instance)
    yield "memory_not_encrypted", _encrypted(encrypted) if encrypted else None
    problem = None if file_backed else private_memory(instance)
    yield "shared_memory", None if problem is None else _private(problem)
    yield "viommu", None if iommu else _viommu(instance)
    yield "multiqueue", too_few_queues(attachment, max_queues)


def _encrypted(key: str) -> VifError:
    return MemoryEncrypted(facts={"property": key})


def _private(problem: str) -> VifError:
    return SharedMemoryMissing(facts={"problem": problem})


def _viommu(instance: Instance) -> VifError | None:
    wanted = asked(instance, "viommu_model").value
    if wanted in (None, "none"):
        return None
    problem = "the switch does not follow it (Open vSwitch: other_config:vhost-iommu-support)"
    return ViommuUnsupported(facts={"wanted": wanted, "problem": problem, "have": ["none"]})
