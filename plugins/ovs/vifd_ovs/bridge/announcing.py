"""Announcements: bridges that learn are told where a MAC is now.

The physical bridge and the ports of others forward by what they learned. A port that changes hands
stands behind another of their ports from then on, and until it speaks they would send its frames to
where it was. So somebody speaks for it, as QEMU does for a guest that has migrated: with a reverse
ARP request (RFC 903), which says nothing but a MAC.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable

from vifd.drivers import OpenFlow
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.openflow import action as act
from vifd.policy.announcing import announcement, frames
from vifd_ovs.bridge.flows import Network, to_uplink
from vifd_ovs.bridge.ports import SwitchPort

LOG = logging.getLogger(__name__)


def announce(openflow: OpenFlow, bridge: str, port: SwitchPort, uplink: int) -> None:
    """Tell the segment behind a patch port of ours that a port is behind it now.

    :param uplink: the ofport of the patch port
    """
    network = Network(port.tag, port.segment, uplink, over=port.over)
    _send(openflow, bridge, port, to_uplink(network))


def announce_back(openflow: OpenFlow, bridge: str, port: SwitchPort) -> None:
    """Tell everybody on a bridge that the port stands on it as any other does."""
    _send(openflow, bridge, port, act.normal())


def announce_opened(
    openflow: OpenFlow, bridge: str, port: SwitchPort, attachment: Attachment,
    others: Iterable[Attachment], own: bytes = b"",
) -> None:  # fmt: skip
    """Speak for a port that was opened, as if it had sent the frames itself: they go through its
    own flows, and so on every way that a frame of its guest would go.

    :param own: a frame that its guest sent while the port was closed, and that shall pass
    """
    for frame in (*frames(attachment, others), *([own] if own else [])):
        if not _send(openflow, bridge, port, act.resubmit(table=0), _entering(port, frame)):
            return


def _entering(port: SwitchPort, frame: bytes) -> bytes:
    """A frame as it comes in: a sub-port's bears the tag that it has on its parent's device."""
    if (via := port.via) is None:
        return frame
    return frame[:12] + struct.pack("!HH", 0x8100, via.vlan) + frame[12:]


def _send(
    openflow: OpenFlow, bridge: str, port: SwitchPort, actions: bytes, frame: bytes = b""
) -> bool:
    """Best effort: what is not told is learned from the port's next frame.

    :returns: whether the switch took it
    """
    try:
        frame = frame or announcement(port.mac)
        number = port.via.ofport if port.via is not None else port.ofport
        openflow.packet_out(bridge, frame, in_port=number, actions=actions)
    except VifError as error:
        LOG.warning(
            "bridge %s: %s could not be announced: %s. Next: others learn where it is from the "
            "guest's next frame. port=%s", bridge, port.mac, error.message, port.id
        )  # fmt: skip
        return False
    return True
