"""Checksums that somebody computes: a device in memory has no hardware that would."""

from __future__ import annotations

import fcntl
import socket
import struct
from array import array

_SIOCETHTOOL, _SET_TX_CHECKSUMS = 0x8946, 0x17


def whole(device: str) -> None:
    """Have the kernel fill checksums in: a switch in user space, and who receives, look at them."""
    asked = array("I", [_SET_TX_CHECKSUMS, 0])
    request = struct.pack("16sP", device.encode(), asked.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCETHTOOL, request)
