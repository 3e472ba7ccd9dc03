"""Guests that announce themselves at a closed tap of an INACTIVE binding: they run here.

A closed tap is no port of its bridge, and its guard drops everything before the packet filter could
see it. So packet sockets listen to such taps, where an operator wants it, and nothing else changes:
what they hear still goes nowhere. The first announcement is sent once more, as the guest sent it,
when the port is open.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vifd.errors import PrivilegeMissing, VifError
from vifd.model import Role
from vifd.plugin import Host, Item
from vifd.plugin.heard import HeardFrames
from vifd.policy.addresses import Allowed, allowed
from vifd.policy.arriving import announces

LOG = logging.getLogger(__name__)


@dataclass
class Listening:
    """What is listened to, and what was heard."""

    host: Host
    heard: HeardFrames = field(default_factory=HeardFrames)
    #: by device: the port and what its guest may claim to be
    _ports: dict[str, tuple[str, tuple[Allowed, ...]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    #: nothing may be listened to; told once
    _deaf: bool = False

    def start(self) -> None:
        """Listen, where anybody wants to know."""
        if self.host.announced is not None and self.host.drivers.hearing is not None:
            self.host.drivers.hearing.listen(self.hears)

    def follow(self, items: Iterable[Item], done: Mapping[str, object], *, opened: bool) -> None:
        """These ports were made, read back, opened or closed.

        :param done: what came of the call, by port; one that failed is left as it was
        :param opened: whether they were; else an item says whether it is open
        """
        hearing = self.host.drivers.hearing
        if self.host.announced is None or hearing is None:
            return
        begun, ended = {}, []
        for item in items:
            device = item.made.device
            if isinstance(done.get(item.id), VifError) or not device:
                continue
            if not (opened or item.open) and awaited(item):
                begun[device] = item.id, allowed(item.attachment)
            else:
                ended.append(device)
        with self._lock:
            self._ports.update(begun)
        self._forget(ended)
        try:
            hearing.hear(begun)
        except VifError as error:
            self._tell(error)

    def forget(self, items: Iterable[Item]) -> None:
        """These ports are going."""
        self._forget([item.made.device for item in items])

    def _forget(self, devices: Iterable[str]) -> None:
        with self._lock:
            gone = [device for device in devices if self._ports.pop(device, None) is not None]
        if gone and self.host.drivers.hearing is not None:
            self.host.drivers.hearing.forget(gone)

    def hears(self, device: str, frame: bytes) -> None:
        """A frame at a tap; on the driver's thread."""
        with self._lock:
            port_id, own = self._ports.get(device, ("", ()))
        if not port_id or self.host.announced is None or not announces(frame, own):
            return
        if self.heard.note(port_id, frame):
            self.host.announced(port_id)

    def _tell(self, error: VifError) -> None:
        if not self._deaf:
            missing = isinstance(error, PrivilegeMissing)
            LOG.warning(
                "%s: %s. [migration] guest_frames has no effect on Linux bridges until then. Next: "
                "%s", error.code, error.message,
                "the drop-in announce-on-linux-bridges.conf" if missing else error.hint,
            )  # fmt: skip
        self._deaf = True


def awaited(item: Item) -> bool:
    """Whether a closed port is so for its role alone: its guest is elsewhere, or on its way."""
    return item.attachment.role is Role.INACTIVE and item.attachment.port.admin_state_up
