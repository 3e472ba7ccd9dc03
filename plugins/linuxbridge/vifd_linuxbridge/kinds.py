"""What bears our mark on a Linux bridge."""

from __future__ import annotations

from enum import StrEnum

from vifd.plugin import marked


class Kind(StrEnum):
    """What an object is."""

    DEVICE = marked.DEVICE
    CHAIN = "chain"  #: the filter of a port
    GUARD = "guard"  #: what cuts a device off that has no filter
    NETWORK_DEVICE = marked.NETWORK_DEVICE
