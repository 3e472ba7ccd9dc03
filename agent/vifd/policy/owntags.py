"""VLAN tags that guests set themselves, on networks that carry them. Pure.

As the Networking API has it: a network is ``vlan_transparent``, or ``qinq``, whose own tag is that
of a service provider (IEEE 802.1ad) above those of its customers.
"""

from __future__ import annotations

from vifd.model import Attachment
from vifd.model.attachment import Network
from vifd.model.members import groups_of
from vifd.model.trunks import is_sub_port

TRANSPARENT, QINQ = "vlan_transparent", "qinq"
FEATURES = (TRANSPARENT, QINQ)
#: The feature of a plugin that looks beneath two tags: a network's or sub-port's, and the guest's.
BENEATH = "vlan_transparent.beneath"
#: Ethernet types of a customer's tag and of a service provider's.
C_TAG, S_TAG = 0x8100, 0x88A8

_FLAT = (
    "on a flat network a guest's tag would be a VLAN of the physical network, which may be another "
    "network's: it is dropped at the port"
)
_NO_TAG = (
    "a network of type {kind} has no tag of its own, which could be the service provider's: a "
    "guest's tag is dropped at the port"
)


def over(network: Network) -> int:
    """The Ethernet type of the tag that a network puts above those of its guests; 0 where it
    carries none of theirs."""
    kind = network.segment.network_type
    if network.qinq and not refused(QINQ, kind):
        return S_TAG
    return C_TAG if network.vlan_transparent and not refused(TRANSPARENT, kind) else 0


def refused(feature: str, kind: str) -> str:
    """Why guests' tags are not carried on any network of a type; empty where they can be.

    :param kind: its network type
    """
    if kind == "flat":
        return _FLAT
    return _NO_TAG.format(kind=kind) if feature == QINQ and kind != "vlan" else ""


def hidden(attachment: Attachment) -> bool:
    """Whether a port is held to rules about frames that come in two tags: addresses that a
    sub-port may use, or groups that admit what a VLAN of the physical network brings."""
    if not attachment.port.port_security_enabled:
        return False
    vlan = attachment.network.segment.network_type == "vlan"
    return is_sub_port(attachment) or (vlan and groups_of(attachment) is not None)
