"""The guest's device: its model and its queues."""

from __future__ import annotations

from collections.abc import Collection

from vifd.errors import MultiqueueUnsupported, VifModelUnsupported
from vifd.model import Attachment
from vifd.plugin.guest.precedence import asked

VIRTIO = "virtio"
#: Device models that nova accepts with libvirt on KVM or QEMU.
MODELS = (
    VIRTIO, "e1000", "e1000e", "igb", "vmxnet3", "rtl8139", "ne2k_pci", "pcnet", "spapr-vlan",
    "lan9118",
)  # fmt: skip
#: vnic types whose device is a piece of hardware: the guest sees that, and no model of QEMU.
PASSTHROUGH = frozenset(
    (
        "direct", "direct-physical", "accelerator-direct", "accelerator-direct-physical",
        "remote-managed",
    )
)  # fmt: skip


def model(attachment: Attachment) -> str:
    """The device model: the image's ``hw_vif_model``, else ``virtio``."""
    return asked(attachment.instance, "vif_model").value or VIRTIO


def queues(attachment: Attachment, limit: int) -> int:
    """How many queue pairs: one per vCPU, up to a limit, where flavor or image ask for it.

    :param limit: the most that a device gets on this host
    """
    instance = attachment.instance
    if instance is None or model(attachment) != VIRTIO:
        return 1
    several = asked(instance, "vif_multiqueue_enabled").value
    return max(1, min(instance.vcpus, limit)) if several else 1


def too_few_queues(attachment: Attachment, limit: int) -> MultiqueueUnsupported | None:
    """Several queues are asked for and one is all there is. Fewer than vCPUs are no refusal."""
    wanted = queues(attachment, attachment.instance.vcpus) if attachment.instance else 1
    if wanted == 1 or limit > 1:
        return None
    return MultiqueueUnsupported(facts={"wanted": wanted, "have": limit})


def wrong_model(attachment: Attachment, have: Collection[str]) -> VifModelUnsupported | None:
    """The image asks for a device model that is not among those that can be had."""
    wanted = model(attachment)
    if wanted in have:
        return None
    return VifModelUnsupported(facts={"wanted": wanted, "have": sorted(have)})


def tap_mac(mac: str) -> str:
    """A tap's own MAC address: never the guest's, as libvirt has it. With the guest's, a host that
    speaks IPv6 on the tap would have the guest's own link-local address, and the guest would find
    a duplicate; and a bridge keeps frames to the addresses of its ports' devices for the host."""
    first = "fe" if mac[:2] != "fe" else "ee"
    return f"{first}{mac[2:]}"
