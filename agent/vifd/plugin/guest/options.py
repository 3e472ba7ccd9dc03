"""Options of the guest's device that plugins have in common; each registers them in its group."""

from __future__ import annotations

from oslo_config import cfg

MAX_QUEUES = cfg.IntOpt(
    "max_queues",
    default=8,
    min=1,
    max=256,
    help="The most queues that a guest's device gets, whatever its number of vCPUs.",
)
TAP_OWNER = cfg.IntOpt(
    "tap_owner",
    min=0,
    help="Uid that may open the tap devices, usually that of QEMU; without it only processes "
    "with CAP_NET_ADMIN may.",
)
