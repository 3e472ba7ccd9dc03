"""The options of the host's capabilities, ``[capabilities]`` of agent.conf."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        "emulator",
        default="",
        help="The QEMU binary that guests are run with. It is asked once, without a machine, which "
        "devices it has. Empty takes the one that libvirt names, or the one that is installed.",
    ),
]
