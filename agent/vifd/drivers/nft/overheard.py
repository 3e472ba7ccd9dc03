"""Frames that rules hand over (``log group``), as the kernel tells of them: nfnetlink_log. Pure.

The numbers are those of ``linux/netfilter/nfnetlink_log.h``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vifd.drivers.netlink import attribute, attributes, messages, string
from vifd.drivers.nft import nl
from vifd.drivers.nft.objects import COPIED, GROUP, Hook, Overheard
from vifd.drivers.nft.packing import u32

_SUBSYSTEM = 4
PACKET, CONFIG = _SUBSYSTEM << 8, _SUBSYSTEM << 8 | 1
_HEAD, _PAYLOAD, _PREFIX, _HARDWARE, _VLAN, _LINK = 1, 9, 10, 16, 20, 21
_COMMAND, _MODE, _TIMEOUT, _THRESHOLD = 1, 2, 4, 5
_BIND, _COPY_PACKET = 1, 2
#: Frames that are told together, and hundredths of a second that one waits for others.
_TOGETHER, _WAITS = 32, 5
_ADDRESSES = 12
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"


def binding(group: int = GROUP) -> bytes:
    """The body that asks for the frames of a group."""
    mode = COPIED.to_bytes(4, "big") + bytes((_COPY_PACKET, 0))
    return (
        nl.head(0, group) + attribute(_COMMAND, bytes((_BIND,))) + attribute(_MODE, mode)
        + u32(_TIMEOUT, _WAITS) + u32(_THRESHOLD, _TOGETHER)
    )  # fmt: skip


def overheard(datagram: bytes) -> Iterator[Overheard]:
    """The frames that a datagram tells of."""
    for kind, _, _, payload in messages(datagram):
        if kind == PACKET:
            yield _read(dict(attributes(payload, 4)))


def _read(found: Mapping[int, bytes]) -> Overheard:
    head = found.get(_HEAD, b"").ljust(4, b"\0")
    packet = found.get(_PAYLOAD, b"")
    # kernels before 4.20 tell nothing of Ethernet where a frame leaves
    link = found.get(_LINK) or found.get(_HARDWARE) or bytes(_ADDRESSES) + head[:2]
    tagged = _tagged(link, found.get(_VLAN, b""))
    hook = Hook(head[2]) if head[2] in {*Hook} else None
    length = len(tagged) + max(len(packet), _told(link[-2:], packet))
    return Overheard(string(found.get(_PREFIX, b"")), hook, tagged + packet, length)


def _tagged(link: bytes, vlan: bytes) -> bytes:
    """The Ethernet header with the tag that the kernel has beside the frame."""
    tag = dict(attributes(vlan))
    if not {1, 2} <= tag.keys():
        return link
    return link[:_ADDRESSES] + tag[1] + tag[2] + link[_ADDRESSES:]


def _told(kind: bytes, packet: bytes) -> int:
    """The length that a packet says, where its end was cut off."""
    if len(packet) < COPIED:
        return 0
    if kind == _IPV4:
        return int.from_bytes(packet[2:4], "big")
    return 40 + int.from_bytes(packet[4:6], "big") if kind == _IPV6 else 0
