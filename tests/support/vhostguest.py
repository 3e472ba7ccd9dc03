"""What QEMU would be at a vhost-user port: it makes the socket, gives the switch its memory, and
drives one pair of rings (the vhost-user protocol, front end; virtio 1.2, split rings)."""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from vifd.testing.guests import Wire
from vifd.testing.wait import PATIENCE

#: Requests of the protocol.
_GET_FEATURES, _SET_FEATURES, _SET_OWNER, _SET_MEM_TABLE = 1, 2, 3, 5
_SET_VRING_NUM, _SET_VRING_ADDR, _SET_VRING_BASE = 8, 9, 10
_SET_VRING_KICK, _SET_VRING_CALL = 12, 13
_VERSION, _ANSWER = 1, 4
#: The one feature that is asked for: a device of virtio 1, whose header has 12 bytes. Without
#: VHOST_USER_F_PROTOCOL_FEATURES rings are enabled from the beginning.
_VERSION_1 = 1 << 32
_HEADER = 12

_RINGS, _SIZE, _SLOT = 2, 256, 2048
#: Of a descriptor: the device writes there.
_WRITE = 2
#: Where the guest says its memory is, in its own and in the process's addresses.
_PHYSICAL, _VIRTUAL = 0x1_0000_0000, 0x7F00_0000_0000
_AVAIL, _USED, _PER_RING = 0x2000, 0x4000, 0x8000
_BUFFERS = _RINGS * _PER_RING
_MEMORY = _BUFFERS + _RINGS * _SIZE * _SLOT


class _Ring:
    """A ring and its buffers, one for each descriptor."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self.memory, self.at = memory, number * _PER_RING
        self.buffers = _BUFFERS + number * _SIZE * _SLOT
        # one store each: the switch reads them while they are written
        self._avail = ctypes.c_uint16.from_buffer(memory, self.at + _AVAIL + 2)
        self._used = ctypes.c_uint16.from_buffer(memory, self.at + _USED + 2)
        self._taken = 0

    def offer(self, slot: int, length: int, flags: int) -> None:
        """Have the switch use a buffer."""
        address = _PHYSICAL + self.buffers + slot * _SLOT
        struct.pack_into("<QIHH", self.memory, self.at + slot * 16, address, length, flags, 0)
        at = self.at + _AVAIL + 4 + self._avail.value % _SIZE * 2
        struct.pack_into("<H", self.memory, at, slot)
        self._avail.value += 1

    def used(self) -> Iterator[tuple[int, int]]:
        """The buffers that the switch is done with: which, and how much it wrote."""
        while self._taken != self._used.value:
            at = self.at + _USED + 4 + self._taken % _SIZE * 8
            slot, length = struct.unpack_from("<II", self.memory, at)
            self._taken = (self._taken + 1) & 0xFFFF
            yield slot, length

    def let_go(self) -> None:
        """Without this the memory cannot be closed."""
        del self._avail, self._used


class VhostGuest(Wire):
    """A guest at the socket of a port.

    :param path: where the switch looks for the socket; it must not be there
    """

    def __init__(self, path: Path | str) -> None:
        self.name = Path(path).name
        self._path = Path(path)
        self._memory_fd = os.memfd_create("guest")
        os.ftruncate(self._memory_fd, _MEMORY)
        self._memory = mmap.mmap(self._memory_fd, _MEMORY)
        self._gets, self._sends = (_Ring(self._memory, number) for number in range(_RINGS))
        self._events = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(2 * _RINGS)]
        self.fd = self._events[1]  # the switch says there that something came
        self._free = set(range(_SIZE))
        self._came: list[bytes] = []
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            server.settimeout(PATIENCE)
            self._socket, _ = server.accept()
        self._socket.settimeout(PATIENCE)
        self._agree()

    def _agree(self) -> None:
        """What QEMU says until a device is driven."""
        features = self._ask(_GET_FEATURES)
        assert features & _VERSION_1, hex(features)
        self._say(_SET_FEATURES, struct.pack("<Q", _VERSION_1))
        self._say(_SET_OWNER)
        region = struct.pack("<IIQQQQ", 1, 0, _PHYSICAL, _MEMORY, _VIRTUAL, 0)
        self._say(_SET_MEM_TABLE, region, self._memory_fd)
        for slot in range(_SIZE):
            self._gets.offer(slot, _SLOT, _WRITE)
        for number, ring in enumerate((self._gets, self._sends)):
            at = _VIRTUAL + ring.at
            self._say(_SET_VRING_NUM, struct.pack("<II", number, _SIZE))
            self._say(_SET_VRING_BASE, struct.pack("<II", number, 0))
            where = struct.pack("<IIQQQQ", number, 0, at, at + _USED, at + _AVAIL, 0)
            self._say(_SET_VRING_ADDR, where)
            self._say(_SET_VRING_CALL, struct.pack("<Q", number), self._events[2 * number + 1])
            self._say(_SET_VRING_KICK, struct.pack("<Q", number), self._events[2 * number])

    def _say(self, request: int, payload: bytes = b"", *fds: int) -> None:
        head = struct.pack("<III", request, _VERSION, len(payload))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.sendmsg([head + payload], rights)

    def _ask(self, request: int) -> int:
        self._say(request)
        answered, flags, length = struct.unpack("<III", self._socket.recv(12, socket.MSG_WAITALL))
        assert (answered, flags & _ANSWER, length) == (request, _ANSWER, 8)
        (value,) = struct.unpack("<Q", self._socket.recv(8, socket.MSG_WAITALL))
        return int(value)

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire, and wait until the switch has it."""
        self._free |= {slot for slot, _ in self._sends.used()}
        slot = self._free.pop()
        at = self._sends.buffers + slot * _SLOT
        content = bytes(_HEADER) + frame
        self._memory[at : at + len(content)] = content
        self._sends.offer(slot, len(content), 0)
        os.eventfd_write(self._events[2], 1)

    def _read(self) -> bytes | None:
        self._told()
        for slot, length in self._gets.used():
            at = self._gets.buffers + slot * _SLOT
            self._came.append(bytes(self._memory[at + _HEADER : at + length]))
            self._gets.offer(slot, _SLOT, _WRITE)
        return self._came.pop(0) if self._came else None

    def _told(self) -> None:
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    def close(self) -> None:
        """The guest is switched off."""
        self._socket.close()
        self._path.unlink(missing_ok=True)
        for ring in (self._gets, self._sends):
            ring.let_go()
        self._memory.close()
        for fd in (self._memory_fd, *self._events):
            os.close(fd)

    def __enter__(self) -> VhostGuest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
