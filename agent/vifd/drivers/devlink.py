"""The embedded switch of a network card, by the kernel's devlink interface: reading only."""

from __future__ import annotations

import errno
import os
import struct

from vifd.drivers.netlink import GENERIC, Message, Socket, attributes, text

#: Of the controller of generic netlink.
_CONTROLLER, _GET_FAMILY = 16, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
#: Of devlink: linux/devlink.h.
_ESWITCH_GET = 29
_BUS, _DEVICE, _ESWITCH_MODE = 1, 2, 25
_MODES = {0: "legacy", 1: "switchdev"}
_HEAD = struct.Struct("BBH")
_NOT_THERE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)


class Devlink:
    """A socket of the network namespace of the thread that makes it.

    :raises OSError: the kernel has no generic netlink
    """

    def __init__(self) -> None:
        self._socket = Socket(GENERIC)
        self._family: int | None = None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def eswitch_mode(self, pci: str) -> str:
        """``legacy`` or ``switchdev``; empty where the card has no such switch, or the kernel has
        no devlink.

        :param pci: the card's address, e.g. ``0000:3b:00.0``
        :raises OSError: the kernel refuses to say
        """
        family = self._family_id()
        if not family:
            return ""
        body = _HEAD.pack(_ESWITCH_GET, 1, 0) + text(_BUS, "pci") + text(_DEVICE, pci)
        found = self._ask(family, body)
        mode = found.get(_ESWITCH_MODE, b"")
        return _MODES.get(int.from_bytes(mode, "little"), "") if mode else ""

    def _family_id(self) -> int:
        if self._family is None:
            body = _HEAD.pack(_GET_FAMILY, 1, 0) + text(_FAMILY_NAME, "devlink")
            found = self._ask(_CONTROLLER, body).get(_FAMILY_ID, b"")
            self._family = int.from_bytes(found, "little")
        return self._family

    def _ask(self, family: int, body: bytes) -> dict[int, bytes]:
        (answer,) = self._socket.ask([Message(family, 0, body)])
        if isinstance(answer, int):
            if answer in _NOT_THERE:
                return {}
            raise OSError(answer, os.strerror(answer))
        return dict(attributes(answer, _HEAD.size))
