"""What the guest's device shall be like: pure functions of flavor and image.

The rules are nova's; plugins and the host's own checks read them here, so that each is written
once.
"""

from __future__ import annotations

from vifd.plugin.guest.device import (
    MODELS,
    PASSTHROUGH,
    VIRTIO,
    model,
    queues,
    tap_mac,
    too_few_queues,
    wrong_model,
)
from vifd.plugin.guest.memory import encryption, large_pages, page_size, private_memory
from vifd.plugin.guest.precedence import PROPERTIES, Asked, Precedence, Property, asked, boolean
from vifd.plugin.guest.spelling import misspelt
from vifd.plugin.guest.vhostuser import vhost_user

__all__ = [
    "MODELS",
    "PASSTHROUGH",
    "PROPERTIES",
    "VIRTIO",
    "Asked",
    "Precedence",
    "Property",
    "asked",
    "boolean",
    "encryption",
    "large_pages",
    "misspelt",
    "model",
    "page_size",
    "private_memory",
    "queues",
    "tap_mac",
    "too_few_queues",
    "vhost_user",
    "wrong_model",
]  # fmt: skip
