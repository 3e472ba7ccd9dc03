"""What the guest's device shall be like: pure functions of flavor and image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vifd.model import Attachment

_TRUE = ("1", "t", "true", "on", "y", "yes")


def _true(properties: Mapping[str, Any], key: str) -> bool:
    return str(properties.get(key, "")).strip().lower() in _TRUE


def model(attachment: Attachment) -> str:
    """The device model: the image's ``hw_vif_model``, else ``virtio``."""
    wanted = attachment.instance.image_properties.get("hw_vif_model") if attachment.instance else ""
    return str(wanted) if wanted else "virtio"


def queues(attachment: Attachment, limit: int) -> int:
    """How many queue pairs: one per vCPU, up to a limit, where flavor or image ask for it.

    :param limit: the most that a device gets on this host
    """
    instance = attachment.instance
    if instance is None or model(attachment) != "virtio":
        return 1
    asked = _true(instance.flavor_extra_specs, "hw:vif_multiqueue_enabled") or _true(
        instance.image_properties, "hw_vif_multiqueue_enabled"
    )
    return min(instance.vcpus, limit) if asked else 1
