"""What bears our mark on Open vSwitch."""

from __future__ import annotations

from enum import StrEnum

from vifd.plugin import marked


class Kind(StrEnum):
    """What an object is."""

    SWITCH_PORT = "switch port"
    FLOWS = "flows"  #: all flows of one cookie on one bridge
    PATCH = "patch port"
    TUNNEL = "tunnel port"
    BRIDGE = "bridge"
    DEVICE = marked.DEVICE
    GUARD = "guard"  #: what keeps the host from hearing a tap
