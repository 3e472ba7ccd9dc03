"""What plugins on taps say of a port, alike for all of them."""

from __future__ import annotations

from vifd.drivers import Links
from vifd.errors import VifError
from vifd.model import Attachment, Vif, Wiring
from vifd.plugin import Requirement, guest, queues


def queues_needed(attachment: Attachment, limit: int) -> Requirement:
    """The guest's queues, as many as a device gets here."""
    few = guest.too_few_queues(attachment, limit)
    return Requirement("multiqueue", few is None, few)


def obstacles(
    links: Links, attachment: Attachment, wiring: Wiring, limit: int, *, made: bool
) -> list[VifError]:
    """A guest that has the tap open for other queues than the document asks.

    :param made: the kind that is on record
    """
    return queues.obstacles(links, attachment, wiring.device, limit, made=made)


def vif(attachment: Attachment, wiring: Wiring, limit: int, *, made: bool, bridge: str) -> Vif:
    """``ethernet``, not managed: the device is there before the guest and after it."""
    return Vif(
        type="ethernet",
        device=wiring.device,
        mac_address=attachment.mac,
        managed=False,
        model=guest.model(attachment),
        queues=queues.told(attachment, limit, made=made),
        mtu=attachment.network.mtu,
        bridge=bridge,
    )
