"""The options of live migration, ``[migration]`` of agent.conf."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = [
    cfg.BoolOpt(
        "libvirt",
        default=True,
        mutable=True,
        help="Open a port of an INACTIVE binding as soon as libvirt says that its guest runs here "
        "(resumed by a migration), without waiting for the network service; and the port of a "
        "guest that runs on here because its migration failed.",
    ),
    cfg.IntOpt(
        "budget_ms",
        default=100,
        mutable=True,
        min=0,
        help="Milliseconds that a port may take from the word that its guest has arrived until it "
        "is open and announced. What takes longer is a warning that names the step that took most "
        "of it. 0 warns of nothing.",
    ),
]
